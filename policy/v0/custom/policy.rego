# A custom predicate is text that its writer chose; here it is JSON, and its member foo must be bar.
package signature

import data.signature.verified

default allow = false

# Newer and older versions of cosign name the predicate differently.
types = {"https://cosign.sigstore.dev/attestation/v1", "cosign.sigstore.dev/attestation/v1"}

allow {
	types[input.predicateType]
	statement := json.unmarshal(input.predicate.Data)
	statement.foo == "bar"
}
