"""What the published policies of a deployer (docs/iam) do not reach: what is not the stack's, what the stack holds, and,
with the fence of docs/deploy.md, permissions beyond a boundary. The IAM that answers was written by nobody here."""

import pytest

from conftest import made
from deployer import PAGE, allowed, answers, documented_key_policy, fenced, most, optional, policies, refused
from providers import DEPLOYER, requests
from roads import SAMS_BUCKET, SAMS_STACK, STACK, TRANSFORMS
from scenarios import KMS_KEY, SCENARIOS, WEB_ACL
from simulator import Request

ACCOUNT = "123456789012"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:pcs-api-PcsApiFunction-AbC123"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/PcsApiUserRole-5f1d3c60"
FUNCTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/PcsApiFunction-5f1d3c60"
POLICY = f"arn:aws:iam::{ACCOUNT}:policy/team-blue-PcsApiNodeRoles-5f1d3c60"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/pcs-api-AuditTable-AbC123"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:pcs-api-SweepDeadLetterQueue-AbC123"
LOGS = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:pcs-api-AccessLogGroup-AbC123"
GATEWAY = "arn:aws:apigateway:us-east-1::"
PLACES = {
    "lambda:CreateFunction": FUNCTION,
    "lambda:UpdateFunctionCode": FUNCTION,
    "iam:CreateRole": ROLE,
    "iam:PutRolePolicy": ROLE,
    "iam:UpdateAssumeRolePolicy": ROLE,
    "iam:DeleteRolePermissionsBoundary": ROLE,
    "iam:CreatePolicy": POLICY,
    "iam:CreatePolicyVersion": POLICY,
    "dynamodb:CreateTable": TABLE,
    "logs:CreateLogGroup": LOGS,
    "sqs:CreateQueue": QUEUE,
    "events:PutRule": f"arn:aws:events:us-east-1:{ACCOUNT}:rule/pcs-api-SweepSchedule-AbC123",
    "cloudwatch:PutMetricAlarm": f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:pcs-api-ServerErrorsAlarm-AbC123",
    "cloudwatch:PutDashboard": f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/pcs-api-us-east-1",
    "ssm:PutParameter": f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/CFN-AllowedPolicies-AbC123",
    "cloudformation:TagResource": STACK,
    "cloudformation:ExecuteChangeSet": STACK,
    "cloudformation:DeleteStack": STACK,
    "s3:PutObject": f"{SAMS_BUCKET}/pcs-api/0123456789abcdef",
    "apigateway:PATCH": f"{GATEWAY}/domainnames/pcs.example.com",
    "route53:ChangeResourceRecordSets": "arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ",
    "wafv2:AssociateWebACL": WEB_ACL,
}
OTHER = [("pcs-api-", "other-"), ("PcsApi", "Other"), ("stack/pcs-api", "stack/other"), ("CFN-Allowed", "CFN-Other"),
         ("aws-sam-cli-managed-default", "other"), ("pcs.example", "other.example"), ("Z0123456789", "Z9876543210"),
         ("webacl/pcs-api", "webacl/other")]


def elsewhere(resource):
    for here, there in OTHER:
        resource = resource.replace(here, there)
    return resource


def test_the_stacks_own_resources_are_within_reach():
    assert refused([Request(DEPLOYER, action, resource) for action, resource in PLACES.items()], most()) == []


def test_what_is_not_the_stacks_is_out_of_reach():
    asked = [Request(DEPLOYER, action, elsewhere(resource)) for action, resource in PLACES.items()]
    assert all(request.resource not in PLACES.values() for request in asked)
    assert allowed(asked, most()) == []


