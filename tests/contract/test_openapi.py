"""The contract as a document: valid OpenAPI, importable by API Gateway, consistent in itself and with events/.

What the contract says about PCS is compared elsewhere (test_model.py). Here the references are the OpenAPI
specification, API Gateway's "important notes" on importing it, the route table of the design, and the CloudFormation
schemas for the Regions of PCS.
"""

import copy
import json
import pathlib
import re

import pytest
import yaml
from cfnlint.helpers import REGIONS
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

ROOT = pathlib.Path(__file__).parents[2]
CONTRACT = ROOT / "openapi" / "pcs-api.yaml"
EVENTS = ROOT / "events"

CLUSTER = "/v1/clusters/{clusterIdentifier}"
GROUPS = f"{CLUSTER}/compute-node-groups"
GROUP = f"{GROUPS}/{{computeNodeGroupIdentifier}}"
QUEUES = f"{CLUSTER}/queues"
QUEUE = f"{QUEUES}/{{queueIdentifier}}"

# Operation: method, path, success status.
ROUTES = {
    "GetGuardrails": ("get", "/v1/guardrails", "200"),
    "ListClusters": ("get", "/v1/clusters", "200"),
    "CreateCluster": ("post", "/v1/clusters", "202"),
    "GetCluster": ("get", CLUSTER, "200"),
    "UpdateCluster": ("patch", CLUSTER, "202"),
    "DeleteCluster": ("delete", CLUSTER, "202"),
    "ListComputeNodeGroups": ("get", GROUPS, "200"),
    "CreateComputeNodeGroup": ("post", GROUPS, "202"),
    "GetComputeNodeGroup": ("get", GROUP, "200"),
    "UpdateComputeNodeGroup": ("patch", GROUP, "202"),
    "DeleteComputeNodeGroup": ("delete", GROUP, "202"),
    "ListQueues": ("get", QUEUES, "200"),
    "CreateQueue": ("post", QUEUES, "202"),
    "GetQueue": ("get", QUEUE, "200"),
    "UpdateQueue": ("patch", QUEUE, "202"),
    "DeleteQueue": ("delete", QUEUE, "202"),
    "ListTagsForResource": ("get", "/v1/tags", "200"),
    "TagResource": ("post", "/v1/tags", "204"),
    "UntagResource": ("delete", "/v1/tags", "204"),
    "RegisterComputeNodeGroupInstance": ("post", f"{CLUSTER}/compute-node-group-instances", "200"),
}

OPERATION_KEYS = [
    "operationId", "summary", "description", "tags", "x-pcs-mutation", "x-pcs-upstream", "parameters",
    "requestBody", "responses", "security", "x-amazon-apigateway-integration",
]

# Status of an error answer: the codes it can carry.
CODES_OF_STATUS = {
    "400": {"ValidationException"},
    "402": {"ServiceQuotaExceededException"},
    "403": {"GuardrailDenied", "AccessDeniedException", "UpstreamAccessDenied"},
    "404": {"ResourceNotFoundException"},
    "409": {"ConflictException"},
    "412": {"DryRunOperation"},
    "413": {"RequestTooLargeException"},
    "415": {"UnsupportedMediaTypeException"},
    "429": {"ThrottlingException"},
    "500": {"InternalServerException"},
    "502": {"BadGatewayException"},
    "503": {"ServiceUnavailableException", "AuditUnavailableException", "InstanceProfilePropagating"},
    "504": {"GatewayTimeoutException"},
}

# 405 is answered before an operation is known, so no operation documents it.
CODES_WITHOUT_OPERATION = {"MethodNotAllowedException"}

