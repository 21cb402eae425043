"""The published policies of a deployer (docs/iam) are enough to make, change and delete the stack, and not much more.

What is enough comes from AWS (providers.py); an IAM that nobody here wrote says what the policies allow.
"""

import fnmatch
import functools
import json
import re

import pytest

import expand as expansion
from conftest import made
from policies import several, statements
from providers import DEPLOYER, NOT_USED, USED_WITH, requests, said, schemas
from scenarios import SCENARIOS
from simulator import Request, reference, results

FOLDER = expansion.ROOT / "docs" / "iam"
ALWAYS = ["deployer-api", "deployer-records"]
OPTIONS = "deployer-options"
# For a road, not for a parameter.
OWN_BUCKET = "OnlyWithYourOwnBucket"


@functools.cache
def document(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


@functools.cache
def parameter_of(sid):
    """`OnlyWithCustomDomainHostedZoneIdChanges` is for CustomDomainHostedZoneId."""
    names = [name for name in expansion.template()["Parameters"] if sid.removeprefix("OnlyWith").startswith(name)]
    assert names or sid == OWN_BUCKET, f"{sid} is for no parameter"
    return max(names, key=len, default=None)


def policies(parameters, own_bucket=False):
    """What a deployer has who took the statements of the parameters that are given."""
    options = [statement for statement in statements(document(OPTIONS))
               if parameters.get(parameter_of(statement["Sid"])) or own_bucket and statement["Sid"] == OWN_BUCKET]
    found = {name: document(name) for name in ALWAYS}
    return found | ({OPTIONS: {"Version": "2012-10-17", "Statement": options}} if options else {})


def as_documented(parameters):
    """The parameters with which the documents' example values are right."""
    written = json.dumps(document(OPTIONS))
    return all(value in written for name, value in parameters.items()
               if f"OnlyWith{name}\"" in written and value.startswith("arn:aws:iam:"))


HERE = [name for name, parameters in SCENARIOS.items() if as_documented(parameters)]


def options(name):
    return frozenset(filter(None, (parameter_of(statement["Sid"]) for statement in statements(document(OPTIONS))
                                   if SCENARIOS[name].get(parameter_of(statement["Sid"])))))


def documented_key_policy():
    """Of docs/deploy.md, "A key of your own"."""
    section = (expansion.ROOT / "docs" / "deploy.md").read_text().split("## A key of your own")[1]
    text = re.search(r"^```json\n(.*?)^```$", section, re.M | re.S)[1]
    return {"Version": "2012-10-17", "Statement": json.loads(
        text.replace("REGION", "us-east-1").replace("ACCOUNT", "123456789012").replace("STACK", "pcs-api"))}


# The Service Authorization Reference has two ARNs in one for them, which the simulator takes for one.
NOT_IN_THE_REFERENCE = re.compile(r"::/restapis/\w+/(deployments|stages)")


def matches(request, held):
    """Whether a statement without a condition has the action and the resource, in IAM's sense of * in both."""
    return any(
        request.action in several(statement["Action"]) and "Condition" not in statement
        and any(fnmatch.fnmatchcase(request.resource, pattern) for pattern in several(statement["Resource"]))
        for document_ in held.values() for statement in statements(document_))


def refused(asked, held):
    """What the policies do not allow. KMS asks the key's own policy as well."""
    signing_key = made("default")[1].resources()["AuditTrailKey"]["Properties"]["KeyPolicy"]
    keys = {SCENARIOS["encrypted"]["KmsKeyArn"]: documented_key_policy(),
            made("default")[1].attribute("AuditTrailKey", "Arn"): signing_key}
    found = [request.told() for request in asked if NOT_IN_THE_REFERENCE.search(request.resource) and not matches(request, held)]
    asked = [request for request in asked if not NOT_IN_THE_REFERENCE.search(request.resource)]
    for key in (None, *keys):
        batch = [request for request in asked if (request.resource if request.resource in keys else None) == key]
        answers = results(((request, held) for request in batch), keys.get(key)) if batch else []
        found += [request.told() for request, answer in zip(batch, answers) if answer != "Allowed"]
    return found


@pytest.mark.parametrize("names", [
    [name for name in HERE if options(name) == wanted] for wanted in sorted({options(name) for name in HERE}, key=sorted)
], ids=lambda names: names[0])
def test_they_are_enough_for_every_resource(names):
    """One test for all parameter sets whose deployer has the same policies: most of what they ask is the same."""
    asked = set()
    for name in names:
        found = set(requests(made(name)[1]))
        assert len(found) > 150, name
        asked |= found
    assert refused(sorted(asked, key=Request.told), policies(SCENARIOS[names[0]])) == []


def test_the_parameter_sets_that_they_are_tried_with_are_nearly_all():
    # The longest ARNs that there can be are not those of the example.
    assert set(SCENARIOS) - set(HERE) == {"everything"}
    given = {name for scenario in HERE for name in SCENARIOS[scenario]}
    assert {parameter_of(statement["Sid"]) for statement in statements(document(OPTIONS))} - {None} <= given


@pytest.mark.parametrize("sid", sorted({statement["Sid"] for statement in statements(document(OPTIONS))}))
def test_each_option_is_needed(sid):
    """Without it something is refused that the parameter asks for; there would be no reason to take it."""
    if sid == OWN_BUCKET:
        upload = Request(DEPLOYER, "s3:PutObject", "arn:aws:s3:::amzn-s3-demo-bucket/pcs-api/0123456789abcdef")
        answers = [results([(upload, policies({}, own_bucket))])[0] for own_bucket in (False, True)]
        assert answers == ["ImplicitlyDenied", "Allowed"]
        return
    parameter = parameter_of(sid)
    name = next(name for name in HERE if parameter in SCENARIOS[name])
    held = policies(SCENARIOS[name])
    held[OPTIONS] = {"Version": "2012-10-17", "Statement": [
        statement for statement in statements(document(OPTIONS)) if statement["Sid"] != sid]}
    assert refused(sorted(set(requests(made(name)[1])), key=Request.told), held)


def test_what_is_said_to_be_unused_is_still_named_by_the_providers():
    for kind, actions in NOT_USED.items():
        assert actions <= said(kind), (kind, actions - said(kind))
    for kinds in USED_WITH.values():
        for kind, actions in kinds.items():
            assert actions <= said(kind) and not actions & NOT_USED[kind], kind


def test_providers_of_tagged_resources_name_what_tagging_takes():
    """Or the test above would not see it."""
    tagged = {kind for kind, schema in schemas().items() if schema.get("tagging", {}).get("taggable")}
    assert {"AWS::Lambda::Function", "AWS::IAM::Role", "AWS::KMS::Key"} <= tagged
    assert {"lambda:ListTags", "iam:ListRoleTags", "kms:ListResourceTags"} <= {
        action for kind in tagged for action in said(kind)}


def test_api_gateway_may_make_its_service_linked_role():
    """"Using service-linked roles for API Gateway" in its Developer Guide: the first custom domain or account setting
    makes it. No provider names it."""
    role = "arn:aws:iam::123456789012:role/aws-service-role/{0}/AWSServiceRoleFor{1}"
    gateway, other = "ops.apigateway.amazonaws.com", "spot.amazonaws.com"
    asked = [Request(DEPLOYER, "iam:CreateServiceLinkedRole", role.format(service, kind), (("iam:AWSServiceName", service),))
             for service, kind in ((gateway, "APIGateway"), (other, "EC2Spot"))]
    assert results((request, policies({})) for request in asked) == ["Allowed", "ImplicitlyDenied"]


def test_the_key_of_the_table_is_used_through_dynamodb_only():
    """"DynamoDB encryption at rest: usage notes" and "Authorization to use a customer managed key"."""
    key = SCENARIOS["encrypted"]["KmsKeyArn"]
    needed = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
              "DescribeKey", "CreateGrant"]
    held = policies(SCENARIOS["encrypted"])
    answers = {}
    for via in ("dynamodb.us-east-1.amazonaws.com", "ec2.us-east-1.amazonaws.com", None):
        context = (("kms:ViaService", via),) if via else ()
        asked = [Request(DEPLOYER, f"kms:{each}", key, context) for each in needed]
        answers[via] = len(refused(asked, held))
    assert list(answers.values()) == [0, len(needed), len(needed)]


