"""What API Gateway imports says the same as the whole contract, and nothing that an importer could refuse or misread.

The comparison is written down here a second time and shares nothing with scripts/deployed-contract, which makes the
file. What it may hold is a closed list: the parts of OpenAPI that API Gateway's own exports have. The references for its
extensions are the "Amazon API Gateway important notes" and botocore's model of API Gateway.
"""

import copy
import re
import shutil
import subprocess
import sys

import botocore.session
import pytest
import yaml
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from openapi_document import CONTRACT, CONTRACT_DOCUMENT, DEPLOYED, ROOT, ROUTES, Document, operations

SCRIPT = ROOT / "scripts" / "deployed-contract"
DEPLOYED_DOCUMENT = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))

METHODS = {"get", "put", "post", "delete", "patch"}
OPERATION = {"operationId", "parameters", "responses", "security", "x-amazon-apigateway-integration"}
NOWHERE = {"$ref", "example", "examples", "content", "requestBody", "schemas", "headers", "style", "explode", "tags"}


def extensions(node):
    return {key: value for key, value in node.items() if key.startswith("x-amazon-apigateway-")}


def told(document, operation):
    """What API Gateway takes of an operation."""
    resolve = Document(document).resolve
    parameters = [resolve(parameter) for parameter in operation.get("parameters", ())]
    return {
        "operationId": operation["operationId"],
        "parameters": [(each["name"], each["in"], each.get("required", False)) for each in parameters],
        "statuses": list(operation["responses"]),
        "descriptions": [resolve(response)["description"] for response in operation["responses"].values()],
        "security": operation["security"],
        "extensions": extensions(operation),
    }


def differences(whole, deployed):
    """Where the two say something else."""
    found = [
        f"{name} differs" for name, part in {
            "openapi": lambda document: document["openapi"],
            "version": lambda document: document["info"]["version"],
            "description": lambda document: document["info"]["description"],
            "servers": lambda document: document["servers"],
            "security schemes": lambda document: document["components"]["securitySchemes"],
            "extensions": extensions,
        }.items() if part(whole) != part(deployed)
    ]
    expected, written = [
        {(method, path): told(document, operation) for path, method, operation in operations(document)}
        for document in (whole, deployed)
    ]
    found += [f"{method} {path} is missing" for method, path in expected.keys() - written.keys()]
    found += [f"{method} {path} is in no contract" for method, path in written.keys() - expected.keys()]
    for method, path in expected.keys() & written.keys():
        for part, value in expected[method, path].items():
            if written[method, path][part] != value:
                found.append(f"{method} {path}: {part} differs")
    return found


def surplus(deployed):
    """What has no place in it, with the keys that lead there."""
    found = []

    def only(known, node, *pointer):
        found.extend("/".join([*pointer, key]) for key in node if key not in known)

    only({"openapi", "info", "servers", "x-amazon-apigateway-gateway-responses", "paths", "components"}, deployed)
    only({"title", "version", "description"}, deployed["info"], "info")
    only({"securitySchemes"}, deployed["components"], "components")
    for path, item in deployed["paths"].items():
        only(METHODS, item, path)
    for path, method, operation in operations(deployed):
        only(OPERATION, operation, path, method)
        for parameter in operation.get("parameters", []):
            only({"name", "in", "required", "schema"}, parameter, path, method, parameter["name"])
            if parameter.get("schema") != {"type": "string"}:
                found.append(f"{path}/{method}/{parameter['name']}/schema")
        for status, response in operation["responses"].items():
            only({"description"}, response, path, method, status)
            if not re.fullmatch("[1-5][0-9][0-9]", status):
                found.append(f"{path}/{method}/{status}")

    def walk(node, *pointer):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            key = str(key)
            if key in NOWHERE or key.startswith("x-pcs-") or key == "schema" and "parameters" not in pointer:
                found.append("/".join([*pointer, key]))
            walk(value, *pointer, key)

    walk(deployed)
    return found


