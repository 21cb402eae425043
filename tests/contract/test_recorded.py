"""What the audit trail may keep of each operation's input and output: recorded.golden, every line read by a person.

The truth is written twice: x-pcs-recorded in the contract, and recorded.golden. This file reads the contract by itself;
tests/it/recorded.rs holds the tables of the function against the same lines. botocore's model says what is a secret.

A line is `Operation input|output path -> verdict`: `[]` is an item of a list, `.*` a value of a map (whose keys are kept
with the values), `.` the whole body. A change of the contract shows here as lines to add or to take away by hand.
"""

import copy
import pathlib
import re

import botocore.loaders
import pytest

from openapi_document import CONTRACT_DOCUMENT, ROUTES, Document, by_id

GOLDEN = pathlib.Path(__file__).with_name("recorded.golden")

# Names of what is a secret or may hold one. Scripts' checksums and versions, and where PCS keeps a secret, are not.
SUSPICIOUS = re.compile(
    r"token|secret|password|passphrase|credential|signature|private|argument|user_?data|bootstrap|value|setting|message"
    r"|(?<!al)location|url|header|body|authorization|key",
    re.IGNORECASE,
)
NOT_SECRET = {
    # Where PCS keeps a secret, in Secrets Manager; its value is never fetched.
    "secretArn", "secretVersion",
    # Names: of an EC2 key pair, of tags.
    "sshKeyName", "tagKeys",
    # An address within the VPC.
    "privateIpAddress",
}


def recorded_lines(contract):
    """The lines that the contract's own marks amount to."""
    document, lines = Document(contract), []
    for name, operation in by_id(contract).items():
        for parameter in map(document.resolve, operation["parameters"]):
            lines += walk(document, parameter["schema"], f"{name} input", parameter["name"])
        if "requestBody" in operation:
            media = operation["requestBody"]["content"]["application/json"]
            lines += walk(document, media["schema"], f"{name} input", "")
        answer = operation["responses"][ROUTES[name][2]]
        if "content" in answer:
            lines += walk(document, answer["content"]["application/json"]["schema"], f"{name} output", "")
        else:
            lines.append(f"{name} output . -> redacted")
    return sorted(lines)


def walk(document, schema, start, path):
    schema = document.resolve(schema)
    mark, where = schema.get("x-pcs-recorded"), f"{start} {path or '.'}"
    if schema["type"] == "array":
        assert mark is None, f"{where}: the mark belongs to the items"
        return walk(document, schema["items"], start, f"{path}[]")
    if schema["type"] == "object" and isinstance(schema.get("additionalProperties"), dict):
        assert mark in (None, True), where
        return [f"{where}.* -> whole string" if mark else f"{where} -> redacted"]
    if schema["type"] == "object":
        assert mark is None, f"{where}: the mark belongs to the members"
        members = schema.get("properties")
        if not members:
            return [f"{where} -> redacted"]
        prefix = f"{path}." if path else ""
        return [line for name in members for line in walk(document, members[name], start, prefix + name)]
    verdicts = {None: "redacted", True: f"whole {schema['type']}", "without-query": "without-query"}
    return [f"{where} -> {verdicts[mark]}"]


def sensitive_paths(model):
    """`Operation input|output path` of each value that the model marks as sensitive."""
    shapes = model["shapes"]

    def inside(shape_name, path):
        shape = shapes[shape_name]
        if shape.get("sensitive"):
            yield path
        for name, member in shape.get("members", {}).items():
            yield from inside(member["shape"], f"{path}.{name}" if path else name)
        if shape["type"] == "list":
            yield from inside(shape["member"]["shape"], f"{path}[]")
        if shape["type"] == "map":
            yield from inside(shape["key"]["shape"], f"{path}.*")
            yield from inside(shape["value"]["shape"], f"{path}.*")

    for name, operation in model["operations"].items():
        for side in ("input", "output"):
            yield from (f"{name} {side} {path}" for path in inside(operation[side]["shape"], ""))


def unmarked_secrets(model, lines):
    """Sensitive values of the model that a line lets through, or that no line is about."""
    verdicts = dict(line.split(" -> ") for line in lines)
    return [path for path in sensitive_paths(model) if verdicts.get(path) != "redacted"]


def golden_lines():
    return GOLDEN.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def model():
    return copy.deepcopy(botocore.loaders.Loader().load_service_model("pcs", "service-2"))


def test_contract_records_what_was_reviewed():
    written, reviewed = set(recorded_lines(CONTRACT_DOCUMENT)), set(golden_lines())
    print(*(f"+{line}" for line in sorted(written - reviewed)), sep="\n")
    print(*(f"-{line}" for line in sorted(reviewed - written)), sep="\n")
    assert written == reviewed, "what is recorded has changed: the lines above"


def test_lines_are_sorted_and_written_once():
    assert golden_lines() == sorted(set(golden_lines()))
    assert len(golden_lines()) > 300


def test_secrets_of_the_model_are_redacted(model):
    assert list(sensitive_paths(model)) == ["RegisterComputeNodeGroupInstance output sharedSecret"]
    assert unmarked_secrets(model, golden_lines()) == []


def test_a_secret_that_a_later_model_names_is_noticed(model):
    model["shapes"]["SlurmCustomSetting"]["members"]["parameterName"] = {"shape": "SharedSecret"}
    found = unmarked_secrets(model, golden_lines())
    assert "CreateQueue input slurmConfiguration.slurmCustomSettings[].parameterName" in found
    assert "GetCluster output cluster.slurmConfiguration.slurmCustomSettings[].parameterName" in found


def test_names_that_sound_like_secrets_are_redacted_or_explained():
    suspected = set()
    for line in golden_lines():
        path, verdict = line.split(" ", 2)[2].split(" -> ")
        name = path.removesuffix(".*").rpartition(".")[2].replace("[]", "")
        if SUSPICIOUS.search(name) and verdict.startswith("whole"):
            suspected.add(name)
    assert suspected == NOT_SECRET


@pytest.mark.parametrize(
    ("component", "member", "expected"),
    [
        # What a new member looks like before anybody has thought about it.
        ("Cluster", {"type": "string"}, ["GetCluster output cluster.added -> redacted"]),
        ("CreateQueueRequest", {"type": "boolean"}, ["CreateQueue input added -> redacted"]),
        (
            "Cluster",
            {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
            ["GetCluster output cluster.added[].x -> redacted"],
        ),
        (
            "Cluster",
            {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/TagValue"}},
            ["GetCluster output cluster.added -> redacted"],
        ),
    ],
)
def test_a_new_member_is_redacted(component, member, expected):
    contract = copy.deepcopy(CONTRACT_DOCUMENT)
    contract["components"]["schemas"][component]["properties"]["added"] = member
    lines = set(recorded_lines(contract)) - set(golden_lines())
    assert set(expected) <= lines
    assert all(line.endswith(" -> redacted") for line in lines)
