"""moto takes the stack, as far as it goes: roles, policies, table, queue, log groups, function; and the REST API by
import, since moto's CloudFormation ignores a Body.

It shows two things: that references between resources lead somewhere, and that its CloudFormation, which nobody here
wrote, comes to the same policies as intrinsics.py. It is no check of form (cfn-lint is) nor of what IAM would allow.
"""

import io
import json
import urllib.parse
import zipfile

import boto3
import pytest
import yaml
from moto import mock_aws

from conftest import made
from policies import documents

# What moto's CloudFormation does not know, and the record that names the domain; the API is imported instead of deployed.
NOT_IN_MOTO = {
    "AWS::ApiGateway::Account", "AWS::ApiGateway::BasePathMapping", "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::DomainName", "AWS::ApiGateway::Stage", "AWS::CloudWatch::Dashboard",
    "AWS::Lambda::EventInvokeConfig", "AWS::Route53::RecordSet", "AWS::SQS::QueuePolicy", "AWS::SSM::Parameter",
    "AWS::WAFv2::WebACLAssociation",
}
PLACE = {"region_name": "us-east-1", "aws_access_key_id": "moto", "aws_secret_access_key": "moto"}


def as_moto_takes_it(stack):
    """The stack with its conditions decided (moto keeps AWS::NoValue in lists), without what moto does not know."""
    document = stack.decided()
    allowed = document["Resources"]["AllowedPolicies"]["Properties"]["Value"]
    resources = {name: resource for name, resource in document["Resources"].items()
                 if resource["Type"] not in NOT_IN_MOTO}
    resources["PcsApi"]["Properties"].pop("Body")

    def without_parameter(part):
        if part == {"Fn::GetAtt": ["AllowedPolicies", "Value"]}:
            return allowed
        if isinstance(part, list):
            return [without_parameter(each) for each in part]
        if isinstance(part, dict):
            return {key: without_parameter(each) for key, each in part.items()}
        return part

    return {"Mappings": document["Mappings"], "Resources": without_parameter(resources)}