def test_they_fit_into_managed_policies():
    for name in [*ALWAYS, OPTIONS]:
        assert len(re.sub(r"\s", "", json.dumps(document(name)))) <= 6144


def test_their_actions_exist():
    for name in [*ALWAYS, OPTIONS]:
        for statement in statements(document(name)):
            assert (name == OPTIONS) == statement["Sid"].startswith("OnlyWith"), statement["Sid"]
            for action in several(statement["Action"]):
                service, operation = action.split(":")
                known = reference(service).get(operation.lower())
                assert known and known["name"] == operation, action
                if statement["Resource"] == "*" and not statement["Sid"].startswith("SigningKey"):
                    # DescribeLogGroups and DescribeResourcePolicies list, whatever the reference says of them.
                    assert known["resourceTypes"] == [] or operation.startswith(("Describe", "GetTemplate")), action


PLACES = {
    "lambda:CreateFunction": "arn:aws:lambda:us-east-1:123456789012:function:pcs-api-PcsApiFunction-AbC123",
    "iam:CreateRole": "arn:aws:iam::123456789012:role/PcsApiUserRole-5f1d3c60",
    "iam:CreatePolicy": "arn:aws:iam::123456789012:policy/team-blue-PcsApiNodeRoles-5f1d3c60",
    "dynamodb:CreateTable": "arn:aws:dynamodb:us-east-1:123456789012:table/pcs-api-AuditTable-AbC123",
    "logs:CreateLogGroup": "arn:aws:logs:us-east-1:123456789012:log-group:pcs-api-AccessLogGroup-AbC123",
    "sqs:CreateQueue": "arn:aws:sqs:us-east-1:123456789012:pcs-api-SweepDeadLetterQueue-AbC123",
    "events:PutRule": "arn:aws:events:us-east-1:123456789012:rule/pcs-api-SweepSchedule-AbC123",
    "cloudwatch:PutMetricAlarm": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:pcs-api-ServerErrorsAlarm-AbC123",
    "cloudwatch:PutDashboard": "arn:aws:cloudwatch::123456789012:dashboard/pcs-api-us-east-1",
    "ssm:PutParameter": "arn:aws:ssm:us-east-1:123456789012:parameter/CFN-AllowedPolicies-AbC123",
    "cloudformation:TagResource": "arn:aws:cloudformation:us-east-1:123456789012:stack/pcs-api/5f1d3c60",
}


