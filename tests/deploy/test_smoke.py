"""scripts/smoke where all is right, where something cannot be looked at, and where it cannot start: it never takes for
fine what it did not see. test_smoke_faults.py has the faults, smoke_world.py the account."""

import json
import os
import re
import subprocess
import sys

import boto3
import pytest

import smoke_world
from conftest import running_emulator
from smoke_run import (NO_SUCH, NOT_ASKED, SCRIPTS, account, addresses, asked, clients, of_stack, quick, smoke_api,
                       smoke_calls, smoke_checks, world)
from smoke_world import NAME, REGION, json_answer

# Fixtures count as unused.
__all__ = ["account", "addresses", "asked", "clients", "quick", "world"]

pytestmark = pytest.mark.skipif(not smoke_world.MOTO_SERVER, reason="MOTO_SERVER names no moto_server")
ONLY_API = {*smoke_checks.CHECKS, "the user reads no audit", "the reader reads clusters", "the reader writes nothing",
            "the auditor reads no clusters", "the guardrails in force are those of the parameters", "a sweep ran"}


def test_nothing_fails_where_all_is_right(world, asked):
    world.aws.minutes_old = 300
    told = of_stack(asked)
    assert (told.those("FAILED"), told.status) == (set(), 0), told.out
    assert told.those("NOT TRIED") == NO_SUCH
    assert told.those("ok") == {*smoke_checks.CHECKS, *smoke_calls.CHECKS} - NO_SUCH
    assert all(len(line) <= 120 for line in told.out.splitlines() if not line.startswith("{"))


def test_a_stack_that_is_new_is_told_of_the_first_sweep(world, asked):
    world.gateway.instead = [("operation=Sweep", json_answer(200, {"auditEvents": []}))]
    world.alarm(world.aws.alarms["SweepsMissingAlarm"], "ALARM")
    try:
        told = of_stack(asked)
    finally:
        world.alarm(world.aws.alarms["SweepsMissingAlarm"], "OK")
    assert (told.those("FAILED"), told.status) == (set(), 0), told.out
    assert told.those("NOT TRIED") == NO_SUCH | {"a sweep ran", "no alarm rings"}
    assert "--sweep runs one now" in told.lines["a sweep ran"][1]
    assert "try again in three hours" in told.lines["no alarm rings"][1]


def test_a_sweep_is_run_on_demand(world, asked):
    told = of_stack(asked, "--sweep")
    assert (told.lines["a sweep ran"], told.status) == (("ok", ""), 0)


def not_tried(told):
    return told.those("NOT TRIED") - NO_SUCH


def test_what_your_own_permissions_do_not_allow_is_not_tried(world, asked, quick):
    """Each call of the administrator's, refused."""
    world.aws.minutes_old = 300
    calls = {
        "DescribeTimeToLive": {"the audit table expires its rows"},
        "DescribeContinuousBackups": {"the audit table can be taken back in time"},
        "DescribeTable": {"the audit table is protected from deletion"},
        "DescribeKey": {"the key that signs the audit is usable"},
        "GetQueueAttributes": {"the dead-letter queue is empty"},
        "DescribeRule": {"the schedules are on"},
        "DescribeAlarms": {"no alarm rings"},
        "GetMetricStatistics": {"the schedules reach the function"},
        "DescribeLogGroups": {"the stage writes its access log"},
        "GetRole": {"the account has a role for API Gateway's logs"},
    }
    world.aws.denied = {call: "AccessDeniedException" for call in calls}
    told = of_stack(asked)
    assert (told.those("FAILED"), told.status) == (set(), 0), told.out
    assert not_tried(told) == set().union(*calls.values())
    for call, titles in calls.items():
        assert all(f"your own permissions do not allow {call}" in told.lines[title][1] for title in titles)


def test_what_something_else_answers_is_not_tried(world, asked, quick):
    """A proxy's page in place of IAM's answer."""
    world.aws.replaced.append((rb"(?s).*<GetRoleResponse.*", b"{}"))
    told = of_stack(asked)
    assert "AWS could not be asked" in told.lines["the account has a role for API Gateway's logs"][1]
    assert (told.those("FAILED"), told.status) == (set(), 0), told.out


def test_roles_that_cannot_be_assumed_are_not_tried(world, asked, quick):
    world.aws.denied = {"AssumeRole": "AccessDenied"}
    told = of_stack(asked)
    assert (told.those("FAILED"), told.status) == (set(), 0), told.out
    roles = {*smoke_calls.CHECKS} - {"unsigned calls are refused", "who has none of the API's roles is refused"}
    assert not_tried(told) == roles
    assert "Your own policies have to allow it" in told.lines["the user reads clusters"][1]