def as_cloudformation_passes_it(document):
    """With the one intrinsic function decided that stands where OpenAPI wants a text."""
    copied = copy.deepcopy(document)
    assert copied["info"]["title"] == {"Fn::Sub": "${AWS::StackName}"}
    copied["info"]["title"] = "pcs-api"
    return copied


# The file -----------------------------------------------------------------------------------------------------------


def test_says_what_the_whole_contract_says():
    assert differences(CONTRACT_DOCUMENT, DEPLOYED_DOCUMENT) == []
    assert len(operations(DEPLOYED_DOCUMENT)) == len(ROUTES)


def test_has_nothing_that_api_gateway_does_not_use():
    assert surplus(DEPLOYED_DOCUMENT) == []


def test_is_valid_openapi():
    validate(as_cloudformation_passes_it(DEPLOYED_DOCUMENT))


def test_gateway_responses_are_those_that_api_gateway_knows():
    known = botocore.session.get_session().get_service_model("apigateway").shape_for("GatewayResponseType").enum
    written = DEPLOYED_DOCUMENT["x-amazon-apigateway-gateway-responses"]
    assert set(written) <= set(known)
    assert "REQUEST_TOO_LARGE" in known and "REQUEST_TOO_LARGE" not in written, "it cannot be customized"
    for name, response in written.items():
        assert set(response) <= {"statusCode", "responseParameters", "responseTemplates"}, name
        assert re.fullmatch(r"[1-5]\d\d", response.get("statusCode", "400")), name
        for parameter, value in response.get("responseParameters", {}).items():
            assert re.fullmatch(r"gatewayresponse\.header\.[\w-]+", parameter) and re.fullmatch("'[^']+'", value), name


# What the comparison notices ----------------------------------------------------------------------------------------


def first(deployed, method="get", path="/v1/clusters/{clusterIdentifier}"):
    return deployed["paths"][path][method]


DEVIATIONS = {
    "delete /v1/tags is missing": lambda it: it["paths"]["/v1/tags"].pop("delete"),
    "put /v1/tags is in no contract": lambda it: it["paths"]["/v1/tags"].update(put=it["paths"]["/v1/tags"]["post"]),
    "get /v2/clusters is in no contract": lambda it: it["paths"].update({"/v2/clusters": it["paths"]["/v1/clusters"]}),
    "operationId differs": lambda it: first(it).update(operationId="DescribeCluster"),
    "parameters differs": lambda it: first(it)["parameters"].pop(),
    "parameters differs (name)": lambda it: first(it)["parameters"][0].update(name="clusterName"),
    "parameters differs (in)": lambda it: first(it)["parameters"][1].update({"in": "header"}),
    "parameters differs (required)": lambda it: first(it)["parameters"][1].update(required=True),
    "statuses differs": lambda it: first(it)["responses"].pop("404"),
    "descriptions differs": lambda it: first(it)["responses"]["404"].update(description="Found."),
    "security differs": lambda it: first(it).update(security=[]),
    "extensions differs": lambda it: first(it)["x-amazon-apigateway-integration"].update(type="aws"),
    "extensions differs (uri)": lambda it: first(it)["x-amazon-apigateway-integration"]["uri"].clear(),
    "extensions differs (new)": lambda it: first(it).update({"x-amazon-apigateway-auth": {"type": "NONE"}}),
    "security schemes differs": lambda it: it["components"]["securitySchemes"]["awsSigv4"].update(name="X-Key"),
    "extensions differs (gateway response)": lambda it: it["x-amazon-apigateway-gateway-responses"].pop("THROTTLED"),
    "extensions differs (status)": lambda it: (
        it["x-amazon-apigateway-gateway-responses"]["THROTTLED"].update(statusCode="503")),
    "version differs": lambda it: it["info"].update(version="0.9.0"),
    "openapi differs": lambda it: it.update(openapi="3.1.0"),
    "servers differs": lambda it: it["servers"].clear(),
}


@pytest.mark.parametrize("expected", DEVIATIONS)
def test_a_deviation_is_noticed(expected):
    deployed = copy.deepcopy(DEPLOYED_DOCUMENT)
    DEVIATIONS[expected](deployed)
    found = differences(CONTRACT_DOCUMENT, deployed)
    assert any(each.endswith(expected.partition(" (")[0]) for each in found), found


