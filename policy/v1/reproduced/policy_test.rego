package signature

import rego.v1

reproduced(digest, name) := {
	"_type": "https://in-toto.io/Statement/v1",
	"subject": [{"name": name, "digest": {"sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}],
	"predicateType": "https://csign.dev/attestation/reproduced/v1",
	"predicate": {"contract": digest, "recipe": "cargo-musl"},
}

test_our_contract if {
	statement := reproduced(contract, repository)
	allow with input as statement
}

test_another_contract if {
	other := "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	statement := reproduced(other, repository)
	not allow with input as statement
}

test_another_repository if {
	statement := reproduced(contract, "registry.example/team/other")
	not allow with input as statement
}

test_two_subjects if {
	statement := reproduced(contract, repository)
	twice := object.union(statement, {"subject": array.concat(statement.subject, statement.subject)})
	not allow with input as twice
}

test_another_predicate if {
	statement := object.union(reproduced(contract, repository), {"predicateType": "https://slsa.dev/provenance/v1"})
	not allow with input as statement
}
