"""What a deployer's permissions have to allow, by AWS: the IAM actions that CloudFormation's resource providers say they
use, tagging included, in the schemas that cfn-lint carries, on the resources of a stack.
"""

import functools
import json
import pathlib
import urllib.parse

import cfnlint

from conftest import made
from scenarios import SCENARIOS
from simulator import Request, reference

DEPLOYER = "arn:aws:iam::123456789012:role/Deployer"
HANDLERS = ("create", "read", "update", "delete")

# What the providers can do for features that this template does not use.
NOT_USED = {
    # The role is named by its ARN.
    "AWS::ApiGateway::Account": {"iam:GetRole"},
    # Integrations name no credentials, and the definition is in the template.
    "AWS::ApiGateway::RestApi": {"iam:PassRole", "s3:GetObject"},
    # The target is a function, which has a permission of its own.
    "AWS::Events::Rule": {"iam:PassRole"},
    "AWS::DynamoDB::Table": {
        # Replicas, imports, streams to Kinesis, Contributor Insights, resource policies; and deleting, since it stays.
        "dynamodb:AssociateTableReplica", "dynamodb:BatchWriteItem", "dynamodb:CreateTableReplica", "dynamodb:DeleteItem",
        "dynamodb:DeleteResourcePolicy", "dynamodb:DeleteTable", "dynamodb:DescribeImport",
        "dynamodb:DisableKinesisStreamingDestination", "dynamodb:EnableKinesisStreamingDestination", "dynamodb:GetItem",
        "dynamodb:ImportTable", "dynamodb:PutItem", "dynamodb:PutResourcePolicy", "dynamodb:Query", "dynamodb:Scan",
        "dynamodb:UpdateContributorInsights", "dynamodb:UpdateItem", "dynamodb:UpdateKinesisStreamingDestination",
        "iam:CreateServiceLinkedRole", "kinesis:DescribeStream", "kinesis:PutRecords", "logs:CreateLogGroup",
        "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
        "logs:PutRetentionPolicy", "s3:GetObject", "s3:GetObjectMetadata", "s3:ListBucket",
        # The key is named by its ARN; and DynamoDB's own list of what it needs of a key has no RevokeGrant.
        "kms:ListAliases", "kms:RevokeGrant",
    },
    "AWS::Lambda::Function": {
        # VPC, file systems, layers, code signing, managed instances, versions, variables with a key of one's own.
        "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
        "elasticfilesystem:DescribeMountTargets", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt",
        "kms:GenerateDataKey", "lambda:AssociateRuntimeAlias", "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:GetCodeSigningConfig", "lambda:GetLayerVersion", "lambda:PassCapacityProvider", "lambda:PublishVersion",
        "lambda:PutFunctionCodeSigningConfig", "lambda:PutFunctionRecursionConfig", "lambda:PutFunctionScalingConfig",
        "s3files:ListMountTargets",
    },
    "AWS::Logs::LogGroup": {
        "firehose:TagDeliveryStream", "logs:CreateLogDelivery", "logs:DeleteDataProtectionPolicy", "logs:DeleteIndexPolicy",
        "logs:DeleteResourcePolicy", "logs:PutBearerTokenAuthentication", "logs:PutDataProtectionPolicy",
        "logs:PutIndexPolicy", "logs:PutLogGroupDeletionProtection", "logs:PutResourcePolicy", "s3:REST.PUT.OBJECT",
    },
    # An asymmetric key does not rotate.
    "AWS::KMS::Key": {"kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation",
                      "kms:GetKeyRotationStatus"},
    "AWS::IAM::ManagedPolicy": {"iam:AttachGroupPolicy", "iam:AttachUserPolicy", "iam:DetachGroupPolicy",
                                "iam:DetachUserPolicy"},
}
# Those of a parameter, and used only where it is given.
USED_WITH = {
    "KmsKeyArn": {"AWS::DynamoDB::Table": {"kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"}},
    "ReservedConcurrency": {"AWS::Lambda::Function": {"lambda:DeleteFunctionConcurrency", "lambda:PutFunctionConcurrency"}},
}