def test_without_roles_nobody_is_sent(world, asked, quick):
    world.aws.parameters = {"CreateApiUserRole": "false"}
    told = of_stack(asked)
    assert (told.those("FAILED"), told.status) == (set(), 0), told.out
    assert not_tried(told) == {*smoke_calls.CHECKS} - {"unsigned calls are refused"}
    assert "whoever IAM allows gets in" in told.lines["who has none of the API's roles is refused"][1]


def test_without_a_signing_key_there_is_none_to_look_at(world, asked, quick):
    world.aws.parameters = {"AuditSigningKey": ""}
    told = of_stack(asked)
    assert (told.lines["the key that signs the audit is usable"], told.status) == (
        ("NOT TRIED", "AuditSigningKey is empty: the audit is not signed"), 0)


@pytest.mark.parametrize(("private", "failed"), [(False, {"unsigned calls are refused"}), (True, set())])
def test_an_api_that_does_not_answer(world, asked, quick, private, failed):
    """A private one is not there for everybody; a public one fails once, and is not waited for again."""
    world.aws.replaced.append((world.gateway_url.encode(), b"http://127.0.0.1:9"))
    if private:
        world.aws.parameters = {"VpcEndpointId": "vpce-1"}
        world.aws.rest_api.update(endpointAccessMode="BASIC", endpointConfiguration={
            "types": ["PRIVATE"], "vpcEndpointIds": ["vpce-1"]})
    told = of_stack(asked)
    assert (told.those("FAILED"), told.status) == (failed, 1 if failed else 0), told.out
    assert not_tried(told) == {*smoke_calls.CHECKS} - failed


@pytest.mark.parametrize(("answer", "words"), [
    (json_answer(200, {"errorMessage": "the sweep failed: no"}, **{"X-Amz-Function-Error": "Unhandled"}), "the sweep failed"),
    (json_answer(200, {"complete": False, "unread": ["eu-west-1"], "regionsLeft": 0}), "could not look at eu-west-1"),
    (json_answer(200, {"complete": False, "unread": [], "regionsLeft": 0}), "was not complete"),
    (json_answer(200, {}), "the answer has a form that this script does not know"),
])
def test_a_sweep_on_demand_that_fails(world, asked, quick, answer, words):
    world.aws.invocation = answer
    told = of_stack(asked, "--sweep")
    assert (told.those("FAILED"), told.status) == ({"a sweep ran"}, 1)
    assert words in told.lines["a sweep ran"][1]


def test_a_sweep_on_demand_has_to_be_on_record(world, asked, quick):
    world.gateway.instead = [("operation=Sweep", json_answer(200, {"auditEvents": []}))]
    assert of_stack(asked, "--sweep").those("FAILED") == {"a sweep ran"}


