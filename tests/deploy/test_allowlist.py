"""The AdditionalIamPolicies allowlist is one: in the source documents, in the gateway, in the function's environment and
in what IAM holds the function to."""

import fnmatch
import json
import pathlib
import re

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conftest import made
from policies import of_the_function, several, statements

QUOTED = pathlib.Path(__file__).parent / "data" / "parallelcluster-api-patterns.txt"
# What PCS's own console attaches to the roles that it makes for compute nodes; no other document has it.
OF_PCS = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy"


def documented():
    patterns = [line.removeprefix("- !Sub ") for line in QUOTED.read_text().splitlines()]
    return [pattern.replace("${AWS::Partition}", "aws").replace("${AWS::AccountId}", "123456789012")
            for pattern in patterns]


def in_the_environment(name):
    variables = made(name)[1].resources()["PcsApiFunction"]["Properties"]["Environment"]["Variables"]
    return variables["PCS_API_ADDITIONAL_IAM_POLICIES"].split(",")


def in_iam(name):
    statement, = [each for each in statements(of_the_function(made(name)[1])["NodeRolesPolicy"])
                  if "iam:AttachRolePolicy" in several(each["Action"])]
    return statement["Condition"]["ArnLike"]["iam:PolicyARN"]


def in_the_gateway(local):
    """What the running product answers about its guardrails."""
    url = local["gateway"] + "/v1/guardrails"
    signed = AWSRequest("GET", url)
    keys = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    SigV4Auth(keys, "execute-api", "us-east-1").add_auth(signed)
    answer = requests.get(url, headers=dict(signed.headers), timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["guardrails"]["additionalIamPolicies"]


def test_documents_gateway_and_template_have_one_list(local):
    assert len(documented()) == 12
    one = [*documented(), OF_PCS]
    assert in_the_gateway(local) == one
    assert in_the_environment("default") == one
    assert in_iam("iam-admin") == one


@pytest.mark.parametrize("name", ["iam-admin", "iam-admin-boundary", "strict", "more-policies", "everything", "govcloud"])
def test_iam_and_the_function_are_told_the_same(name):
    assert in_iam(name) == in_the_environment(name)


def test_the_strict_list_is_shorter_and_no_other():
    strict = in_the_environment("strict")
    assert strict == [pattern for pattern in in_the_environment("default") if pattern in strict]
    left_out = {pattern.rsplit("/", 1)[1] for pattern in in_the_environment("default")} - {
        pattern.rsplit("/", 1)[1] for pattern in strict}
    assert left_out == {"AWSBatchFullAccess", "AWSBatchServiceRole", "AmazonEC2ContainerServiceforEC2Role",
                        "AmazonECSTaskExecutionRolePolicy", "AmazonEC2SpotFleetTaggingRole",
                        "EC2InstanceProfileForImageBuilder", "AWSLambdaBasicExecutionRole"}


@pytest.mark.parametrize("name", ["default", "strict", "more-policies"])
def test_what_the_api_attaches_to_every_role_that_it_makes_is_on_the_list(name):
    assert OF_PCS in in_the_environment(name)


def test_more_patterns_come_after_the_preset():
    parameters = made("more-policies")[1].parameters
    assert in_the_environment("more-policies") == [
        *in_the_environment("default"), *parameters["AdditionalIamPolicies"].split(",")]


@pytest.mark.parametrize("name", ["default", "strict", "more-policies"])
def test_policies_of_the_list_exist_as_far_as_they_are_awss(name):
    """moto has AWS's managed policies, taken from AWS."""
    from moto import mock_aws
    own = [arn for arn in in_the_environment(name) if ":iam::aws:" in arn]
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        iam = boto3.client("iam", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        for arn in own:
            assert iam.get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn


SOURCE = pathlib.Path(__file__).parents[2] / "src" / "guardrails" / "wide_policies.rs"
# What the last word of an attack on an account is: whoever may do one of these on every role can be anybody.
ANYTHING = {"*", "*:*", "iam:*", "iam:attachrolepolicy", "iam:putrolepolicy"}
# Any of these on everything is a way to what other roles may. PassRole does not count where a condition names services none
# of which runs what a node tells it to; with any other condition nothing here counts.
WAYS = ["iam:passrole", "iam:attachrolepolicy", "iam:putrolepolicy", "iam:createpolicyversion",
        "iam:updateassumerolepolicy", "iam:attachuserpolicy", "iam:putuserpolicy", "iam:createaccesskey",
        "sso:createaccountassignment"]
RUNNERS = ["ec2.amazonaws.com", "lambda.amazonaws.com", "ecs-tasks.amazonaws.com"]
EVERYTHING = {"*", "arn:aws:iam::*:role/*", "arn:aws:iam::*:*"}
# By themselves they allow nothing to a role of a compute node: an agent's session, and a request through another service.
CONDITIONAL = {"AIDevOpsAgentActionsPolicy", "AWSMcpServiceActionsFullAccess"}


def listed(name):
    """The names of a list that src/guardrails/allowlist.rs lets no pattern reach."""
    names, = re.findall(rf"const {name}: \[&str; \d+\] = \[(.*?)\];", SOURCE.read_text(), re.DOTALL)
    return re.findall(r'"([^"]+)"', names)


def every(statements):
    return statements if isinstance(statements, list) else [statements]


def allows_anything(document):
    for statement in every(document["Statement"]):
        resources, actions = several(statement.get("Resource", [])), several(statement.get("Action", []))
        if statement["Effect"] == "Allow" and "*" in resources:
            if "NotAction" in statement or {action.lower() for action in actions} & ANYTHING:
                return True
    return False


def is_bounded(statement):
    conditions = statement.get("Condition", {})
    services = [service for tests in conditions.values() for key, value in tests.items()
                if key.lower() == "iam:passedtoservice" for service in several(value)]
    runs = any(fnmatch.fnmatchcase(runner, service) for runner in RUNNERS for service in services)
    return bool(conditions) and not runs


def leads_to_other_roles(document):
    for statement in every(document["Statement"]):
        if statement["Effect"] != "Allow" or not EVERYTHING & set(several(statement.get("Resource", []))):
            continue
        actions = several(statement.get("Action", []))
        leads = any(fnmatch.fnmatchcase(way, action.lower()) for way in WAYS for action in actions)
        if (leads or "NotAction" in statement) and not is_bounded(statement):
            return True
    return False


def policies_of_aws():
    """moto has AWS's managed policies, taken from AWS. Those of service-linked roles can be attached to no other role."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data
    policies = json.loads(aws_managed_policies_data).items()
    return {policy["Path"].removeprefix("/") + name: policy["Document"] for name, policy in policies
            if not policy["Path"].startswith("/aws-service-role/")}


def test_no_other_policy_of_aws_allows_everything():
    found = {name for name, document in policies_of_aws().items() if allows_anything(document)}
    assert found - CONDITIONAL == set(listed("UNBOUNDED"))


def test_no_other_policy_of_aws_leads_to_other_roles():
    found = {name for name, document in policies_of_aws().items() if leads_to_other_roles(document)}
    assert found - CONDITIONAL == {*listed("UNBOUNDED"), *listed("WIDE")}


def fits(template, value):
    """As CloudFormation checks a parameter: the whole value, by java.util.regex, whose notation here is Python's too."""
    return re.fullmatch(template["Parameters"]["AdditionalIamPolicies"]["AllowedPattern"], value) is not None


@pytest.mark.parametrize("value", [
    "*:*:*:*:*:*", "arn:aws:iam::*:policy/*", "arn:*:iam::*:*", "arn:aws:iam::aws:*", "arn:aws:iam::?ws:policy/*",
    "arn:aws:iam::aws:policy/*", "arn:aws:iam::aws:policy/**", "arn:aws:iam::aws:policy/?*",
    "arn:aws:iam::aws:policy/*Access", "arn:aws:iam::aws:policy/?dministratorAccess",
    "arn:aws-cn:iam::aws:policy/*", "arn:aws-us-gov:iam::aws:policy/A*",
    "arn:aws:iam::aws:policy/AmazonS3*,arn:aws:iam::aws:policy/*",
    "arn:aws:iam::aws:policy/*,arn:aws:iam::aws:policy/AmazonS3*",
    "arn:aws:iam::aws:policy/service-role/*", "arn:aws:iam::aws:policy/AWS*", "arn:aws:iam::aws:policy/Amazon*",
    "arn:aws:iam::aws:policy/EC2*", "arn:aws:iam::aws:policy/AWSLambda*",
])
def test_a_pattern_that_bounds_nothing_is_no_value(template, value):
    assert not fits(template, value)


def test_no_beginning_of_such_a_name_is_enough_for_a_pattern(template):
    for name in [*listed("UNBOUNDED"), *listed("WIDE")]:
        for length in range(len(name) + 1):
            for wild in ("*", "?*", "*?", "?" * (len(name) - length) or "*"):
                assert not fits(template, f"arn:aws:iam::aws:policy/{name[:length]}{wild}"), (name[:length], wild)


@pytest.mark.parametrize("value", [
    "", "arn:aws:iam::123456789012:policy/team/*", "arn:aws:iam::123456789012:policy/*",
    "arn:aws:iam::aws:policy/AmazonS3*", "arn:aws:iam::aws:policy/AmazonS3*,arn:aws:iam::123456789012:policy/A*",
    "arn:aws:iam::aws:policy/service-role/AWSLambda*", "arn:aws:iam::aws:policy/CloudWatch*", "arn:aws:iam::aws:policy/AWSPCS*",
    "arn:aws:iam::aws:policy/EC2Inst*", "arn:aws:iam::123456789012:policy/service-role/*",
    "arn:aws:iam::aws:policy/IAMReadOnly*", "arn:aws-us-gov:iam::aws:policy/AmazonFSx?ull*",
    "arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/IAMFullAccess,arn:aws:iam::aws:policy/AmazonS3*",
])
def test_a_list_that_bounds_is_a_value(template, value):
    assert fits(template, value)
