# cosign's vulnerability predicate: a scan that says that it finished, and found nothing critical.
package signature

default allow = false

forbidden = {"CRITICAL"}

allow {
	input.predicateType == "https://cosign.sigstore.dev/attestation/vuln/v1"
	input.predicate.metadata.scanFinishedOn
	is_array(input.predicate.scanner.result.Results)
	count(deny) == 0
}

deny[message] {
	found := input.predicate.scanner.result.Results[_].Vulnerabilities[_]
	forbidden[upper(found.Severity)]
	message := sprintf("%s is %s", [found.VulnerabilityID, found.Severity])
}
