package signature

import rego.v1

provenance(builder, uri) := {
	"predicateType": "https://slsa.dev/provenance/v1",
	"predicate": {
		"buildDefinition": {"resolvedDependencies": [{"uri": "pkg:oci/builder"}, {"uri": uri}]},
		"runDetails": {"builder": {"id": builder}},
	},
}

good_builder := "https://cloudbuild.googleapis.com/GoogleHostedWorker"

test_ours if {
	every uri in ["git+https://github.com/example/app@refs/tags/v1", "https://github.com/example/app.git"] {
		allow with input as provenance(good_builder, uri)
	}
}

test_another_builder if not allow with input as provenance("https://builder.example", "https://github.com/example/app")

test_another_repository if {
	every uri in ["https://github.com/example/other", "https://github.com/example/app-evil", "https://github.com/example/app/evil"] {
		not allow with input as provenance(good_builder, uri)
	}
}

test_empty if not allow with input as {}

test_another_predicate if {
	statement := provenance(good_builder, "https://github.com/example/app")
	not allow with input as object.union(statement, {"predicateType": "https://example.com"})
}