def package():
    """Something for the function's code, where SAM would have put it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("bootstrap", "")
    s3 = boto3.client("s3", **PLACE)
    s3.create_bucket(Bucket="packages")
    s3.put_object(Bucket="packages", Key="pcs-api.zip", Body=packed.getvalue())


def deploy(stack):
    """Logical id -> physical id."""
    package()
    cloudformation = boto3.client("cloudformation", **PLACE)
    cloudformation.create_stack(StackName="pcs-api", TemplateBody=json.dumps(as_moto_takes_it(stack)),
                                Capabilities=["CAPABILITY_NAMED_IAM"])
    described = cloudformation.describe_stacks(StackName="pcs-api")["Stacks"][0]
    assert described["StackStatus"] == "CREATE_COMPLETE", described
    resources = cloudformation.describe_stack_resources(StackName="pcs-api")["StackResources"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources if "PhysicalResourceId" in each}


def policies_there():
    """Name of a role or policy -> documents, as IAM keeps them."""
    iam = boto3.client("iam", **PLACE)
    found = {}
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        found[f"{name} (trust)"] = role["AssumeRolePolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            found[f"{name}/{policy}"] = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        found[policy["PolicyName"]] = version["PolicyVersion"]["Document"]
    # moto's CloudFormation writes some of them as Python does; YAML reads that and JSON.
    return {name: yaml.safe_load(urllib.parse.unquote(document)) if isinstance(document, str) else document
            for name, document in found.items()}


@pytest.mark.parametrize("name", ["default", "iam-admin-boundary", "no-user-role", "prefix", "encrypted",
                                  "instance-registration"])
@mock_aws
def test_cloudformation_comes_to_the_same_policies(name):
    stack = made(name)[1]
    ids = deploy(stack)
    there = json.dumps(policies_there())
    # What moto makes up, and what intrinsics.py does; names that the template gives are the same, but for the stack's
    # own id in them.
    suffix, = {ids["FunctionRole"].rsplit("-", 1)[1]}
    there = there.replace(suffix, "5f1d3c60")
    for logical in ("PcsApi", "AuditTable", "FunctionLogGroup"):
        there = there.replace(ids[logical], str(stack.ref(logical)))
    queue = ids["SweepDeadLetterQueue"].rsplit("/", 1)[1]
    there = there.replace(queue, stack.attribute("SweepDeadLetterQueue", "Arn").rsplit(":", 1)[1])
    if "AuditTrailKey" in ids:
        there = there.replace(ids["AuditTrailKey"].rsplit("/", 1)[-1], "1234abcd-12ab-34cd-56ef-1234567890ab")
    # moto's ARN of a log group lacks the `:*` of the real one.
    group = stack.attribute("FunctionLogGroup", "Arn")
    there = there.replace(json.dumps(group.removesuffix(":*")), json.dumps(group))

    expected = {}
    for key, document in documents(stack).items():
        if key.endswith(("(queue)", "(key)", "(resource policy)")):
            continue
        logical = key.split("/")[0].split(" ")[0]
        properties = stack.resources()[logical]["Properties"]
        own = properties.get("RoleName") or properties["ManagedPolicyName"]
        expected[key.replace(logical, own, 1)] = document
    assert json.loads(there) == expected


@mock_aws
def test_the_table_is_made():
    ids = deploy(made("default")[1])
    dynamodb = boto3.client("dynamodb", **PLACE)
    table = dynamodb.describe_table(TableName=ids["AuditTable"])["Table"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert {index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
            for index in table["GlobalSecondaryIndexes"]} == {
        name: [name, "at"] for name in ("byTime", "byPrincipal", "byResource", "byRequest")}
    row = {"pk": {"S": "E#1"}, "sk": {"S": "0#RECEIVED"}, "byTime": {"S": "T#1"}, "at": {"S": "1"},
           "decision": {"S": "ALLOW"}, "bodySha256": {"S": "0"}}
    dynamodb.put_item(TableName=ids["AuditTable"], Item=row)
    found, = dynamodb.query(TableName=ids["AuditTable"], IndexName="byTime", KeyConditionExpression="byTime = :t",
                            ExpressionAttributeValues={":t": {"S": "T#1"}})["Items"]
    assert found["decision"] == {"S": "ALLOW"} and "bodySha256" not in found, "the summary has it, or has too much"


@mock_aws
def test_the_function_is_made():
    ids = deploy(made("default")[1])
    function = boto3.client("lambda", **PLACE).get_function_configuration(FunctionName=ids["PcsApiFunction"])
    assert (function["Runtime"], function["Timeout"], function["MemorySize"]) == ("provided.al2023", 28, 512)
    variables = function["Environment"]["Variables"]
    assert variables["PCS_API_AUDIT_TABLE"] == ids["AuditTable"]
    assert variables["PCS_API_REST_API_ID"] == ids["PcsApi"]
    assert function["Role"].endswith("/" + ids["FunctionRole"])
    permissions = json.loads(boto3.client("lambda", **PLACE).get_policy(FunctionName=ids["PcsApiFunction"])["Policy"])
    assert len(permissions["Statement"]) == 3


@mock_aws
def test_the_api_is_imported(contract):
    body = made("default")[1].resources()["PcsApi"]["Properties"]["Body"]
    gateway = boto3.client("apigateway", **PLACE)
    imported = gateway.import_rest_api(failOnWarnings=True, body=json.dumps(body))
    assert imported["name"] == "pcs-api", "an import names the API after the document's title"
    api = imported["id"]
    there = {
        (method, resource["path"]): gateway.get_method(restApiId=api, resourceId=resource["id"], httpMethod=method)
        for resource in gateway.get_resources(restApiId=api, limit=500)["items"]
        for method in resource.get("resourceMethods", {})
    }
    written = {(method.upper(), path): operation for path, item in contract["paths"].items()
               for method, operation in item.items() if method != "parameters"}
    assert set(there) == set(written)
    function = "arn:aws:lambda:us-east-1:123456789012:function:${stageVariables.function}"
    for method, found in there.items():
        integration = found["methodIntegration"]
        assert (integration["type"].lower(), integration["httpMethod"]) == ("aws_proxy", "POST"), method
        assert integration["uri"] == (
            f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"), method
        assert set(found["methodResponses"]) == set(written[method]["responses"]), method
    gateway.create_deployment(restApiId=api, stageName="prod")
