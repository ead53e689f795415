# cosign's vulnerability predicate: a scan of the last week that found nothing critical.
package signature

import rego.v1

default allow := false

forbidden := {"CRITICAL"}

week := ((7 * 24) * 3600) * 1000000000

now := time.now_ns()

allow if {
	input.predicateType == "https://cosign.sigstore.dev/attestation/vuln/v1"
	is_array(input.predicate.scanner.result.Results)
	recent
	count(deny) == 0
}

recent if {
	age := now - time.parse_rfc3339_ns(input.predicate.metadata.scanFinishedOn)
	age < week
}

deny contains sprintf("%s is %s", [found.VulnerabilityID, found.Severity]) if {
	some result in input.predicate.scanner.result.Results
	some found in result.Vulnerabilities
	upper(found.Severity) in forbidden
}
