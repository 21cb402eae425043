"""The contract as data, with its references resolved, for the tests that read it.

ROUTES is the route table of the design, written down a second time on purpose.
"""

import copy
import pathlib

import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

ROOT = pathlib.Path(__file__).parents[2]
CONTRACT = ROOT / "openapi" / "pcs-api.yaml"
# What API Gateway imports.
DEPLOYED = ROOT / "openapi" / "pcs-api.deployed.yaml"
EVENTS = ROOT / "events"

CLUSTER = "/v1/clusters/{clusterIdentifier}"
GROUPS = f"{CLUSTER}/compute-node-groups"
GROUP = f"{GROUPS}/{{computeNodeGroupIdentifier}}"
QUEUES = f"{CLUSTER}/queues"
QUEUE = f"{QUEUES}/{{queueIdentifier}}"

# Operation: method, path, success status.
ROUTES = {
    "GetGuardrails": ("get", "/v1/guardrails", "200"),
    "ListAuditEvents": ("get", "/v1/audit-events", "200"),
    "GetAuditEvent": ("get", "/v1/audit-events/{eventId}", "200"),
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

CONTRACT_DOCUMENT = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))


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