@functools.cache
def schemas():
    """Type -> the schema of its provider."""
    return schemas_of({resource["Type"] for name in SCENARIOS for resource in made(name)[1].resources().values()})


def schemas_of(wanted):
    folder = pathlib.Path(cfnlint.__file__).parent / "data" / "schemas" / "resources"
    found = {}
    for file in folder.glob("*.json"):
        text = file.read_text()
        if any(f'"{kind}"' in text for kind in wanted):
            schema = json.loads(text)
            if schema["typeName"] in wanted:
                found[schema["typeName"]] = schema
    assert set(found) == wanted
    return found


def said(kind):
    """Every action that the provider names."""
    schema = schemas()[kind]
    used = {action for handler in HANDLERS
            for action in schema["handlers"].get(handler, {"permissions": []})["permissions"]}
    used |= set(schema.get("tagging", {}).get("permissions", []))
    if kind == "AWS::WAFv2::WebACLAssociation":
        # Web ACLs of many services; here it is API Gateway's.
        used = {action for action in used if action.split(":")[0] in ("wafv2", "apigateway")} - {
            "wafv2:GetPermissionPolicy", "wafv2:PutPermissionPolicy"}
    return used


def used(stack, kind):
    """The actions that the provider needs for what the stack uses of it."""
    left_out = set(NOT_USED.get(kind, set()))
    for parameter, kinds in USED_WITH.items():
        if not stack.parameters[parameter]:
            left_out |= kinds.get(kind, set())
    return said(kind) - left_out


def requests(stack):
    """What CloudFormation asks with the deployer's permissions, for every resource of the stack."""
    boundaries = {stack.attribute(name, "Arn"): resource["Properties"].get("PermissionsBoundary")
                  for name, resource in stack.resources().items() if resource["Type"] == "AWS::IAM::Role"}
    for name, resource in stack.resources().items():
        for action in sorted(used(stack, resource["Type"])):
            for arn, context in asked(stack, name, resource, action):
                # The role's own, or the one that the request gives it.
                if boundaries.get(arn) and knows_boundary(action):
                    context = {**context, "iam:PermissionsBoundary": boundaries[arn]}
                yield Request(DEPLOYER, action, arn, tuple(context.items()))


def knows_boundary(action):
    service, operation = action.split(":")
    return "iam:PermissionsBoundary" in reference(service)[operation.lower()]["conditionKeys"]


def asked(stack, name, resource, action):
    """On which ARNs, and with which condition keys, the provider of this resource asks for the action."""
    properties = resource["Properties"]
    if action == "iam:PassRole":
        return [passed_role(stack, resource)]
    if action in ("iam:AttachRolePolicy", "iam:DetachRolePolicy"):
        return attachments(stack, name, resource)
    if action.startswith("s3:"):
        return [("arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-abc/pcs-api/0123456789abcdef", {})]
    if not reference(action.split(":")[0])[action.split(":")[1].lower()]["resourceTypes"]:
        return [("*", through_cloudformation(properties) if action == "kms:CreateKey" else {})]
    if resource["Type"] == "AWS::DynamoDB::Table" and action.startswith("kms:"):
        return [(stack.parameters["KmsKeyArn"], {"kms:ViaService": f"dynamodb.{stack.pseudo['AWS::Region']}.amazonaws.com"})]
    if resource["Type"] == "AWS::KMS::Key":
        return [(stack.attribute(name, "Arn"), through_cloudformation(properties))]
    return [(arn, {}) for arn in arns(stack, name, resource, action)]


def through_cloudformation(key):
    """"AWS global condition context keys": CloudFormation's calls with somebody's permissions have aws:CalledVia."""
    return {"kms:KeySpec": key["KeySpec"], "aws:CalledVia": ("cloudformation.amazonaws.com",)}


def passed_role(stack, resource):
    if resource["Type"] == "AWS::ApiGateway::Account":
        return resource["Properties"]["CloudWatchRoleArn"], {"iam:PassedToService": "apigateway.amazonaws.com"}
    return resource["Properties"]["Role"], {"iam:PassedToService": "lambda.amazonaws.com"}


