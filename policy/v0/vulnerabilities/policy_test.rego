package signature

scan(vulnerabilities) = {
	"predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
	"predicate": {
		"scanner": {"uri": "pkg:github/aquasecurity/trivy", "result": {"Results": [{"Vulnerabilities": vulnerabilities}]}},
		"metadata": {"scanStartedOn": "2026-01-01T00:00:00Z", "scanFinishedOn": "2026-01-01T00:01:00Z"},
	},
}

test_clean {
	allow with input as scan([])
}

test_low {
	allow with input as scan([{"VulnerabilityID": "CVE-1", "Severity": "LOW"}])
}

test_critical {
	not allow with input as scan([{"VulnerabilityID": "CVE-1", "Severity": "LOW"}, {"VulnerabilityID": "CVE-2", "Severity": "CRITICAL"}])
}

test_critical_in_small_letters {
	not allow with input as scan([{"VulnerabilityID": "CVE-2", "Severity": "critical"}])
}

test_the_message_names_it {
	deny["CVE-2 is CRITICAL"] with input as scan([{"VulnerabilityID": "CVE-2", "Severity": "CRITICAL"}])
}

test_no_result {
	not allow with input as {
		"predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
		"predicate": {"metadata": {"scanFinishedOn": "2026-01-01T00:01:00Z"}},
	}
}

test_unfinished {
	not allow with input as {
		"predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
		"predicate": {"scanner": {"result": {"Results": []}}},
	}
}

test_another_predicate {
	statement := object.union(scan([]), {"predicateType": "https://slsa.dev/provenance/v1"})
	not allow with input as statement
}