# What needs no deployer, whoever's it is: what the stack holds, and ways to more permissions.
NEVER = [
    *[(f"lambda:{each}", FUNCTION) for each in ("InvokeFunction", "PublishVersion", "PutFunctionCodeSigningConfig")],
    *[(f"dynamodb:{each}", TABLE) for each in (
        "PutItem", "GetItem", "Query", "Scan", "UpdateItem", "DeleteItem", "BatchWriteItem", "DeleteTable",
        "PutResourcePolicy", "ExportTableToPointInTime")],
    *[(f"logs:{each}", LOGS) for each in ("FilterLogEvents", "PutSubscriptionFilter")],
    *[(f"logs:{each}", f"{LOGS}:log-stream:x") for each in ("DeleteLogStream", "GetLogEvents", "PutLogEvents")],
    *[(f"sqs:{each}", QUEUE) for each in ("ReceiveMessage", "SendMessage", "PurgeQueue")],
    *[(f"s3:{each}", SAMS_BUCKET) for each in ("DeleteBucket", "DeleteBucketPolicy", "PutBucketAcl")],
    ("s3:DeleteObject", f"{SAMS_BUCKET}/pcs-api/0123456789abcdef"),
    ("s3:GetObject", "arn:aws:s3:::amzn-s3-demo-bucket/other/0123456789abcdef"),
    *[(f"iam:{each}", f"arn:aws:iam::{ACCOUNT}:user/PcsApi") for each in (
        "CreateUser", "CreateLoginProfile", "CreateAccessKey", "AttachUserPolicy", "PutUserPolicy")],
    ("iam:SetDefaultPolicyVersion", POLICY),
    ("sts:AssumeRole", ROLE),
    ("execute-api:Invoke", f"arn:aws:execute-api:us-east-1:{ACCOUNT}:a1b2c3d4e5/prod/GET/v1/clusters"),
    ("pcs:DeleteCluster", f"arn:aws:pcs:us-east-1:{ACCOUNT}:cluster/pcs_a1b2c3d4e5"),
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:pcs!slurm-secret-AbC123"),
    *[(f"cloudformation:{each}", STACK) for each in ("SetStackPolicy", "SignalResource")],
    ("apigateway:GET", f"{GATEWAY}/apikeys"),
    ("apigateway:POST", f"{GATEWAY}/clientcertificates"),
    ("wafv2:UpdateWebACL", WEB_ACL),
    ("route53:DeleteHostedZone", "arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ"),
]


@pytest.mark.parametrize("action, resource", NEVER, ids=lambda value: value if ":" in value and "arn" not in value else "")
def test_some_actions_are_for_no_deployer(action, resource):
    assert allowed([Request(DEPLOYER, action, resource)], most()) == []


def test_policies_and_roles_go_only_where_the_stack_puts_them():
    attached = [Request(DEPLOYER, f"iam:{action}RolePolicy", role, (("iam:PolicyARN", policy),))
                for action in ("Attach", "Detach") for role, policy in (
                    (ROLE, "arn:aws:iam::aws:policy/AdministratorAccess"),
                    (ROLE, f"arn:aws:iam::{ACCOUNT}:policy/More"),
                    (f"arn:aws:iam::{ACCOUNT}:role/Other", POLICY))]
    passed = [Request(DEPLOYER, "iam:PassRole", role, (("iam:PassedToService", service),)) for role, service in (
        (FUNCTION_ROLE, "ec2.amazonaws.com"), (ROLE, "lambda.amazonaws.com"),
        (f"arn:aws:iam::{ACCOUNT}:role/Administrator", "lambda.amazonaws.com"),
        (SCENARIOS["own-function-role"]["ParallelClusterFunctionRole"], "ec2.amazonaws.com"))]
    assert allowed(attached + passed, most()) == []
    right = [Request(DEPLOYER, "iam:PassRole", FUNCTION_ROLE, (("iam:PassedToService", "lambda.amazonaws.com"),)),
             Request(DEPLOYER, "iam:AttachRolePolicy", ROLE, (("iam:PolicyARN", POLICY),))]
    assert refused(right, policies({})) == []


