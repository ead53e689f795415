# A party states that it rebuilt the image under a contract, and this is the contract that we agreed on
# (`csign contract digest`) and the image that it is about.
package signature

import rego.v1

default allow := false

contract := "sha256:0000000000000000000000000000000000000000000000000000000000000000"

repository := "registry.example/team/app"

allow if {
	input.predicateType == "https://csign.dev/attestation/reproduced/v1"
	input.predicate.contract == contract
	count(input.subject) == 1
	input.subject[0].name == repository
}
