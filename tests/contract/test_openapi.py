"""The contract as a document: valid OpenAPI and consistent in itself.

What the contract says about PCS is compared elsewhere (test_model.py), what API Gateway and the build script take of it
too (test_openapi_import.py), and the events that go with it (test_events.py). Here the references are the OpenAPI
specification, the route table of the design, and the CloudFormation schemas for the Regions of PCS.
"""

import re

import pytest
from cfnlint.helpers import REGIONS
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from openapi_spec_validator import validate

from openapi_document import CONTRACT_DOCUMENT, ROUTES, Document, by_id, closed, examples, nodes, operations, schemas

OPERATION_KEYS = [
    "operationId", "summary", "description", "tags", "x-pcs-mutation", "x-pcs-upstream", "parameters",
    "requestBody", "responses", "security", "x-amazon-apigateway-integration",
]

# The audit trail is one for the whole deployment, whatever Region a call was about.
WITHOUT_REGION = {"ListAuditEvents", "GetAuditEvent"}

# Status of an error answer: the codes it can carry.
CODES_OF_STATUS = {
    "400": {"ValidationException"},
    "402": {"ServiceQuotaExceededException"},
    "403": {"GuardrailDenied", "AccessDeniedException", "UpstreamAccessDenied"},
    "404": {"ResourceNotFoundException"},
    "409": {"ConflictException"},
    "412": {"DryRunOperation"},
    "413": {"RequestTooLargeException"},
    "414": {"ValidationException"},
    "415": {"UnsupportedMediaTypeException"},
    "429": {"ThrottlingException"},
    "431": {"ValidationException"},
    "500": {"InternalServerException"},
    "502": {"BadGatewayException"},
    "503": {"ServiceUnavailableException", "AuditUnavailableException", "InstanceProfilePropagating"},
    "504": {"GatewayTimeoutException"},
}

# 405 is answered before an operation is known, so no operation documents it.
CODES_WITHOUT_OPERATION = {"MethodNotAllowedException"}


@pytest.fixture
def contract():
    return CONTRACT_DOCUMENT


# The document -------------------------------------------------------------------------------------------------------


def test_is_valid_openapi(contract):
    assert contract["openapi"] == "3.0.3"
    validate(contract)


def test_routes_are_those_of_the_design(contract):
    written = {
        operation["operationId"]: (method, path, *[status for status in operation["responses"] if status < "300"])
        for path, method, operation in operations(contract)
    }
    assert written == ROUTES
    assert len(operations(contract)) == len(written), "an operationId is used twice"


def test_examples_are_valid(contract):
    strict = Document(closed(contract))
    found = [(pointer, strict.faults(pointer, example)) for pointer, example in examples(contract)]
    assert not [(pointer, faults) for pointer, faults in found if faults]
    assert len(found) > len(ROUTES)


def test_bodies_answers_and_parameters_have_examples(contract):
    document = Document(contract)
    for name, operation in by_id(contract).items():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for holder in [*bodies, *map(document.resolve, operation["responses"].values())]:
            for media in holder.get("content", {}).values():
                assert "example" in media or media.get("examples"), f"{name}: {holder['description']}"
        for parameter in map(document.resolve, operation["parameters"]):
            assert "example" in parameter, f"{name}: {parameter['name']}"


def test_everything_is_described(contract):
    document = Document(contract)
    holders = [*contract["components"]["parameters"].items(), *contract["components"]["responses"].items()]
    holders += [(operation["operationId"], operation) for _, _, operation in operations(contract)]
    holders += contract["components"]["schemas"].items()
    for pointer, schema in schemas(contract):
        members = schema.get("properties", {}).items()
        holders += [((*pointer, name), document.resolve(member)) for name, member in members]
    bare = [where for where, node in holders if not node.get("description", "").strip().endswith(".")]
    assert not bare


def test_operations_are_written_alike(contract):
    for _, _, operation in operations(contract):
        name = operation["operationId"]
        assert list(operation) == [key for key in OPERATION_KEYS if key in operation], name
        assert set(OPERATION_KEYS) - set(operation) <= {"requestBody", "x-pcs-upstream"}, name
        assert list(operation["responses"]) == sorted(operation["responses"]), name
        assert all(isinstance(status, str) for status in operation["responses"]), name


