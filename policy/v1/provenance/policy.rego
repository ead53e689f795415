# SLSA provenance v1: built by a builder that we trust, from our repository.
package signature

import rego.v1

default allow := false

builders := {"https://cloudbuild.googleapis.com/GoogleHostedWorker"}

repository := "https://github.com/example/app"

allow if {
	input.predicateType == "https://slsa.dev/provenance/v1"
	input.predicate.runDetails.builder.id in builders
	some dependency in input.predicate.buildDefinition.resolvedDependencies
	from_repository(dependency.uri)
}

# The repository itself or one of its revisions, and no repository whose name only begins alike.
from_repository(uri) if {
	[address | address := split(trim_prefix(uri, "git+"), "@")[0]][0] in {repository, concat("", [repository, ".git"])}
}