# API Gateway's own error, and the status and code that the deployment answers it with.
GATEWAY_RESPONSES = {
    "ACCESS_DENIED": ("403", "AccessDeniedException"),
    "BAD_REQUEST_BODY": ("400", "ValidationException"),
    "BAD_REQUEST_PARAMETERS": ("400", "ValidationException"),
    "DEFAULT_4XX": (None, "ValidationException"),
    "DEFAULT_5XX": (None, "InternalServerException"),
    "EXPIRED_TOKEN": ("403", "AccessDeniedException"),
    "INTEGRATION_FAILURE": ("502", "BadGatewayException"),
    "INTEGRATION_TIMEOUT": ("504", "GatewayTimeoutException"),
    "INVALID_API_KEY": ("403", "AccessDeniedException"),
    "INVALID_SIGNATURE": ("403", "AccessDeniedException"),
    "MISSING_AUTHENTICATION_TOKEN": ("403", "AccessDeniedException"),
    "QUOTA_EXCEEDED": ("429", "ThrottlingException"),
    "REQUEST_TOO_LARGE": ("413", "RequestTooLargeException"),
    "RESOURCE_NOT_FOUND": ("404", "ResourceNotFoundException"),
    "THROTTLED": ("429", "ThrottlingException"),
    "UNAUTHORIZED": ("403", "AccessDeniedException"),
    "UNSUPPORTED_MEDIA_TYPE": ("415", "UnsupportedMediaTypeException"),
    "WAF_FILTERED": ("403", "AccessDeniedException"),
}

# Every keyword that a schema may use: what the build script of the gateway compiles and API Gateway imports. Not among
# them, because the importer refuses or drops them: discriminator, exclusiveMinimum, exclusiveMaximum, oneOf, anyOf,
# allOf, not, nullable, readOnly, writeOnly, deprecated, example, xml.
SCHEMA_KEYWORDS = {
    "type", "format", "description", "enum", "default", "minLength", "maxLength", "pattern", "minimum", "maximum",
    "minItems", "maxItems", "items", "required", "properties", "additionalProperties", "minProperties",
    "maxProperties", "x-pcs-form", "x-pcs-map-key", "x-pcs-sensitive",
}

# int32, int64 and decimal are refused by the importer.
SCHEMA_FORMATS = {"date-time", "password"}

FORBIDDEN_ANYWHERE = {
    "callbacks", "links", "x-amazon-apigateway-request-validator", "x-amazon-apigateway-request-validators",
}

# One leading look-ahead, classes, \w \d \S and escaped punctuation, groups without capture, alternation, greedy
# repetition: what the build script compiles.
PATTERN_GRAMMAR = re.compile(
    r"""\^ (\(\?! [A-Za-z_]+ \))?
        ( \\[wdS./] | \[ (?:\\w|[^\]\\^])+ \] | \(\?: | \) | \| | [*+?] | \{[0-9]+(?:,[0-9]*)?\} | [A-Za-z0-9:/_.-] )*
        \$ \Z""",
    re.VERBOSE,
)

# Members of a proxy event and of its context, as API Gateway sends them for AWS_IAM methods of an imported REST API.
EVENT_KEYS = [
    "resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters",
    "multiValueQueryStringParameters", "pathParameters", "stageVariables", "requestContext", "body", "isBase64Encoded",
]
CONTEXT_KEYS = {
    "resourceId", "resourcePath", "operationName", "httpMethod", "extendedRequestId", "requestTime", "path",
    "accountId", "protocol", "stage", "domainPrefix", "requestTimeEpoch", "requestId", "identity", "domainName",
    "apiId",
}
IDENTITY = {
    "cognitoIdentityPoolId": None,
    "accountId": "123456789012",
    "cognitoIdentityId": None,
    "caller": "AROADBQP57FF2AEXAMPLE:portal",
    "sourceIp": "192.0.2.10",
    "principalOrgId": "o-exampleorgid",
    "accessKey": "AKIAIOSFODNN7EXAMPLE",
    "cognitoAuthenticationType": None,
    "cognitoAuthenticationProvider": None,
    "userArn": "arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/portal",
    "userAgent": "portal/1.0",
    "user": "AROADBQP57FF2AEXAMPLE:portal",
}

CONTRACT_DOCUMENT = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))


@pytest.fixture
def contract():
    return CONTRACT_DOCUMENT


