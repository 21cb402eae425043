"""Answers of the API against openapi/pcs-api.yaml: operation by method and path, response by status, body by schema."""

import functools
import json
import pathlib
import re
from dataclasses import dataclass, field

import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

CONTRACT = pathlib.Path(__file__).parents[2] / "openapi" / "pcs-api.yaml"
METHODS = ("get", "put", "post", "delete", "patch", "options", "head", "trace")
API_ERROR = {"$ref": "#/components/schemas/ApiError"}


@dataclass
class Answer:
    """What came back. Header names are in lower case; `calls` is what the API asked PCS and IAM for it."""

    status: int
    headers: dict
    body: bytes
    calls: list = field(default_factory=list)

    @functools.cached_property
    def json(self):
        return json.loads(self.body)

    @property
    def request_id(self):
        return self.headers["x-amzn-requestid"]


@functools.cache
def contract():
    return yaml.safe_load(CONTRACT.read_text())


def resolved(node):
    """The node itself, or what its reference points to."""
    while "$ref" in node:
        target = contract()
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


@functools.cache
def routes():
    """(method, expression for the path, template, operation) of every operation."""
    found = []
    for template, item in contract()["paths"].items():
        expression = re.compile("/".join("[^/]+" if part.startswith("{") else part for part in template.split("/")))
        found += [(method.upper(), expression, template, item[method]) for method in METHODS if method in item]
    return found


def operation_of(method, target):
    """Template and operation that a request is for, or (None, None)."""
    path = target.partition("?")[0]
    for verb, expression, template, operation in routes():
        if verb == method and expression.fullmatch(path):
            return template, operation
    return None, None


@functools.cache
def registry():
    resource = Resource.from_contents(contract(), default_specification=DRAFT4)
    return Registry().with_resource("urn:contract", resource).crawl()


def faults(schema, instance):
    """What is wrong with `instance`. `schema` is plain, or a reference into the contract."""
    if "$ref" in schema:
        schema = {"$ref": f"urn:contract{schema['$ref']}"}
    validator = OAS30Validator(schema, registry=registry(), format_checker=oas30_format_checker)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]


def check(operation, answer):
    """Fails unless the contract describes the answer. Without an operation it has to be an ApiError."""
    if operation is None:
        assert answer.status >= 400, "an answer without an operation"
        check_body({"schema": API_ERROR}, answer)
    else:
        documented = operation["responses"]
        name = operation["operationId"]
        assert str(answer.status) in documented, f"{name} documents no {answer.status}: {answer.body[:500]}"
        response = resolved(documented[str(answer.status)])
        for header, description in response.get("headers", {}).items():
            if description.get("required"):
                value = answer.headers.get(header.lower(), "")
                assert not faults(description["schema"], int(value)), f"{name}: {header}: {value}"
        check_body(response.get("content", {}).get("application/json"), answer)
    if answer.status >= 400:
        assert answer.json["requestId"] == answer.request_id


def check_body(media, answer):
    if media is None:
        assert answer.body == b"" and "content-type" not in answer.headers, f"{answer.status} has no body"
        return
    assert answer.headers["content-type"] == "application/json"
    found = faults(media["schema"], answer.json)
    assert not found, f"{answer.status} {answer.body[:2000]}: {found}"
