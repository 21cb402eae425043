"""The published policies of a deployer (docs/iam) are enough to make, change and delete the stack, and not much more.

What is enough comes from AWS: the permissions that CloudFormation's resource providers say they use, in the schemas that
cfn-lint carries.
"""

import json
import pathlib
import re

import cfnlint
import pytest

import expand as expansion
from conftest import made
from policies import actions, several, statements
from scenarios import SCENARIOS
from simulator import Request, reference, results

FOLDER = expansion.ROOT / "docs" / "iam"
NAMES = ["deployer-api", "deployer-records"]
DEPLOYER = "arn:aws:iam::123456789012:role/Deployer"

# What the providers can do for features that this template does not use.
NOT_USED = {
    "AWS::ApiGateway::Account": {"iam:GetRole"},
    "AWS::DynamoDB::Table": {
        # Replicas, imports, streams to Kinesis, Contributor Insights, resource policies; and deleting, since it stays.
        "dynamodb:AssociateTableReplica", "dynamodb:BatchWriteItem", "dynamodb:CreateTableReplica", "dynamodb:DeleteItem",
        "dynamodb:DeleteResourcePolicy", "dynamodb:DeleteTable", "dynamodb:DescribeImport",
        "dynamodb:DisableKinesisStreamingDestination", "dynamodb:EnableKinesisStreamingDestination", "dynamodb:GetItem",
        "dynamodb:ImportTable", "dynamodb:PutItem", "dynamodb:PutResourcePolicy", "dynamodb:Query", "dynamodb:Scan",
        "dynamodb:UpdateContributorInsights", "dynamodb:UpdateItem", "dynamodb:UpdateKinesisStreamingDestination",
        "iam:CreateServiceLinkedRole", "kinesis:DescribeStream", "kinesis:PutRecords", "logs:CreateLogStream",
        "logs:DescribeLogStreams", "logs:PutLogEvents", "s3:GetObjectMetadata",
        # With KmsKeyArn the key's own policy lets the deployer; docs/deploy.md has it.
        "kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:ListAliases", "kms:RevokeGrant",
    },
    "AWS::Lambda::Function": {
        # VPC, file systems, layers, code signing, concurrency, managed instances, versions, encrypted variables.
        "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
        "elasticfilesystem:DescribeMountTargets", "kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey",
        "lambda:AssociateRuntimeAlias", "lambda:DeleteFunctionCodeSigningConfig", "lambda:DeleteFunctionConcurrency",
        "lambda:GetCodeSigningConfig", "lambda:GetLayerVersion", "lambda:PassCapacityProvider", "lambda:PublishVersion",
        "lambda:PutFunctionCodeSigningConfig", "lambda:PutFunctionConcurrency", "lambda:PutFunctionRecursionConfig",
        "lambda:PutFunctionScalingConfig", "s3files:ListMountTargets",
    },
    "AWS::Logs::LogGroup": {
        "firehose:TagDeliveryStream", "logs:CreateLogDelivery", "logs:DeleteDataProtectionPolicy", "logs:DeleteIndexPolicy",
        "logs:DeleteResourcePolicy", "logs:PutBearerTokenAuthentication", "logs:PutDataProtectionPolicy",
        "logs:PutIndexPolicy", "logs:PutLogGroupDeletionProtection", "logs:PutResourcePolicy", "s3:REST.PUT.OBJECT",
    },
    # An asymmetric key does not rotate, and it stays.
    "AWS::KMS::Key": {"kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation",
                      "kms:GetKeyRotationStatus", "kms:ScheduleKeyDeletion"},
    "AWS::IAM::ManagedPolicy": {"iam:AttachGroupPolicy", "iam:AttachUserPolicy", "iam:DetachGroupPolicy",
                                "iam:DetachUserPolicy"},
}


def document(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def schemas():
    """Type -> the schema of its provider."""
    folder = pathlib.Path(cfnlint.__file__).parent / "data" / "schemas" / "resources"
    found = {}
    wanted = {resource["Type"] for name in SCENARIOS for resource in made(name)[1].resources().values()}
    for file in folder.glob("*.json"):
        text = file.read_text()
        if any(f'"{kind}"' in text for kind in wanted):
            schema = json.loads(text)
            if schema["typeName"] in wanted:
                found[schema["typeName"]] = schema
    assert set(found) == wanted
    return found


def test_they_are_enough_for_every_resource():
    granted = actions({name: document(name) for name in NAMES})
    missing = {}
    for kind, schema in schemas().items():
        used = {action for handler in ("create", "read", "update", "delete")
                for action in schema["handlers"].get(handler, {"permissions": []})["permissions"]}
        unused = NOT_USED.get(kind, set())
        assert unused <= used, (kind, unused - used, "no longer said to be used")
        if kind == "AWS::WAFv2::WebACLAssociation":
            # Web ACLs of many services; here it is API Gateway's.
            used = {action for action in used if action.split(":")[0] in ("wafv2", "apigateway")} - {
                "wafv2:GetPermissionPolicy", "wafv2:PutPermissionPolicy"}
        left = used - unused - granted
        if left:
            missing[kind] = sorted(left)
    assert not missing


def test_they_fit_into_managed_policies():
    for name in NAMES:
        assert len(re.sub(r"\s", "", json.dumps(document(name)))) <= 6144


def test_their_actions_exist():
    for name in NAMES:
        for statement in statements(document(name)):
            for action in several(statement["Action"]):
                service, operation = action.split(":")
                known = reference(service).get(operation.lower())
                assert known and known["name"] == operation, action
                if statement["Resource"] == "*" and statement["Sid"] != "SigningKey":
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
    "cloudwatch:PutDashboard": "arn:aws:cloudwatch::123456789012:dashboard/pcs-api",
    "ssm:PutParameter": "arn:aws:ssm:us-east-1:123456789012:parameter/CFN-AllowedPolicies-AbC123",
}


@pytest.fixture(scope="module")
def both():
    return {name: document(name) for name in NAMES}


def test_the_stacks_own_resources_are_within_reach(both):
    requests = [Request(DEPLOYER, action, resource) for action, resource in PLACES.items()]
    assert results((request, both) for request in requests) == ["Allowed"] * len(requests)


def test_what_is_not_the_stacks_is_out_of_reach(both):
    requests = [Request(DEPLOYER, action, resource.replace("pcs-api-", "other-").replace("PcsApi", "Other")
                        .replace("dashboard/pcs-api", "dashboard/other").replace("CFN-Allowed", "CFN-Other"))
                for action, resource in PLACES.items()]
    requests += [
        Request(DEPLOYER, "iam:AttachRolePolicy", PLACES["iam:CreateRole"],
                (("iam:PolicyARN", "arn:aws:iam::aws:policy/AdministratorAccess"),)),
        Request(DEPLOYER, "iam:PassRole", "arn:aws:iam::123456789012:role/PcsApiFunction-5f1d3c60",
                (("iam:PassedToService", "ec2.amazonaws.com"),)),
        Request(DEPLOYER, "iam:PassRole", "arn:aws:iam::123456789012:role/Administrator",
                (("iam:PassedToService", "lambda.amazonaws.com"),)),
        Request(DEPLOYER, "dynamodb:DeleteTable", PLACES["dynamodb:CreateTable"]),
        Request(DEPLOYER, "dynamodb:DeleteItem", PLACES["dynamodb:CreateTable"]),
    ]
    assert results((request, both) for request in requests) == ["ImplicitlyDenied"] * len(requests)