class Document:
    """A contract with its references, for validating values against any schema in it."""

    def __init__(self, contract):
        self.contract = contract
        self.registry = Registry().with_resource("urn:contract", Resource(contents=contract, specification=DRAFT4))

    def resolve(self, node):
        while "$ref" in node:
            target = self.contract
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def faults(self, pointer, value):
        """Messages of all faults of the value against the schema at the pointer, a list of keys from the root."""
        path = "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in pointer)
        validator = OAS30Validator(
            {"$ref": f"urn:contract#/{path}"}, registry=self.registry, format_checker=oas30_format_checker
        )
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)]

    def body_faults(self, operation, value):
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        return self.faults(schema["$ref"].removeprefix("#/").split("/"), value)


def operations(contract):
    """(path, method, operation) of all operations, in the order of the file."""
    return [(path, method, operation) for path, item in contract["paths"].items() for method, operation in item.items()]


def by_id(contract):
    return {operation["operationId"]: operation for _, _, operation in operations(contract)}


def nodes(node, pointer=()):
    """All objects of the document with the keys that lead to them; examples are values, not parts of it."""
    if isinstance(node, dict):
        yield pointer, node
        for key, value in node.items():
            if key not in ("example", "examples"):
                yield from nodes(value, (*pointer, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from nodes(value, (*pointer, index))


def schemas(contract):
    """All schema objects, nested ones too, with the keys that lead to them. References are left out."""

    def walk(schema, pointer):
        if "$ref" in schema:
            return
        yield pointer, schema
        for name, member in schema.get("properties", {}).items():
            yield from walk(member, (*pointer, "properties", name))
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from walk(schema[key], (*pointer, key))

    for name, schema in contract["components"]["schemas"].items():
        yield from walk(schema, ("components", "schemas", name))
    for pointer, node in nodes(contract):
        if "schemas" not in pointer and isinstance(node.get("schema"), dict):
            yield from walk(node["schema"], (*pointer, "schema"))


def examples(contract):
    """(pointer to the schema, example) of every example in the document."""
    for pointer, node in nodes(contract):
        if "schema" in node and "schemas" not in pointer:
            if "example" in node:
                yield (*pointer, "schema"), node["example"]
            for named in node.get("examples", {}).values():
                yield (*pointer, "schema"), named["value"]


def closed(contract):
    """A copy in which no object takes members that it does not declare, so that a misspelt example is noticed."""
    copied = copy.deepcopy(contract)
    for _, schema in schemas(copied):
        if schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return copied


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
        assert "RegionQuery" in references, name
        assert ("DryRunQuery" in references) is operation["x-pcs-mutation"], name


def test_every_pattern_is_told_in_words(contract):
    for _, schema in schemas(contract):
        assert ("pattern" in schema) is bool(schema.get("x-pcs-form", "").strip())


def test_path_parameters_are_declared(contract):
    document = Document(contract)
    for path, _, operation in operations(contract):
        declared = [p["name"] for p in map(document.resolve, operation["parameters"]) if p["in"] == "path"]
        assert declared == re.findall(r"\{(\w+)\}", path)


def test_bodies_belong_to_post_and_patch(contract):
    for _, method, operation in operations(contract):
        assert ("requestBody" in operation) is (method in ("post", "patch")), operation["operationId"]
        if "requestBody" in operation:
            assert operation["requestBody"]["required"] is True


def test_regions_are_those_of_cloudformation(contract):
    offered = [name for name in REGIONS if "AWS::PCS::Cluster" in PROVIDER_SCHEMA_MANAGER.get_resource_types(name)]
    assert len(offered) > 20
    assert contract["components"]["schemas"]["Region"]["enum"] == sorted(offered)


def test_every_operation_documents_its_errors(contract):
    for name, operation in by_id(contract).items():
        statuses = set(operation["responses"])
        assert {"400", "403", "429", "500", "502", "503", "504"} <= statuses, name
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


# What API Gateway and the build script accept -----------------------------------------------------------------------


def test_every_operation_is_signed(contract):
    assert "security" not in contract, "API Gateway ignores it at the top level"
    scheme = contract["components"]["securitySchemes"]["awsSigv4"]
    assert (scheme["type"], scheme["name"], scheme["in"]) == ("apiKey", "Authorization", "header")
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"
    for name, operation in by_id(contract).items():
        assert operation["security"] == [{"awsSigv4": []}], name


def test_every_operation_calls_the_function(contract):
    function = (
        "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
        "${PcsApiFunction.Arn}/invocations"
    )
    for name, operation in by_id(contract).items():
        assert operation["x-amazon-apigateway-integration"] == {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "payloadFormatVersion": "1.0",
            "timeoutInMillis": 29000,
            "uri": {"Fn::Sub": function},
        }, name


def test_gateway_responses_have_the_shape_of_errors(contract):
    document = Document(contract)
    written = contract["x-amazon-apigateway-gateway-responses"]
    assert set(written) == set(GATEWAY_RESPONSES)
    for name, (status, code) in GATEWAY_RESPONSES.items():
        assert written[name].get("statusCode") == status, name
        assert list(written[name]["responseTemplates"]) == ["application/json"], name
        template = written[name]["responseTemplates"]["application/json"]
        answer = template.replace("$context.error.messageString", '"Missing \\"x\\""')
        answer = answer.replace("$context.requestId", "id")
        assert "$" not in answer, name
        error = json.loads(answer)
        assert (error["code"], error["requestId"]) == (code, "id"), name
        assert not document.faults(("components", "schemas", "ApiError"), error), name
        has_retry_after = "gatewayresponse.header.Retry-After" in written[name].get("responseParameters", {})
        assert has_retry_after is (status == "429"), name


def test_schemas_use_known_keywords_only(contract):
    found = list(schemas(contract))
    assert not [(pointer, set(schema) - SCHEMA_KEYWORDS) for pointer, schema in found if set(schema) - SCHEMA_KEYWORDS]
    assert {schema["format"] for _, schema in found if "format" in schema} == SCHEMA_FORMATS
    assert {schema["type"] for _, schema in found} == {"object", "array", "string", "integer", "boolean"}


def test_document_avoids_what_the_importer_drops(contract):
    for pointer, node in nodes(contract):
        assert not FORBIDDEN_ANYWHERE & set(node), pointer
        assert node.get("in") != "cookie", pointer
    for _, _, operation in operations(contract):
        assert "default" not in operation["responses"]


def test_names_and_paths_are_importable(contract):
    assert not [name for name in contract["components"]["schemas"] if not re.fullmatch("[A-Za-z0-9]+", name)]
    for path in contract["paths"]:
        assert re.fullmatch(r"(/([a-z0-9-]+|\{[A-Za-z]+\}))+", path), path


def test_references_stand_alone(contract):
    assert not [pointer for pointer, node in nodes(contract) if "$ref" in node and len(node) > 1]


def test_file_suits_aws_include():
    text = CONTRACT.read_text(encoding="utf-8")
    for event in yaml.parse(text):
        assert not isinstance(event, yaml.AliasEvent), event.start_mark
        assert getattr(event, "anchor", None) is None, event.start_mark
        assert getattr(event, "tag", None) is None, event.start_mark
    for line in text.splitlines():
        assert "${" not in line or line.lstrip().startswith("Fn::Sub:"), line


def test_objects_in_requests_are_closed(contract):
    document = Document(contract)
    bodies = [operation["requestBody"] for operation in by_id(contract).values() if "requestBody" in operation]
    pending = [body["content"]["application/json"]["schema"] for body in bodies]
    seen, open_objects = set(), []
    while pending:
        schema = pending.pop()
        if "$ref" in schema:
            if schema["$ref"] in seen:
                continue
            seen.add(schema["$ref"])
        name, schema = schema.get("$ref"), document.resolve(schema)
        if schema["type"] == "object" and schema.get("additionalProperties", True) is True:
            open_objects.append(name)
        pending += schema.get("properties", {}).values()
        pending += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    assert not open_objects
    assert len(seen) > 50


def test_patterns_are_anchored_and_plain(contract):
    patterns = {schema["pattern"] for _, schema in schemas(contract) if "pattern" in schema}
    assert patterns
    assert not [pattern for pattern in patterns if not PATTERN_GRAMMAR.match(pattern)]
    for pattern in patterns:
        inner = re.sub(r"\(\?:[^()]*(?:\([^()]*\)[^()]*)*\)", "", pattern)
        while (shorter := re.sub(r"\([^()]*\)", "", inner)) != inner:
            inner = shorter
        assert "|" not in re.sub(r"\[[^\]]*\]", "", inner), f"an anchor binds to one branch only: {pattern}"


@pytest.mark.parametrize(
    "pattern",
    ["abc$", "^abc", "^a(?=b)$", "^a(?!b)$", "^(a)$", r"^a\b$", r"^\p{L}$", "^a.*?$x", r"^[^a]$", r"^(?:a)\1$"],
)
def test_pattern_grammar_refuses(pattern):
    assert not PATTERN_GRAMMAR.match(pattern)


# Events -------------------------------------------------------------------------------------------------------------


def kebab_case(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


OPERATION_OF_EVENT = {kebab_case(name): name for name in ROUTES}
ALL_EVENTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(EVENTS.glob("*.json"))}
REFUSED = {
    "refused-bad-region", "refused-duplicate-keys", "refused-foreign-account", "refused-foreign-api",
    "refused-foreign-profile", "refused-invalid-members", "refused-media-type", "refused-no-identity",
    "refused-not-a-rest-event", "refused-test-invoke-stage", "refused-unknown-profile", "refused-unknown-route",
    "refused-wrong-method",
}
REST_EVENTS = sorted(set(ALL_EVENTS) - {"refused-not-a-rest-event"})


def test_events_are_the_operations_and_the_refusals():
    assert set(ALL_EVENTS) == {*OPERATION_OF_EVENT, *REFUSED, "dryrun-create-cluster"}


@pytest.mark.parametrize("name", REST_EVENTS)
def test_event_has_the_shape_of_api_gateway(name):
    event = ALL_EVENTS[name]
    context = event["requestContext"]
    assert list(event) == EVENT_KEYS
    assert event["isBase64Encoded"] is False
    assert event["stageVariables"] is None
    assert context["resourcePath"] == event["resource"]
    assert context["httpMethod"] == event["httpMethod"]
    filled = event["resource"]
    for parameter, value in (event["pathParameters"] or {}).items():
        filled = filled.replace(f"{{{parameter}}}", value)
    assert event["path"] == filled
    for single in ("headers", "queryStringParameters"):
        multiple = event[f"multiValue{single[0].upper()}{single[1:]}"] or {}
        assert (event[single] or {}) == {key: values[-1] for key, values in multiple.items()}
    # API Gateway keeps the signature to itself where it has checked it.
    assert "authorization" not in {key.lower() for key in event["headers"] or {}}


@pytest.mark.parametrize("name", [*OPERATION_OF_EVENT, "dryrun-create-cluster"])
def test_event_comes_from_the_documented_deployment(name):
    event = ALL_EVENTS[name]
    context = event["requestContext"]
    assert set(context) == CONTEXT_KEYS
    assert context["identity"] == IDENTITY
    assert (context["accountId"], context["apiId"], context["stage"]) == ("123456789012", "a1b2c3d4e5", "prod")
    assert context["domainName"] == event["headers"]["Host"] == "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
    assert context["path"] == f"/prod{event['path']}"


def parameter_faults(document, operation, event):
    """Faults of the event's path and query parameters, read as OpenAPI says (form style, exploded)."""
    faults, known = [], {"path": set(), "query": set()}
    given = {"path": event["pathParameters"] or {}, "query": event["multiValueQueryStringParameters"] or {}}
    for reference in operation["parameters"]:
        parameter = document.resolve(reference)
        name, place = parameter["name"], parameter["in"]
        known[place].add(name)
        if name not in given[place]:
            faults += [f"{name}: missing"] if parameter["required"] else []
            continue
        kind = document.resolve(parameter["schema"])["type"]
        value = given[place][name]
        if place == "query" and kind != "array":
            assert len(value) == 1, name
            value = value[0]
        if kind in ("integer", "boolean"):
            value = json.loads(value)
        pointer = [*reference["$ref"].removeprefix("#/").split("/"), "schema"]
        faults += [f"{name}: {fault}" for fault in document.faults(pointer, value)]
    faults += [f"{name}: unknown" for place in given for name in set(given[place]) - known[place]]
    return faults


def event_faults(contract, event):
    document = Document(contract)
    operation = contract["paths"].get(event["resource"], {}).get(event["httpMethod"].lower())
    if operation is None:
        return ["no such route"]
    faults = parameter_faults(document, operation, event)
    if "requestBody" in operation:
        if event["headers"] is not None and event["headers"].get("Content-Type") != "application/json":
            return [*faults, "Content-Type: not application/json"]
        faults += document.body_faults(operation, json.loads(event["body"]))
    elif event["body"] is not None:
        faults.append("body: unexpected")
    return faults


@pytest.mark.parametrize("name", [*OPERATION_OF_EVENT, "dryrun-create-cluster"])
def test_event_fits_its_operation(name, contract):
    event = ALL_EVENTS[name]
    operation = OPERATION_OF_EVENT.get(name, "CreateCluster")
    method, path, _ = ROUTES[operation]
    assert (event["httpMethod"].lower(), event["resource"]) == (method, path)
    assert event["requestContext"]["operationName"] == operation
    assert event_faults(contract, event) == []


def test_dry_run_is_asked_for():
    assert ALL_EVENTS["dryrun-create-cluster"]["queryStringParameters"] == {"dryrun": "true"}


# Events that the contract allows: what is wrong with them lies in the context, in IAM, or in duplicate keys.
@pytest.mark.parametrize(
    "name",
    sorted(REFUSED - {
        "refused-bad-region", "refused-invalid-members", "refused-media-type", "refused-not-a-rest-event",
        "refused-unknown-route", "refused-wrong-method",
    }),
)
def test_refused_event_has_one_fault_outside_the_contract(name, contract):
    assert event_faults(contract, ALL_EVENTS[name]) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("refused-bad-region", ["region: : 'us-east-9' is not one of"]),
        ("refused-media-type", ["Content-Type: "]),
        ("refused-unknown-route", ["no such route"]),
        ("refused-wrong-method", ["no such route"]),
        (
            "refused-invalid-members",
            [
                ": Additional properties are not allowed ('colour'",
                "clientToken: 'short' is too short",
                "clusterName: 'x' does not match",
                "clusterName: 'x' is too short",
                "networking.subnetIds.0: 'subnet-1' does not match",
                "scheduler.type: 'PBS' is not one of",
                "scheduler.version: 25.05 is not of type 'string'",
                "size: 'HUGE' is not one of",
                "slurmConfiguration.scaleDownIdleTimeInSeconds: 0 is less than the minimum",
                "tags: {} ",
            ],
        ),
    ],
)
def test_refused_event_breaks_the_contract(name, expected, contract):
    faults = sorted(event_faults(contract, ALL_EVENTS[name]))
    assert len(faults) == len(expected), faults
    for fault, start in zip(faults, expected, strict=True):
        assert fault.startswith(start), faults


