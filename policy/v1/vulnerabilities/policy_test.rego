package signature

import rego.v1

today := time.parse_rfc3339_ns("2026-01-05T00:00:00Z")

scan(vulnerabilities, finished) := {
	"predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
	"predicate": {
		"scanner": {"uri": "pkg:github/aquasecurity/trivy", "result": {"Results": [{"Vulnerabilities": vulnerabilities}]}},
		"metadata": {"scanFinishedOn": finished},
	},
}

test_clean if allow with input as scan([], "2026-01-01T00:00:00Z") with data.signature.now as today

test_critical if {
	not allow with input as scan([{"VulnerabilityID": "CVE-2", "Severity": "CRITICAL"}], "2026-01-01T00:00:00Z") with data.signature.now as today
}

test_an_old_scan if not allow with input as scan([], "2025-12-01T00:00:00Z") with data.signature.now as today

test_no_date if not allow with input as scan([], "soon") with data.signature.now as today

test_empty if not allow with input as {} with data.signature.now as today

test_no_result if {
	statement := object.remove(scan([], "2026-01-01T00:00:00Z"), ["predicate"])
	predicate := {"metadata": {"scanFinishedOn": "2026-01-01T00:00:00Z"}}
	not allow with input as object.union(statement, {"predicate": predicate}) with data.signature.now as today
}

test_another_predicate if {
	statement := object.union(scan([], "2026-01-01T00:00:00Z"), {"predicateType": "https://slsa.dev/provenance/v1"})
	not allow with input as statement with data.signature.now as today
}

test_low if {
	statement := scan([{"VulnerabilityID": "CVE-1", "Severity": "LOW"}], "2026-01-01T00:00:00Z")
	allow with input as statement with data.signature.now as today
}
