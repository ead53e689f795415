package signature

v1(builder, uri) = {
	"predicateType": "https://slsa.dev/provenance/v1",
	"predicate": {
		"buildDefinition": {"resolvedDependencies": [{"uri": "pkg:oci/builder"}, {"uri": uri}]},
		"runDetails": {"builder": {"id": builder}},
	},
}

v02(builder, uri) = {
	"predicateType": "https://slsa.dev/provenance/v0.2",
	"predicate": {"builder": {"id": builder}, "materials": [{"uri": uri}]},
}

good_builder = "https://cloudbuild.googleapis.com/GoogleHostedWorker"

test_v1 {
	allow with input as v1(good_builder, "git+https://github.com/example/app@refs/tags/v1")
}

test_v02 {
	allow with input as v02(good_builder, "https://github.com/example/app.git")
}

test_another_builder {
	not allow with input as v1("https://builder.example", "git+https://github.com/example/app")
	not allow with input as v02("https://builder.example", "git+https://github.com/example/app")
}

test_another_repository {
	not allow with input as v1(good_builder, "git+https://github.com/example/other")
}

test_a_repository_that_begins_alike {
	not allow with input as v1(good_builder, "git+https://github.com/example/app-evil")
	not allow with input as v02(good_builder, "git+https://github.com/example/app/evil")
}

test_empty {
	not allow with input as {}
}

test_another_predicate {
	new := object.union(v1(good_builder, "https://github.com/example/app"), {"predicateType": "https://example.com"})
	not allow with input as new
	old := object.union(v02(good_builder, "https://github.com/example/app"), {"predicateType": "https://example.com"})
	not allow with input as old
}
