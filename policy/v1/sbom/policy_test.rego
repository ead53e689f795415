package signature

import rego.v1

spdx(packages_) := {"predicateType": "https://spdx.dev/Document", "predicate": {"spdxVersion": "SPDX-2.3", "packages": packages_}}

cyclonedx(components) := {"predicateType": "https://cyclonedx.org/bom", "predicate": {"bomFormat": "CycloneDX", "components": components}}

test_spdx if allow with input as spdx([{"name": "a", "licenseConcluded": "MIT"}, {"name": "b", "licenseDeclared": "MIT OR Apache-2.0"}])

test_cyclonedx if {
	allow with input as cyclonedx([
		{"name": "a", "licenses": [{"license": {"id": "MIT"}}]},
		{"name": "b", "licenses": [{"expression": "MIT OR Apache-2.0"}]},
	])
}

test_forbidden if {
	not allow with input as spdx([{"name": "a", "licenseConcluded": "MIT"}, {"name": "b", "licenseConcluded": "(MIT OR SSPL-1.0)"}])
	not allow with input as cyclonedx([{"name": "b", "licenses": [{"license": {"id": "AGPL-3.0-only"}}]}])
}

test_the_message_names_it if {
	"b is under SSPL-1.0" in deny with input as spdx([{"name": "b", "licenseConcluded": "SSPL-1.0"}])
}

test_without_licence if {
	not allow with input as spdx([{"name": "a"}])
	not allow with input as spdx([{"name": "a", "licenseConcluded": "NOASSERTION"}])
	not allow with input as cyclonedx([{"name": "a"}])
}

test_an_empty_list_proves_nothing if {
	not allow with input as spdx([])
	not allow with input as cyclonedx([])
	not allow with input as {}
}

test_another_predicate if {
	statement := object.union(
		spdx([{"name": "a", "licenseConcluded": "MIT"}]),
		{"predicate": {"components": [{"name": "a", "licenses": [{"license": {"id": "MIT"}}]}]}},
	)
	not allow with input as object.union(statement, {"predicateType": "https://example.com"})
}