def test_a_laptop_is_asked_by_its_url(addresses, asked, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    told = asked("--url", addresses["gateway"])
    assert (told.those("FAILED"), told.status) == (set(), 0), told.out
    assert told.those("NOT TRIED") == ONLY_API | {"answers of PCS itself", NOT_ASKED}
    assert told.those("ok") == {*smoke_calls.CHECKS} - ONLY_API
    assert [answer["same"] for answer in told.answers[1:]] == [True] * len(smoke_api.QUESTIONS_TO_THE_API)


def test_answers_hold_nothing_of_the_caller_s_and_are_those_of_the_emulator(world, asked):
    world.aws.minutes_old = 300
    told = of_stack(asked)
    assert told.out.count("```") == 2 and told.answers[0]["region"] == REGION
    block = told.out.split("```")[1]
    assert not re.search(r"\d{12}", block) and world.ids["PcsApi"] not in block
    compared = [answer["same"] for answer in told.answers[1:] if "same" in answer]
    assert compared == [True] * (len(smoke_api.QUESTIONS_TO_PCS) + len(smoke_api.QUESTIONS_TO_THE_API) + 2)
    assert told.answers[-1]["quotaCode"] == "L-00000000"


@pytest.mark.parametrize(("flags", "asked_of_pcs", "switch"), [
    (("--unknown-ids", "not-found"), "a cluster id that was never issued", "--unknown-ids not-found"),
    (("--unknown-names", "denied"), "a cluster name that nobody has", "--unknown-names denied"),
    (("--http-statuses", "smithy"), "a cluster id that was never issued", "--http-statuses smithy"),
    (("--resource-types", "model"), "a cluster name that nobody has", "--resource-types model"),
])
def test_another_answer_names_the_switch_that_gives_it(flags, asked_of_pcs, switch):
    """An emulator with that switch stands for the PCS that answers so."""
    with running_emulator(*flags) as url:
        pcs = boto3.client("pcs", region_name=REGION, endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b")
        answers = list(smoke_api.answers_of_pcs(pcs, smoke_api.place_of_clusters(REGION, "aws", "123456789012"), []))
    assert {answer["asked"]: answer.get("switch") for answer in answers}[asked_of_pcs] == switch
    assert all(answer["same"] or answer["switch"] == switch for answer in answers)


def test_what_is_the_caller_s_is_masked():
    text = ("User: arn:aws:sts::123456789012:assumed-role/Admin/ann is not authorized to perform: pcs:GetCluster on "
            "resource: arn:aws:pcs:us-east-1:123456789012:cluster/pcs_smoke00000 ********9012 a1b2c3d4e5 192.0.2.10 "
            "AKIAIOSFODNN7EXAMPLE 0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f o-exampleorgid vpce-0123")
    assert smoke_api.masked(text, ["a1b2c3d4e5", ""]) == (
        "User: PRINCIPAL is not authorized to perform: pcs:GetCluster on resource: "
        "arn:aws:pcs:us-east-1:ACCOUNT:cluster/pcs_smoke00000 ACCOUNT OWN ADDRESS KEY REQUEST_ID ORGANIZATION VPC")


@pytest.mark.parametrize(("arguments", "words"), [
    ((), "give the name of the stack or --url, one of them"),
    (("pcs-api", "--url", "http://127.0.0.1:1"), "give the name of the stack or --url, one of them"),
    (("--url", "http://127.0.0.1:1", "--sweep"), "--sweep and --profile are for a stack"),
    (("pcs-api", "--nonsense"), "unrecognized arguments: --nonsense"),
    (("--url", "localhost:3000"), "--url is localhost:3000. Give the URL"),
    (("--url", "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/prod"), "AWS_ACCESS_KEY_ID"),
    (("pcs-api",), "no Region is set"),
    (("pcs-api", "--region", REGION, "--profile", "nobody"), "--profile is nobody"),
    (("pcs-api", "--region", REGION), "there are no AWS credentials"),
    (("pcs-api", "--region", "no region"), "there are no AWS credentials"),
])
def test_what_is_asked_wrongly_is_said_in_one_sentence(tmp_path, arguments, words):
    status, error = program(tmp_path, *arguments)
    assert status == 2 and error.startswith("scripts/smoke: ") and words in error and error.count("\n") == 1, error


@pytest.mark.parametrize(("name", "denied", "words"), [
    ("nobody", {}, "there is no stack nobody in us-east-1 of this account"),
    (NAME, {"DescribeStacks": "AccessDenied"}, "may not call cloudformation:DescribeStacks"),
    (NAME, {"DescribeStacks": "ExpiredToken"}, "CloudFormation answers ExpiredToken"),
    (NAME, {"ListStackResources": "AccessDenied"}, "may not call cloudformation:ListStackResources"),
])
def test_a_stack_that_cannot_be_read_ends_it(world, tmp_path, name, denied, words):
    world.aws.denied = denied
    status, error = program(tmp_path, name, "--region", REGION, AWS_ENDPOINT_URL=world.aws_url,
                            **smoke_world.ADMINISTRATOR)
    assert status == 2 and words in error and error.count("\n") == 1, error


def test_a_stack_of_something_else_ends_it(world, tmp_path):
    world.client("cloudformation").create_stack(StackName="other", TemplateBody=json.dumps(
        {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}))
    status, error = program(tmp_path, "other", "--region", REGION, AWS_ENDPOINT_URL=world.aws_url,
                            **smoke_world.ADMINISTRATOR)
    assert status == 2 and "is not one of PCS API" in error and error.count("\n") == 1, error


def test_without_boto3_it_says_how_to_get_it(tmp_path):
    (tmp_path / "boto3.py").write_text("raise ImportError")
    status, error = program(tmp_path, NAME, PYTHONPATH=str(tmp_path))
    assert status == 2 and "pip install boto3" in error and error.count("\n") == 1, error


def test_help_says_what_it_does(tmp_path):
    done = subprocess.run([sys.executable, SCRIPTS / "smoke", "--help"], capture_output=True, text=True, check=True)
    assert "--sweep" in done.stdout and "Exit status" in done.stdout


def test_the_files_need_nothing_else_of_the_checkout(tmp_path, addresses):
    """And leave nothing beside them."""
    for path in SCRIPTS.glob("smoke*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = sorted(tmp_path.iterdir())
    done = subprocess.run([sys.executable, tmp_path / "smoke", "--url", addresses["gateway"]], capture_output=True,
                          text=True, check=False, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(tmp_path.iterdir()) == before


def program(home, *arguments, **environment):
    """Status and standard error, with nothing of AWS's around it but `environment`."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / "smoke", *arguments], capture_output=True, text=True, check=False, timeout=300,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **environment})
    return done.returncode, done.stderr