def test_every_component_is_used(contract):
    used = {node["$ref"] for _, node in nodes(contract) if "$ref" in node}
    declared = {
        f"#/components/{kind}/{name}"
        for kind, entries in contract["components"].items()
        if kind != "securitySchemes"
        for name in entries
    }
    assert used == declared


# Parameters and errors ----------------------------------------------------------------------------------------------


def test_every_operation_takes_a_region_and_every_mutation_a_dry_run(contract):
    for name, operation in by_id(contract).items():
        references = [parameter["$ref"].rpartition("/")[2] for parameter in operation["parameters"]]
        assert ("RegionQuery" in references) is (name not in WITHOUT_REGION), name
        assert ("DryRunQuery" in references) is operation["x-pcs-mutation"], name


def test_every_pattern_is_told_in_words(contract):
    for _, schema in schemas(contract):
        assert ("pattern" in schema) is bool(schema.get("x-pcs-form", "").strip())


def test_path_parameters_are_declared(contract):
    document = Document(contract)
    for path, _, operation in operations(contract):
        declared = [p["name"] for p in map(document.resolve, operation["parameters"]) if p["in"] == "path"]
        assert declared == re.findall(r"\{(\w+)\}", path)


def test_no_path_parameter_needs_an_escape(contract):
    """A path has one form then, and the function takes no other."""
    document = Document(contract)
    unreserved = re.compile(r"[A-Za-z0-9._~-]")
    named = {}
    for _, _, operation in operations(contract):
        for parameter in map(document.resolve, operation["parameters"]):
            if parameter["in"] == "path":
                named[parameter["name"]] = (document.resolve(parameter["schema"])["pattern"], parameter["example"])
    assert len(named) == 4
    for name, (pattern, example) in named.items():
        for odd in map(chr, range(0x250)):
            for place in range(len(example) + 1):
                changed = example[:place] + odd + example[place:]
                taken = re.fullmatch(pattern.removeprefix("^").removesuffix("$"), changed)
                assert taken is None or unreserved.fullmatch(odd), f"{name}: {changed!r}"


def test_bodies_belong_to_post_and_patch(contract):
    for _, method, operation in operations(contract):
        assert ("requestBody" in operation) is (method in ("post", "patch")), operation["operationId"]
        if "requestBody" in operation:
            assert operation["requestBody"]["required"] is True


def test_regions_are_those_of_cloudformation(contract):
    offered = [name for name in REGIONS if "AWS::PCS::Cluster" in PROVIDER_SCHEMA_MANAGER.get_resource_types(name)]
    assert len(offered) > 20
    assert contract["components"]["schemas"]["Region"]["enum"] == sorted(offered)


def test_every_operation_can_be_asked_for_in_the_audit_trail(contract):
    named = contract["components"]["schemas"]["AuditOperation"]["enum"]
    assert named == [*sorted(ROUTES), "Sweep"]


def test_every_operation_documents_its_errors(contract):
    for name, operation in by_id(contract).items():
        statuses = set(operation["responses"])
        assert {"400", "403", "414", "429", "431", "500", "502", "503", "504"} <= statuses, name
        assert ("412" in statuses) is operation["x-pcs-mutation"], name
        assert ({"413", "415"} <= statuses) is ("requestBody" in operation), name
        assert not statuses - set(CODES_OF_STATUS) - {ROUTES[name][2]}, name


def test_error_answers_carry_the_codes_of_their_status(contract):
    document = Document(contract)
    seen = {}
    for name, operation in by_id(contract).items():
        for status in set(operation["responses"]) & set(CODES_OF_STATUS):
            reference = operation["responses"][status]["$ref"]
            assert seen.setdefault(status, reference) == reference, f"{name}: {status} differs from other operations"
    for status, reference in seen.items():
        media = document.resolve({"$ref": reference})["content"]["application/json"]
        assert media["schema"] == {"$ref": "#/components/schemas/ApiError"}
        shown = [media["example"]] if "example" in media else [entry["value"] for entry in media["examples"].values()]
        assert {error["code"] for error in shown} <= CODES_OF_STATUS[status]
    documented = set().union(*CODES_OF_STATUS.values(), CODES_WITHOUT_OPERATION)
    assert set(contract["components"]["schemas"]["ApiErrorCode"]["enum"]) == documented


def test_retry_after_is_documented(contract):
    answers = contract["components"]["responses"]
    with_header = {name for name in answers if "Retry-After" in answers[name].get("headers", {})}
    assert with_header == {"Throttled", "Unavailable"}
