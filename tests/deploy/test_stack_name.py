"""How long the name of a stack may be: docs/deploy.md says it, and the patterns of docs/iam hold up to there.

Where a resource has no name of its own, CloudFormation makes one of the stack's name, the logical id and random
characters, and where that is longer than the service allows, it cuts the stack's name off.
"""

import re

import botocore.session
import pytest

from conftest import made
from deployer import FOLDER, section
from providers import schemas
from scenarios import SCENARIOS

# "Name type" in CloudFormation's User Guide has twelve; names of functions and rules have been seen with thirteen.
RANDOM = 13


def limits():
    """Type -> property that would name it, and how long the service lets a name be."""
    session = botocore.session.get_session()
    function = schemas()["AWS::Lambda::Function"]["properties"]["FunctionName"]["pattern"]
    queue = session.get_service_model("sqs").operation_model("CreateQueue").input_shape.members["QueueName"].documentation
    table = session.get_service_model("dynamodb").shape_for("TableName").metadata["max"]
    return {
        "AWS::Lambda::Function": ("FunctionName", int(re.match(r"\^\(\[a-zA-Z0-9_-\]\{1,(\d+)\}", function)[1])),
        "AWS::Events::Rule": ("Name", schemas()["AWS::Events::Rule"]["properties"]["Name"]["maxLength"]),
        "AWS::SQS::Queue": ("QueueName", int(re.search(r"up to (\d+) characters", queue)[1])),
        "AWS::Logs::LogGroup": ("LogGroupName", schemas()["AWS::Logs::LogGroup"]["properties"]["LogGroupName"]["maxLength"]),
        "AWS::CloudWatch::Alarm": ("AlarmName", schemas()["AWS::CloudWatch::Alarm"]["properties"]["AlarmName"]["maxLength"]),
        "AWS::DynamoDB::Table": ("TableName", table),
    }


def unnamed():
    """Logical id -> limit, of every resource that CloudFormation names by the stack's name."""
    found = {}
    for name in SCENARIOS:
        for logical, resource in made(name)[1].resources().items():
            named, limit = limits().get(resource["Type"], (None, None))
            if named and named not in resource["Properties"]:
                found[logical] = limit
    return found


@pytest.fixture(scope="module")
def longest():
    found = {logical: limit - len(f"-{logical}-") - RANDOM for logical, limit in unnamed().items()}
    assert {"PcsApiFunction", "SweepSchedule", "SweepDeadLetterQueue", "AuditTable", "AccessLogGroup"} <= set(found)
    return min(found.values())


@pytest.mark.parametrize("heading", ["Deploy", "Who may deploy"])
def test_the_page_says_how_long_a_stacks_name_may_be(longest, heading):
    said, = re.findall(r"at most (\d+) characters", section(heading))
    assert int(said) == longest


def test_the_policies_go_by_no_other_names():
    """A pattern that begins with the stack's name and a logical id is of one of these resources."""
    written = "".join((FOLDER / f"{name}.json").read_text() for name in ("deployer-api", "deployer-records", "function-role"))
    used = set(re.findall(r"[:/]pcs-api-([A-Z]\w*)-\*", written))
    assert {"PcsApiFunction", "SweepSchedule", "SweepDeadLetterQueue"} <= used <= set(unnamed())
