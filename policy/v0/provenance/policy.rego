# SLSA provenance v0.2 and v1: built by a builder that we trust, from our repository.
package signature

default allow = false

builders = {"https://cloudbuild.googleapis.com/GoogleHostedWorker"}

repository = "https://github.com/example/app"

allow {
	input.predicateType == "https://slsa.dev/provenance/v1"
	builders[input.predicate.runDetails.builder.id]
	from_repository(input.predicate.buildDefinition.resolvedDependencies)
}

allow {
	input.predicateType == "https://slsa.dev/provenance/v0.2"
	builders[input.predicate.builder.id]
	from_repository(input.predicate.materials)
}

# The repository itself or one of its revisions, and no repository whose name only begins alike.
from_repository(materials) {
	uri := trim_prefix(materials[_].uri, "git+")
	trim_suffix(split(uri, "@")[0], ".git") == repository
}