def test_the_stacks_own_resources_are_within_reach():
    requests_ = [Request(DEPLOYER, action, resource) for action, resource in PLACES.items()]
    assert results((request, policies({})) for request in requests_) == ["Allowed"] * len(requests_)


def test_what_is_not_the_stacks_is_out_of_reach():
    key = "arn:aws:kms:us-east-1:123456789012:key/7a8b9c0d-1e2f-4c5d-9e6f-0f8d2c1b3a4e"
    asked = [Request(DEPLOYER, action, resource.replace("pcs-api-", "other-").replace("PcsApi", "Other")
                     .replace("stack/pcs-api", "stack/other").replace("CFN-Allowed", "CFN-Other"))
             for action, resource in PLACES.items()]
    asked += [
        Request(DEPLOYER, "iam:AttachRolePolicy", PLACES["iam:CreateRole"],
                (("iam:PolicyARN", "arn:aws:iam::aws:policy/AdministratorAccess"),)),
        Request(DEPLOYER, "iam:PassRole", "arn:aws:iam::123456789012:role/PcsApiFunction-5f1d3c60",
                (("iam:PassedToService", "ec2.amazonaws.com"),)),
        Request(DEPLOYER, "iam:PassRole", "arn:aws:iam::123456789012:role/Administrator",
                (("iam:PassedToService", "lambda.amazonaws.com"),)),
        Request(DEPLOYER, "dynamodb:DeleteTable", PLACES["dynamodb:CreateTable"]),
        Request(DEPLOYER, "dynamodb:DeleteItem", PLACES["dynamodb:CreateTable"]),
        # Keys go only with the stack that made them, never by the deployer's own call, and never those that encrypt.
        Request(DEPLOYER, "kms:ScheduleKeyDeletion", key, (("kms:KeySpec", "ECC_NIST_P256"),)),
        Request(DEPLOYER, "kms:ScheduleKeyDeletion", key, (
            ("kms:KeySpec", "SYMMETRIC_DEFAULT"), ("aws:CalledVia", ("cloudformation.amazonaws.com",)))),
    ]
    assert results((request, policies({})) for request in asked) == ["ImplicitlyDenied"] * len(asked)