SURPLUS = {
    "schemas": lambda it: it["components"].update(schemas={}),
    "parameters": lambda it: it["components"].update(parameters={}),
    "tags": lambda it: it.update(tags=[]),
    "security": lambda it: it.update(security=[{"awsSigv4": []}]),
    "license": lambda it: it["info"].update(license={"name": "Apache-2.0"}),
    "requestBody": lambda it: first(it, "patch").update(requestBody={"content": {}}),
    "x-pcs-mutation": lambda it: first(it).update({"x-pcs-mutation": False}),
    "summary": lambda it: first(it).update(summary="Get a cluster"),
    "trace": lambda it: it["paths"]["/v1/tags"].update(trace=first(it)),
    "content": lambda it: first(it)["responses"]["200"].update(content={}),
    "$ref": lambda it: first(it)["responses"]["200"].update({"$ref": "#/components/responses/NotFound"}),
    "4XX": lambda it: first(it)["responses"].update({"4XX": {"description": "Refused."}}),
    "default": lambda it: first(it)["responses"].update(default={"description": "Refused."}),
    "example": lambda it: first(it)["parameters"][0].update(example="demo-cluster"),
    "explode": lambda it: first(it)["parameters"][0].update(explode=True),
    "schema": lambda it: first(it)["parameters"][0].update(schema={"type": "string", "pattern": "^a$"}),
    "schema (in a response)": lambda it: first(it)["responses"]["200"].update(schema={"type": "string"}),
    "x-pcs-note": lambda it: it["components"]["securitySchemes"]["awsSigv4"].update({"x-pcs-note": ""}),
}


@pytest.mark.parametrize("expected", SURPLUS)
def test_surplus_is_noticed(expected):
    deployed = copy.deepcopy(DEPLOYED_DOCUMENT)
    SURPLUS[expected](deployed)
    assert expected.partition(" (")[0] in {each.rpartition("/")[2] for each in surplus(deployed)}


def test_what_is_not_openapi_is_noticed():
    deployed = as_cloudformation_passes_it(DEPLOYED_DOCUMENT)
    del first(deployed)["parameters"][0]["schema"]
    with pytest.raises(OpenAPIValidationError):
        validate(deployed)


# The script ---------------------------------------------------------------------------------------------------------


def run(root, *arguments, python=(sys.executable,)):
    command = [*python, root / "scripts" / SCRIPT.name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path):
    """The script and the contracts, in a folder of their own."""
    for file in (SCRIPT, CONTRACT, DEPLOYED):
        copied = tmp_path / file.relative_to(ROOT)
        copied.parent.mkdir(exist_ok=True)
        shutil.copy(file, copied)
    return tmp_path


