package signature

import rego.v1

now := time.parse_rfc3339_ns("2026-01-05T00:00:00Z")

scan(vulnerabilities, finished) := {
	"predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
	"predicate": {
		"scanner": {"uri": "pkg:github/aquasecurity/trivy", "result": {"Results": [{"Vulnerabilities": vulnerabilities}]}},
		"metadata": {"scanFinishedOn": finished},
	},
}

test_clean if allow with input as scan([], "2026-01-01T00:00:00Z") with time.now_ns as now

test_critical if {
	not allow with input as scan([{"VulnerabilityID": "CVE-2", "Severity": "CRITICAL"}], "2026-01-01T00:00:00Z") with time.now_ns as now
}

test_an_old_scan if not allow with input as scan([], "2025-12-01T00:00:00Z") with time.now_ns as now

test_no_date if not allow with input as scan([], "soon") with time.now_ns as now

test_empty if not allow with input as {} with time.now_ns as now
