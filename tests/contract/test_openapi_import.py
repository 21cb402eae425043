"""What API Gateway and the build script accept: the keywords, formats and patterns of the contract.

The references are API Gateway's "important notes" on importing an OpenAPI document, and its list of gateway responses.
API Gateway imports what scripts/deployed-contract makes of the contract (test_openapi_deployed.py); the contract itself
stays importable for who wants its models there.
"""

import json
import re

import pytest
import yaml

from openapi_document import CONTRACT, CONTRACT_DOCUMENT, DEPLOYED, Document, by_id, nodes, operations, schemas

# API Gateway's own error, and the status and code that the deployment answers it with. Not REQUEST_TOO_LARGE, which it
# does not let anybody customize.
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
    "maxProperties", "x-pcs-form", "x-pcs-map-key", "x-pcs-recorded", "x-pcs-sensitive",
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


@pytest.fixture
def contract():
    return CONTRACT_DOCUMENT


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
        "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${!stageVariables.function}"
        "/invocations"
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
    variables = {}
    for path in contract["paths"]:
        assert re.fullmatch(r"(/([a-z0-9-]+|\{[A-Za-z]+\}))+", path), path
        # "A sibling of this resource already has a variable path part -- only one is allowed".
        for found in re.finditer(r"\{\w+\}", path):
            assert variables.setdefault(path[:found.start()], found[0]) == found[0], path


def test_references_stand_alone(contract):
    assert not [pointer for pointer, node in nodes(contract) if "$ref" in node and len(node) > 1]


@pytest.mark.parametrize("file", [CONTRACT, DEPLOYED], ids=lambda file: file.name)
def test_file_suits_aws_include(file):
    text = file.read_text(encoding="utf-8")
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