def test_the_file_is_what_the_script_makes():
    done = run(ROOT, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", [CONTRACT, DEPLOYED], ids=lambda file: file.name)
def test_a_change_of_one_file_alone_is_refused(checkout, file):
    changed = checkout / file.relative_to(ROOT)
    text = changed.read_text(encoding="utf-8")
    changed.write_text(text.replace("operationId: GetQueue", "operationId: DescribeQueue"), encoding="utf-8")
    done = run(checkout, "--check")
    assert done.returncode == 1
    assert "DescribeQueue" in done.stdout
    assert done.stderr.endswith("Run scripts/deployed-contract.\n")

    assert run(checkout).returncode == 0
    assert run(checkout, "--check").returncode == 0
    again = (checkout / DEPLOYED.relative_to(ROOT)).read_text(encoding="utf-8")
    assert ("DescribeQueue" in again) is (file == CONTRACT)


def test_a_file_that_is_not_there_is_made(checkout):
    made = checkout / DEPLOYED.relative_to(ROOT)
    made.unlink()
    assert run(checkout, "--check").returncode == 1
    assert run(checkout).returncode == 0
    assert made.read_bytes() == DEPLOYED.read_bytes()


def test_what_the_script_cannot_do_it_says(checkout):
    unknown = run(checkout, "--chekc")
    assert (unknown.returncode, unknown.stderr) == (2, "usage: scripts/deployed-contract [--check]\n")
    # -S: a Python without any installed package.
    without_yaml = run(checkout, "--check", python=(sys.executable, "-I", "-S"))
    assert without_yaml.returncode == 1
    assert "PyYAML" in without_yaml.stderr and "pip install" in without_yaml.stderr


# What no contract of today has, but any may ---------------------------------------------------------------------------


def whole(contract, method="get", path="/v1/clusters/{clusterIdentifier}"):
    return contract["paths"][path][method]


def made_of(checkout, change):
    """The script's run on the changed contract, which is whole before the change."""
    contract = copy.deepcopy(CONTRACT_DOCUMENT)
    change(contract)
    text = yaml.safe_dump(contract, sort_keys=False, allow_unicode=True)
    (checkout / CONTRACT.relative_to(ROOT)).write_text(text, encoding="utf-8")
    return run(checkout)


ON_THE_PATH = {"name": "trace", "in": "header", "schema": {"type": "string"}, "description": "A trace."}

# A change of the contract, and what has to be other in the file.
CARRIED = {
    "nothing": (lambda it: None, lambda it: None),
    "a query parameter that does not say whether it is required": (
        lambda it: it["components"]["parameters"]["RegionQuery"].pop("required", None),
        lambda it: [each.pop("required") for _, _, operation in operations(it) for each in operation["parameters"]
                    if each["name"] == "region" and each["in"] == "query"],
    ),
    "an operation without parameters": (
        lambda it: whole(it, path="/v1/guardrails").pop("parameters"),
        lambda it: first(it, path="/v1/guardrails").pop("parameters"),
    ),
    "parameters of a path": (
        lambda it: it["paths"]["/v1/tags"].update(parameters=[ON_THE_PATH]),
        lambda it: [operation["parameters"].insert(0, {"name": "trace", "in": "header", "schema": {"type": "string"}})
                    for operation in it["paths"]["/v1/tags"].values()],
    ),
    "a parameter of a path that an operation has otherwise": (
        lambda it: (it["paths"]["/v1/guardrails"].update(parameters=[ON_THE_PATH]),
                    whole(it, path="/v1/guardrails").update(parameters=[{**ON_THE_PATH, "required": True}])),
        lambda it: first(it, path="/v1/guardrails").update(
            parameters=[{"name": "trace", "in": "header", "required": True, "schema": {"type": "string"}}]),
    ),
    "texts of a path": (
        lambda it: it["paths"]["/v1/tags"].update(summary="Tags", description="All of them.", **{"x-pcs-note": "a"}),
        lambda it: None,
    ),
    "security of all operations": (
        lambda it: (it.update(security=[{"awsSigv4": []}]), whole(it).pop("security"),
                    whole(it, "patch").update(security=[])),
        lambda it: first(it, "patch").update(security=[]),
    ),
    "no description": (lambda it: it["info"].pop("description"), lambda it: it["info"].pop("description")),
    "a status that is a number": (
        lambda it: whole(it)["responses"].update({200: whole(it)["responses"].pop("200")}),
        lambda it: first(it)["responses"].update({"200": first(it)["responses"].pop("200")}),
    ),
    "a reference to a reference": (
        lambda it: it["components"]["responses"].update(
            NotFound={"$ref": "#/components/responses/Lost~1here"},
            **{"Lost/here": it["components"]["responses"]["NotFound"]}),
        lambda it: None,
    ),
    "no operationId": (lambda it: whole(it).pop("operationId"), lambda it: first(it).pop("operationId")),
}


@pytest.mark.parametrize("name", CARRIED)
def test_legal_openapi_is_carried_over(name, checkout):
    change, expected = CARRIED[name]
    done = made_of(checkout, change)
    assert (done.returncode, done.stderr) == (0, "")
    deployed = copy.deepcopy(DEPLOYED_DOCUMENT)
    expected(deployed)
    assert yaml.safe_load((checkout / DEPLOYED.relative_to(ROOT)).read_text(encoding="utf-8")) == deployed


PLACE = "paths /v1/clusters/{clusterIdentifier}"

# A change of the contract, and how the sentence about it begins.
REFUSED = {
    "no security": (lambda it: whole(it).pop("security"), f"{PLACE} get has no security, and"),
    "no servers": (lambda it: it.pop("servers"), "there is no servers, which"),
    "no responses": (lambda it: whole(it).pop("responses"), f"{PLACE} get has no responses, which"),
    "no version": (lambda it: it["info"].pop("version"), "info has no version, which"),
    "servers of a path": (
        lambda it: it["paths"]["/v1/tags"].update(servers=[]), "paths /v1/tags servers has no place in"),
    "a path elsewhere": (
        lambda it: it["paths"].update({"/v1/x": {"$ref": "x.yaml"}}), "paths /v1/x $ref has no place in"),
    "servers of an operation": (lambda it: whole(it).update(servers=[]), f"{PLACE} get servers has no place in"),
    "callbacks": (lambda it: whole(it).update(callbacks={}), f"{PLACE} get callbacks has no place in"),
    "an extension of API Gateway's on a path": (
        lambda it: it["paths"]["/v1/tags"].update({"x-amazon-apigateway-cors": {}}),
        "paths /v1/tags x-amazon-apigateway-cors has no place in"),
    "an extension of API Gateway's among the components": (
        lambda it: it["components"].update({"x-amazon-apigateway-integrations": {}}),
        "components x-amazon-apigateway-integrations has no place in"),
    "something new": (lambda it: it.update(webhooks={}), "webhooks has no place in"),
    "a reference to nothing": (
        lambda it: whole(it)["parameters"].insert(0, {"$ref": "#/components/parameters/Lost"}),
        f"{PLACE} get parameters 0 refers to #/components/parameters/Lost, which is not there"),
    "a reference to itself": (
        lambda it: it["components"]["responses"].update(NotFound={"$ref": "#/components/responses/NotFound"}),
        "paths /v1/clusters get responses 404 refers to #/components/responses/NotFound, which is no component"),
    "a reference to another file": (
        lambda it: whole(it)["responses"].update({"404": {"$ref": "x.yaml#/NotFound"}}),
        f"{PLACE} get responses 404 refers to x.yaml#/NotFound, which is no component"),
    "a list for an object": (lambda it: it["paths"].update({"/v1/x": []}), "paths /v1/x is no object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_carry_over_is_named(name, checkout):
    change, sentence = REFUSED[name]
    before = DEPLOYED.read_bytes()
    done = made_of(checkout, change)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith(f"scripts/deployed-contract: openapi/pcs-api.yaml: {sentence}")
    assert (checkout / DEPLOYED.relative_to(ROOT)).read_bytes() == before


@pytest.mark.parametrize("content", [b"\xff", b"a: [", b"", b"a: 1\n"])
def test_what_is_no_contract_is_said(content, checkout):
    (checkout / CONTRACT.relative_to(ROOT)).write_bytes(content)
    done = run(checkout, "--check")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("scripts/deployed-contract: openapi/pcs-api.yaml: ")


@pytest.mark.parametrize("spoil, reason", [
    (lambda data: data.replace(b"\n", b"\r\n"), "The ends of its lines are not all line feeds."),
    (lambda data: data.rstrip(b"\n"), "The ends of its lines are not all line feeds."),
    (lambda data: data + b"# \xff\n", f"It is not UTF-8 at byte {DEPLOYED.stat().st_size + 2}."),
])
def test_a_file_with_other_bytes_is_refused(spoil, reason, checkout):
    spoilt = checkout / DEPLOYED.relative_to(ROOT)
    spoilt.write_bytes(spoil(DEPLOYED.read_bytes()))
    done = run(checkout, "--check")
    name, whole_name = DEPLOYED.relative_to(ROOT), CONTRACT.relative_to(ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{name} is not what {whole_name} makes. {reason} Run scripts/deployed-contract.\n"

    assert run(checkout).returncode == 0
    assert spoilt.read_bytes() == DEPLOYED.read_bytes()
