"""Validates a document that csign wrote with the public schema of its kind.

usage: validate.py spdx|cyclonedx|slsa1|sarif FILE        (spdx-tools, cyclonedx-python-lib, in-toto-attestation, pydantic-sarif)

Prints what is wrong and exits with 1, or prints "valid".
"""

import json
import sys


def spdx(path):
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = parse_file(path)
    for message in validate_full_spdx_document(document, "SPDX-2.3"):
        yield f"{message.context.spdx_id}: {message.validation_message}"
    for package in document.packages:
        for reference in package.external_references:
            yield from purl(reference.locator)


def cyclonedx(path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with open(path, encoding="utf-8") as file:
        text = file.read()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        yield str(error.data)
        return
    document = json.loads(text)
    known = set()

    def walk(components):
        for component in components:
            if component["bom-ref"] in known:
                yield f"bom-ref {component['bom-ref']} is there twice"
            known.add(component["bom-ref"])
            if "purl" in component:
                yield from purl(component["purl"])
            yield from walk(component.get("components", []))

    yield from walk([document["metadata"]["component"], *document["components"]])
    for dependency in document["dependencies"]:
        for reference in [dependency["ref"], *dependency.get("dependsOn", [])]:
            if reference not in known:
                yield f"{reference} is no component"
    for composition in document["compositions"]:
        for reference in composition.get("assemblies", []) + composition.get("dependencies", []):
            if reference not in known:
                yield f"{reference} is no component"


def slsa1(path):
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor

    with open(path, encoding="utf-8") as file:
        predicate = json_format.Parse(file.read(), provenance_pb2.Provenance())
    definition = predicate.build_definition
    # What the specification requires; the protobuf schema knows no required fields.
    if not definition.build_type:
        yield "buildDefinition.buildType is missing"
    if not definition.external_parameters:
        yield "buildDefinition.externalParameters is missing"
    if not predicate.run_details.builder.id:
        yield "runDetails.builder.id is missing"
    if not definition.resolved_dependencies:
        yield "buildDefinition.resolvedDependencies is empty"
    for dependency in definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(dependency).validate()
        if dependency.uri.startswith("pkg:"):
            yield from purl(dependency.uri)


def sarif(path):
    from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Document

    with open(path, encoding="utf-8") as file:
        document = Document.model_validate_json(file.read())
    for run in document.runs:
        rules = run.tool.driver.rules
        for result in run.results:
            if rules[result.ruleIndex].id != result.ruleId:
                yield f"{result.ruleId} is not rule {result.ruleIndex}"


def purl(text):
    from packageurl import PackageURL

    canonical = PackageURL.from_string(text).to_string()
    if canonical != text:
        yield f"{text} is written {canonical}"


def main():
    kind, path = sys.argv[1:]
    check = {"spdx": spdx, "cyclonedx": cyclonedx, "slsa1": slsa1, "sarif": sarif}[kind]
    try:
        problems = list(check(path))
    except Exception as error:  # the libraries raise what they like for a document that does not parse
        problems = [f"{type(error).__name__}: {error}"]
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(1)
    print("valid")


main()
