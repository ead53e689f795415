package signature

statement(type, text) = {
	"_type": "https://in-toto.io/Statement/v0.1",
	"predicateType": type,
	"predicate": {"Data": text, "Timestamp": "2026-01-01T00:00:00Z"},
}

custom = "https://cosign.sigstore.dev/attestation/v1"

test_foo_is_bar {
	allow with input as statement(custom, "{\"foo\": \"bar\", \"commitsha\": \"2bd15c38\"}\n")
}

test_older_predicate_type {
	allow with input as statement("cosign.sigstore.dev/attestation/v1", "{\"foo\": \"bar\"}")
}

test_foo_is_something_else {
	not allow with input as statement(custom, "{\"foo\": \"baz\"}")
}

test_foo_is_absent {
	not allow with input as statement(custom, "{}")
}

test_text_is_not_json {
	not allow with input as statement(custom, "foo=bar")
}

test_another_predicate {
	not allow with input as statement("https://slsa.dev/provenance/v1", "{\"foo\": \"bar\"}")
}
