package signature

import rego.v1

reproduced(digest, name) := {
	"_type": "https://in-toto.io/Statement/v1",
	"subject": [{"name": name, "digest": {"sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}],
	"predicateType": "https://csign.dev/attestation/reproduced/v1",
	"predicate": {"contract": digest, "recipe": "cargo-musl"},
}

test_our_contract if allow with input as reproduced(contract, repository)

test_another_contract if {
	not allow with input as reproduced("sha256:1111111111111111111111111111111111111111111111111111111111111111", repository)
}

test_another_repository if not allow with input as reproduced(contract, "registry.example/team/other")

test_two_subjects if {
	statement := reproduced(contract, repository)
	not allow with input as object.union(statement, {"subject": array.concat(statement.subject, statement.subject)})
}