def test_no_other_transform_is_within_reach():
    other = [transform.replace(":aws:transform/", f":{ACCOUNT}:transform/") for transform in TRANSFORMS]
    other += ["arn:aws:cloudformation:us-east-1:aws:transform/LanguageExtensions"]
    held = [resource for policy in most().values() for statement in policy["Statement"]
            if "cloudformation:CreateChangeSet" in statement["Action"] for resource in statement["Resource"]]
    stacks = [arn.replace("/5f1d3c60-8e0a-11ee-b9d1-0242ac120002", "/*") for arn in (STACK, SAMS_STACK)]
    assert not set(other) & set(held) and set(held) == {*TRANSFORMS, *stacks}


# --- keys ---

# A key that leaves it to IAM, as keys do unless somebody says otherwise.
SOME_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/7a8b9c0d-1e2f-4c5d-9e6f-0f8d2c1b3a4e"
SIGNING, ENCRYPTING = ("kms:KeySpec", "ECC_NIST_P256"), ("kms:KeySpec", "SYMMETRIC_DEFAULT")
VIA = ("aws:CalledVia", ("cloudformation.amazonaws.com",))
CHANGES = ["PutKeyPolicy", "ScheduleKeyDeletion", "TagResource", "UntagResource", "UpdateKeyDescription"]
KEEPS_OFF = ["CreateGrant", "DisableKey", "EnableKey", "Sign", "RetireGrant"]


def test_keys_change_by_cloudformation_and_not_by_the_deployer():
    def asked(operations, *context):
        return [Request(DEPLOYER, f"kms:{operation}", SOME_KEY, context) for operation in operations]

    assert refused(asked(CHANGES, SIGNING, VIA), policies({})) == []
    assert allowed(asked([*CHANGES, *KEEPS_OFF], SIGNING), most()) == []
    assert allowed(asked(CHANGES, SIGNING, ("aws:CalledVia", ("athena.amazonaws.com",))), most()) == []
    assert allowed(asked(KEEPS_OFF, SIGNING, VIA), most()) == []
    # Those that encrypt are not the stack's, whoever calls.
    assert allowed(asked([*CHANGES, *KEEPS_OFF, "Decrypt", "DescribeKey"], ENCRYPTING, VIA), most()) == []