def attachments(stack, name, resource):
    """A role names its managed policies; a managed policy of the template names its roles."""
    properties = resource["Properties"]
    if resource["Type"] == "AWS::IAM::Role":
        return [(stack.attribute(name, "Arn"), {"iam:PolicyARN": policy})
                for policy in properties.get("ManagedPolicyArns", [])]
    roles = f"arn:aws:iam::{stack.pseudo['AWS::AccountId']}:role/"
    return [(roles + role, {"iam:PolicyARN": stack.ref(name)}) for role in properties.get("Roles", [])]


def arns(stack, name, resource, action):
    kind, properties = resource["Type"], resource["Properties"]
    service, operation = action.split(":")
    here = f"{stack.pseudo['AWS::Region']}:{stack.pseudo['AWS::AccountId']}"
    if service == "apigateway":
        return gateway_arns(stack, kind, operation)
    if service == "route53":
        place = "change/C123" if operation == "GetChange" else f"hostedzone/{properties['HostedZoneId']}"
        return [f"arn:aws:route53:::{place}"]
    if service == "wafv2":
        acl, stage = properties["WebACLArn"], properties["ResourceArn"]
        return {"AssociateWebACL": [acl, stage], "GetWebACL": [acl]}.get(operation, [stage])
    if service == "lambda":
        return [stack.attribute("PcsApiFunction", "Arn")]
    if service == "sqs":
        return [stack.attribute("SweepDeadLetterQueue", "Arn")]
    return {
        "AWS::IAM::Role": lambda: [stack.attribute(name, "Arn")],
        "AWS::IAM::ManagedPolicy": lambda: [stack.ref(name)],
        "AWS::DynamoDB::Table": lambda: [stack.attribute(name, "Arn")],
        "AWS::Logs::LogGroup": lambda: [stack.attribute(name, "Arn")],
        "AWS::Events::Rule": lambda: [stack.attribute(name, "Arn")],
        "AWS::CloudWatch::Alarm": lambda: [f"arn:aws:cloudwatch:{here}:alarm:{stack.pseudo['AWS::StackName']}-{name}-EXAMPLE"],
        "AWS::CloudWatch::Dashboard": lambda: [
            f"arn:aws:cloudwatch::{stack.pseudo['AWS::AccountId']}:dashboard/{properties['DashboardName']}"],
        # What CloudFormation calls a parameter without a name.
        "AWS::SSM::Parameter": lambda: [f"arn:aws:ssm:{here}:parameter/CFN-{name}-EXAMPLE"],
    }[kind]()


def gateway_arns(stack, kind, operation):
    """API Gateway's actions are HTTP's methods, on the paths of its own API."""
    begin = f"arn:aws:apigateway:{stack.pseudo['AWS::Region']}::"
    domain = stack.parameters["CustomDomainName"]
    collection, item = {
        "AWS::ApiGateway::RestApi": ("/restapis", "/restapis/a1b2c3d4e5"),
        "AWS::ApiGateway::Deployment": ("/restapis/a1b2c3d4e5/deployments", "/restapis/a1b2c3d4e5/deployments/d1"),
        "AWS::ApiGateway::Stage": ("/restapis/a1b2c3d4e5/stages", "/restapis/a1b2c3d4e5/stages/prod"),
        "AWS::WAFv2::WebACLAssociation": (None, "/restapis/a1b2c3d4e5/stages/prod"),
        "AWS::ApiGateway::Account": ("/account", "/account"),
        "AWS::ApiGateway::DomainName": ("/domainnames", f"/domainnames/{domain}"),
        "AWS::ApiGateway::BasePathMapping": (
            f"/domainnames/{domain}/basepathmappings", f"/domainnames/{domain}/basepathmappings/(none)"),
    }[kind]
    tags = "/tags/" + urllib.parse.quote(begin + item, safe="")
    if operation == "PUT":
        # It imports an API, and it tags.
        paths = [item, tags] if kind == "AWS::ApiGateway::RestApi" else [tags]
    elif operation == "POST":
        paths = [collection]
    else:
        tagged = operation in ("GET", "DELETE") and "permissions" in schemas()[kind].get("tagging", {})
        paths = [item, tags] if tagged else [item]
    return [begin + path for path in paths]
