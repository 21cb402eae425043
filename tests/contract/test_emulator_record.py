"""Every answer of a whole run against botocore's model of PCS: no sample, and whoever the client was.

An emulator started with PCS_EMULATOR_RECORD (or --record) appends each answered call to that file. The emulators of
this pytest run all do (pcs_life.py). To have the Rust tests' answers checked as well, run those first, this file last:

    export PCS_EMULATOR_RECORD=$PWD/target/pcs-calls.jsonl
    cargo test --workspace
    pytest tests/contract
    pytest tests/contract/test_emulator_record.py
"""

import collections
import json

import boto3
import pytest
from botocore.utils import parse_timestamp

from pcs_life import ALWAYS, RECORD, UNMODELLED, conforms, emulator
from test_emulator_life import Boto, Life

SERVICE = boto3.client("pcs", region_name="us-east-1").meta.service_model


def faults(call):
    """What is wrong with a recorded answer, or None. `__type` and the header are the protocol's, not the shape's."""
    try:
        check(call)
    except (AssertionError, KeyError, TypeError, ValueError) as fault:
        return f"{type(fault).__name__}: {fault}"
    return None


def check(call):
    assert call["requestId"], "no request id"
    if call["fault"] == "garbage":
        return
    if call["status"] == 200:
        operation = SERVICE.operation_model(call["action"])
        conforms(operation.output_shape, call["output"])
        timestamps(operation.output_shape, call["output"])
        return
    body = dict(call["output"])
    code = body.pop("__type")
    assert code == call["errorType"], "header and body name different errors"
    assert body["message"], "no message"
    if code in UNMODELLED or (call["fault"] == "error" and code not in SERVICE.shape_names):
        return
    operation = SERVICE.operation_model(call["action"])
    if call["fault"] != "error":
        assert code in {shape.name for shape in operation.error_shapes} | ALWAYS, "not an error of this operation"
    conforms(SERVICE.shape_for(code), body)


def timestamps(shape, value):
    """Strings in ISO 8601, as the model's timestampFormat says; the validator would take numbers as well."""
    if shape.type_name == "structure":
        for name, member in value.items():
            timestamps(shape.members[name], member)
    elif shape.type_name == "list":
        for entry in value:
            timestamps(shape.member, entry)
    elif shape.type_name == "timestamp":
        assert isinstance(value, str) and value.endswith("Z") and parse_timestamp(value), value


def test_every_answer_of_the_run_conforms_to_the_model():
    with emulator("--transition-seconds", "60") as started:
        Life(started, Boto(started.url)).run()
    answered, wrong = collections.Counter(), []
    with RECORD.open() as lines:
        for number, line in enumerate(lines, 1):
            call = json.loads(line)
            answered[call["action"], call["status"]] += 1
            fault = faults(call)
            if fault:
                wrong.append(f"line {number}: {call['action']}: {fault}")
    print(f"{sum(answered.values())} answers in {RECORD}")
    assert not wrong, f"{len(wrong)} answers, the first: " + "\n".join(wrong[:20])
    succeeded = {action for action, status in answered if status == 200}
    assert succeeded >= set(SERVICE.operation_names), "the record has no success of some operations"


CLUSTER = {"name": "demo", "id": "pcs_abc1234567", "arn": "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_abc1234567",
           "createdAt": "2024-07-16T17:13:09.276069393Z", "modifiedAt": "2024-07-16T17:13:09.276069393Z",
           "status": "ACTIVE"}
LISTED = {"action": "ListClusters", "fault": None, "status": 200, "requestId": "r", "errorType": None, "input": {},
          "output": {"clusters": [CLUSTER]}}
REFUSED = {**LISTED, "action": "GetCluster", "status": 400, "errorType": "ConflictException",
           "output": {"__type": "ConflictException", "message": "m", "resourceId": "r", "resourceType": "cluster"}}


@pytest.mark.parametrize(("call", "change"), [
    (LISTED, {"output": {}}),
    (LISTED, {"output": {"clusters": [{**CLUSTER, "size": "SMALL"}]}}),
    (LISTED, {"output": {"clusters": [{**CLUSTER, "status": "READY"}]}}),
    (LISTED, {"output": {"clusters": [{**CLUSTER, "createdAt": 1721149989}]}}),
    (LISTED, {"output": "<html>"}),
    (LISTED, {"requestId": None}),
    (REFUSED, {"errorType": "ValidationException"}),
    (REFUSED, {"output": {"__type": "ConflictException", "message": "m"}}),
    (REFUSED, {"action": "ListTagsForResource"}),
])
def test_a_wrong_answer_would_be_seen(call, change):
    assert faults(call) is None
    assert faults({**call, **change})