def test_the_key_policy_of_the_page_is_for_dynamodb():
    """Even for somebody whose own policies allow everything. "DynamoDB encryption at rest: usage notes"."""
    everything = {"everything": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}}

    def asked(principal, context):
        return [Request(principal, f"kms:{each}", KMS_KEY, context) for each in (
            "Decrypt", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo", "DescribeKey")]

    grant = [Request(DEPLOYER, "kms:CreateGrant", KMS_KEY, (("kms:ViaService", "dynamodb.us-east-1.amazonaws.com"),))]
    assert refused(asked(DEPLOYER, grant[0].context) + grant, everything) == []
    others = [(("kms:ViaService", f"{service}.amazonaws.com"),) for service in ("ec2.us-east-1", "dynamodb.eu-west-1")]
    for context in ((), *others):
        assert allowed(asked(DEPLOYER, context), everything) == [], context
    assert allowed([Request(DEPLOYER, "kms:PutKeyPolicy", KMS_KEY, grant[0].context)], everything) == []


def test_the_key_policy_of_the_page_lets_the_logs_of_the_stack_in():
    """As in "Encrypt log data in CloudWatch Logs using AWS KMS": the service, for log groups by the encryption context. The
    simulator knows no encryption context with a colon in its name."""
    logs, = [statement for statement in documented_key_policy()["Statement"] if statement["Sid"] == "Logs"]
    assert logs == {
        "Sid": "Logs", "Effect": "Allow", "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
        "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"], "Resource": "*",
        "Condition": {"ArnLike": {
            "kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:pcs-api-*"}}}
    groups = [resource for resource in made("encrypted")[1].resources().values()
              if resource["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) == 2 and all("LogGroupName" not in group["Properties"] for group in groups)


# --- the fence ---

GUARDED = SCENARIOS["guarded"]
BOUNDARY = GUARDED["ApiRolesPermissionsBoundaryPolicy"]


def with_boundary(boundary):
    return (("iam:PermissionsBoundary", boundary),) if boundary else ()


def test_within_the_fence_the_stack_is_made_changed_and_deleted():
    asked = sorted(set(requests(made("guarded")[1])), key=Request.told)
    bounded = {request.action for request in asked if dict(request.context).get("iam:PermissionsBoundary") == BOUNDARY}
    assert {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"} <= bounded
    # Asked for only when the parameter is cleared, which is what the fence keeps the deployer from.
    taken = [request.told() for request in asked if request.action == "iam:DeleteRolePermissionsBoundary"]
    assert len(taken) == 4
    assert refused(asked, fenced(BOUNDARY, GUARDED)) == taken


def test_the_fence_is_for_every_parameter():
    parameters = {**SCENARIOS["function-policy"], **GUARDED}
    attach = [Request(DEPLOYER, "iam:AttachRolePolicy", FUNCTION_ROLE, (
        ("iam:PolicyARN", parameters["ParallelClusterFunctionAdditionalPolicies"]), *with_boundary(boundary)))
        for boundary in (BOUNDARY, None)]
    assert list(answers(attach, fenced(BOUNDARY, parameters)).values()) == ["Allowed", "ImplicitlyDenied"]


@pytest.mark.parametrize("found", [None, f"arn:aws:iam::{ACCOUNT}:policy/PcsApiMore"], ids=["no boundary", "another"])
def test_the_fence_keeps_roles_within_the_boundary(found):
    context = with_boundary(found)
    asked = [Request(DEPLOYER, f"iam:{action}", ROLE, context) for action in (
        "CreateRole", "PutRolePolicy", "DeleteRolePolicy", "PutRolePermissionsBoundary", "UpdateAssumeRolePolicy")]
    asked += [Request(DEPLOYER, f"iam:{action}RolePolicy", ROLE, (("iam:PolicyARN", POLICY), *context))
              for action in ("Attach", "Detach")]
    # Without the fence they are the deployer's.
    assert refused(asked, policies(GUARDED)) == []
    assert allowed(asked, fenced(BOUNDARY, GUARDED)) == []


# The first is within the reach of the deployer's other statements: what keeps it is the fence alone.
@pytest.mark.parametrize("boundary", [f"arn:aws:iam::{ACCOUNT}:policy/PcsApiBoundary", BOUNDARY])
def test_the_fence_keeps_the_boundary_as_it_is(boundary):
    changes = [Request(DEPLOYER, f"iam:{action}", boundary) for action in (
        "CreatePolicy", "CreatePolicyVersion", "DeletePolicy", "DeletePolicyVersion", "SetDefaultPolicyVersion")]
    everything = {"everything": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]}}
    removals = [Request(DEPLOYER, "iam:DeleteRolePermissionsBoundary", role, with_boundary(boundary))
                for role in (ROLE, FUNCTION_ROLE, f"arn:aws:iam::{ACCOUNT}:role/Other")]
    held = fenced(boundary, {**GUARDED, "ApiRolesPermissionsBoundaryPolicy": boundary})
    assert allowed(changes + removals, held) == []
    # Whatever else the deployer has.
    assert set(answers(changes + removals, held | everything).values()) == {"ExplicitlyDenied"}


def test_the_statements_of_the_fence_are_the_only_ones_that_deny():
    assert {statement["Sid"] for statement in optional("Deny")} == {
        statement["Sid"] for statement in optional("Deny")
        if statement["Sid"].startswith("OnlyWithApiRolesPermissionsBoundaryPolicy")}
    assert "(#a-fence-around-the-deployer)" in PAGE
