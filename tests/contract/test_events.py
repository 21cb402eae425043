"""events/ against the contract: each event is what API Gateway sends, fits its operation, and is wrong only on purpose."""

import json
import re
import urllib.parse

import pytest

from openapi_document import CONTRACT_DOCUMENT, EVENTS, ROUTES, Document

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


@pytest.fixture
def contract():
    return CONTRACT_DOCUMENT


def kebab_case(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


OPERATION_OF_EVENT = {kebab_case(name): name for name in ROUTES}
ALL_EVENTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(EVENTS.glob("*.json"))}
REFUSED = {
    "refused-bad-region", "refused-duplicate-keys", "refused-encoded-path", "refused-foreign-account",
    "refused-foreign-api", "refused-foreign-profile", "refused-invalid-members", "refused-media-type", "refused-method-override",
    "refused-no-identity", "refused-not-a-rest-event", "refused-test-invoke-stage", "refused-unknown-profile",
    "refused-unknown-route", "refused-wrong-method",
}
# Events beside the one that each operation has, and their operations.
FURTHER = {
    "create-cluster-with-job-submit-plugin": "CreateCluster",
    "create-compute-node-group-with-health-checks": "CreateComputeNodeGroup",
    "create-compute-node-group-with-iam": "CreateComputeNodeGroup",
    "dryrun-create-cluster": "CreateCluster",
}
GOOD_EVENTS = OPERATION_OF_EVENT | FURTHER
REST_EVENTS = sorted(set(ALL_EVENTS) - {"refused-not-a-rest-event"})


def test_events_are_the_operations_and_the_refusals():
    assert set(ALL_EVENTS) == {*GOOD_EVENTS, *REFUSED}


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
    # API Gateway passes the path on as it was sent, and the parameters decoded.
    assert urllib.parse.unquote(event["path"]) == filled
    assert (event["path"] == filled) == (name != "refused-encoded-path")
    for single in ("headers", "queryStringParameters"):
        multiple = event[f"multiValue{single[0].upper()}{single[1:]}"] or {}
        assert (event[single] or {}) == {key: values[-1] for key, values in multiple.items()}
    # API Gateway keeps the signature to itself where it has checked it.
    assert "authorization" not in {key.lower() for key in event["headers"] or {}}


@pytest.mark.parametrize("name", GOOD_EVENTS)
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


@pytest.mark.parametrize("name", GOOD_EVENTS)
def test_event_fits_its_operation(name, contract):
    event = ALL_EVENTS[name]
    operation = GOOD_EVENTS[name]
    method, path, _ = ROUTES[operation]
    assert (event["httpMethod"].lower(), event["resource"]) == (method, path)
    assert event["requestContext"]["operationName"] == operation
    assert event_faults(contract, event) == []


def test_a_role_is_asked_for_in_place_of_a_profile():
    body = json.loads(ALL_EVENTS["create-compute-node-group-with-iam"]["body"])
    assert body["iam"]["additionalIamPolicies"]
    assert "iamInstanceProfileArn" not in body


def test_events_hold_what_their_names_say():
    def body(name):
        return json.loads(ALL_EVENTS[name]["body"])

    assert body("create-cluster-with-job-submit-plugin")["slurmConfiguration"]["jobSubmitPlugins"]
    checks = body("create-compute-node-group-with-health-checks")["instanceHealthChecks"]
    assert set(checks) == {"healthMonitoring", "deepHealthChecks"}


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