def test_refused_contexts_are_wrong_in_what_their_names_say():
    def context(name):
        return ALL_EVENTS[name]["requestContext"]

    assert context("refused-test-invoke-stage")["stage"] == "test-invoke-stage"
    assert context("refused-test-invoke-stage")["identity"]["sourceIp"] == "test-invoke-source-ip"
    nobody = context("refused-no-identity")["identity"]
    assert {key for key, value in nobody.items() if value is not None} == {"sourceIp", "userAgent"}
    assert context("refused-foreign-api")["apiId"] != "a1b2c3d4e5"
    assert context("refused-foreign-account")["accountId"] == "999999999999"
    assert ALL_EVENTS["refused-not-a-rest-event"]["version"] == "2.0"
    assert "resource" not in ALL_EVENTS["refused-not-a-rest-event"]


def test_refused_bodies_are_wrong_in_what_their_names_say():
    def profile(name):
        return json.loads(ALL_EVENTS[name]["body"])["iamInstanceProfileArn"]

    assert profile("refused-foreign-profile").split(":")[4] == "999999999999"
    assert profile("refused-unknown-profile") != profile("create-compute-node-group")
    keys = []
    body = ALL_EVENTS["refused-duplicate-keys"]["body"]
    json.loads(body, object_pairs_hook=lambda pairs: keys.extend(key for key, _ in pairs))
    assert keys.count("clusterName") == 2
