# A list of components, SPDX or CycloneDX, in which every package states a licence and none is forbidden.
package signature

import rego.v1

default allow := false

forbidden := {"AGPL-3.0-only", "AGPL-3.0-or-later", "SSPL-1.0"}

allow if {
	count(packages) > 0
	count(deny) == 0
}

# Name and licence expression of each package.
packages contains [object.get(p, "name", "?"), object.get(p, "licenseConcluded", object.get(p, "licenseDeclared", ""))] if {
	input.predicateType == "https://spdx.dev/Document"
	some p in input.predicate.packages
}

packages contains [object.get(c, "name", "?"), concat(" AND ", licences(c))] if {
	input.predicateType == "https://cyclonedx.org/bom"
	some c in input.predicate.components
}

licences(component) := [text |
	some l in object.get(component, "licenses", [])
	text := object.get(l, "expression", object.get(l, ["license", "id"], object.get(l, ["license", "name"], "")))
]

deny contains sprintf("%s has no licence", [name]) if {
	some [name, expression] in packages
	expression in {"", "NONE", "NOASSERTION"}
}

deny contains sprintf("%s is under %s", [name, licence]) if {
	some [name, expression] in packages
	some licence in regex.split(`[ ()]+`, expression)
	licence in forbidden
}
