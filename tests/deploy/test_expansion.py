"""What the stack is made of, for every parameter set: the API, the function, the table, and that all of it is
well formed in the eyes of AWS's own tools."""

import json
import pathlib
import re
import subprocess
import sys

import boto3
import pytest

import expand as expansion
from conftest import made
from scenarios import PARTITIONS, SCENARIOS

CFN_LINT = pathlib.Path(sys.executable).with_name("cfn-lint")
# API Gateway importer's spelling of HTTP methods.
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"}


def of_type(stack, kind):
    return {name: resource for name, resource in stack.resources().items() if resource["Type"] == kind}


def only(stack, kind):
    (_, resource), = of_type(stack, kind).items()
    return resource["Properties"]


def test_cfn_lint_finds_nothing(tmp_path):
    """In the template, and in what it becomes for each parameter set. cfn-lint looks only at the outside of the API's
    body, so one of them has it whole and the others in short: it takes most of the time."""
    files = [expansion.TEMPLATE]
    for name in [*SCENARIOS, *PARTITIONS]:
        document = made(name)[1].decided()
        body = document["Resources"]["PcsApi"]["Properties"]["Body"]
        if name != "default":
            document["Resources"]["PcsApi"]["Properties"]["Body"] = {**body, "paths": {}, "components": {}}
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    command = [CFN_LINT, "--format", "parseable", "--regions", "us-east-1", "--", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sam_validates_the_template():
    environment = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    command = [sys.executable, "-m", "samcli", "validate", "--lint", "--template", str(expansion.TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=expansion.ROOT)
    assert done.returncode == 0 and "is a valid SAM Template" in done.stdout, done.stdout + done.stderr


def test_parameters_fit(stack):
    assert stack.wrong_parameters() == []
    assert stack.broken_rules() == []


# --- the API ---


def test_every_method_wants_a_signature(stack, contract):
    body = only(stack, "AWS::ApiGateway::RestApi")["Body"]
    schemes = body["components"]["securitySchemes"]
    found = set()
    for path, item in body["paths"].items():
        for method in METHODS & set(item):
            operation = item[method]
            found.add((method, path))
            assert operation["security"], (method, path)
            for requirement in operation["security"]:
                (name, scopes), = requirement.items()
                assert schemes[name] == contract["components"]["securitySchemes"][name], "SAM changed it"
                assert schemes[name]["x-amazon-apigateway-authtype"] == "awsSigv4", (method, path)
                assert schemes[name]["name"] == "Authorization" and scopes == []
    written = {(method, path) for path, item in contract["paths"].items() for method in METHODS & set(item)}
    # No CORS preflight, no catch-all: nothing beside the contract's operations.
    assert found == written and found


def test_every_method_calls_the_function_through_the_stage(stack):
    body = only(stack, "AWS::ApiGateway::RestApi")["Body"]
    stage = only(stack, "AWS::ApiGateway::Stage")
    arn = stack.attribute("PcsApiFunction", "Arn")
    for path, item in body["paths"].items():
        for method in METHODS & set(item):
            uri = item[method]["x-amazon-apigateway-integration"]["uri"]
            assert "${stageVariables.function}" in uri, "its ARN would close a circle, since the function has the API's id"
            uri = re.sub(r"\$\{stageVariables\.(\w+)\}", lambda found: stage["Variables"][found[1]], uri)
            partition, region = stack.pseudo["AWS::Partition"], stack.pseudo["AWS::Region"]
            assert uri == (f"arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations")


def test_the_import_leaves_the_api_its_name(stack):
    """An import names the API after the document's title, whatever its Name is; alarms find it by its Name."""
    api = only(stack, "AWS::ApiGateway::RestApi")
    assert api["Body"]["info"]["title"] == api["Name"] == stack.pseudo["AWS::StackName"]


def test_the_resource_policy_denies(stack):
    policy = only(stack, "AWS::ApiGateway::RestApi")["Body"]["x-amazon-apigateway-policy"]
    statements = {statement["Sid"]: statement for statement in policy["Statement"]}
    for statement in statements.values():
        assert (statement["Effect"], statement["Principal"], statement["Action"], statement["Resource"]) == (
            "Deny", "*", "execute-api:Invoke", "execute-api:/*"), "an Allow would let in whom no policy allows"
        assert list(statement["Condition"]) == ["StringNotEquals"]
    account = stack.pseudo["AWS::AccountId"]
    if stack.parameters["CreateApiUserRole"] == "true":
        allowed = statements["OnlyTheRolesOfThisStack"]["Condition"]["StringNotEquals"]
        roles = ["ApiUserRole", "ApiReadOnlyRole", "ApiAuditorRole"]
        assert allowed == {"aws:PrincipalArn": [stack.attribute(role, "Arn") for role in roles]}
        assert all(f":{account}:role/" in arn and "*" not in arn for arn in allowed["aws:PrincipalArn"])
    else:
        allowed = statements["OnlyThisAccount"]["Condition"]["StringNotEquals"]
        assert allowed == {"aws:PrincipalAccount": account}
    endpoint = stack.parameters["VpcEndpointId"]
    through = statements.get("OnlyThroughTheVpcEndpoint")
    if endpoint:
        assert through["Condition"]["StringNotEquals"] == {"aws:SourceVpce": endpoint}
    assert len(statements) == (2 if endpoint else 1)


def test_the_endpoint(stack):
    api = only(stack, "AWS::ApiGateway::RestApi")
    endpoint = stack.parameters["VpcEndpointId"]
    assert api["EndpointConfiguration"] == (
        {"Types": ["PRIVATE"], "VpcEndpointIds": [endpoint]} if endpoint else {"Types": ["REGIONAL"]})
    domain = stack.parameters["CustomDomainName"]
    server, = api["Body"]["servers"]
    assert server["x-amazon-apigateway-endpoint-configuration"] == {"disableExecuteApiEndpoint": bool(domain)}
    # "Supported security policies" in the API Gateway Developer Guide; "Endpoint access mode" there: only policies whose
    # names begin with SecurityPolicy_ take one, and they have to.
    policy = stack.parameters["TlsSecurityPolicy"]
    assert policy in ("SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", "TLS_1_2")
    mode = "BASIC" if endpoint else stack.parameters["EndpointAccessMode"]
    expected = (policy, mode if policy.startswith("SecurityPolicy_") else None)
    assert (api["SecurityPolicy"], api.get("EndpointAccessMode")) == expected
    for name in of_type(stack, "AWS::ApiGateway::DomainName"):
        properties = stack.resources()[name]["Properties"]
        assert (properties["SecurityPolicy"], properties.get("EndpointAccessMode")) == expected
        assert properties["RegionalCertificateArn"] == stack.parameters["CustomDomainCertificate"]
    mappings = of_type(stack, "AWS::ApiGateway::BasePathMapping").values()
    # No base path: URLs are those of the default endpoint without the stage.
    assert [mapping["Properties"] for mapping in mappings] == (
        [{"DomainName": domain, "RestApiId": "a1b2c3d4e5", "Stage": "prod"}] if domain else [])
    records = [record["Properties"]["Name"] for record in of_type(stack, "AWS::Route53::RecordSet").values()]
    assert records == ([domain] if stack.parameters["CustomDomainHostedZoneId"] else [])


def test_the_invoke_url_is_where_the_api_answers(stack):
    url = stack.outputs()["ParallelClusterApiInvokeUrl"]
    parameters, region = stack.parameters, stack.pseudo["AWS::Region"]
    if parameters["CustomDomainName"]:
        assert url == f"https://{parameters['CustomDomainName']}"
    elif parameters["VpcEndpointId"]:
        assert url == f"https://a1b2c3d4e5-{parameters['VpcEndpointId']}.execute-api.{region}.amazonaws.com/prod"
    else:
        assert url == f"https://a1b2c3d4e5.execute-api.{region}.amazonaws.com/prod"


def test_the_documented_outputs(stack):
    outputs = stack.outputs()
    assert outputs["ParallelClusterLambdaArn"] == stack.attribute("PcsApiFunction", "Arn")
    function = only(stack, "AWS::Lambda::Function")
    assert outputs["ParallelClusterLambdaLogGroup"] == function["LoggingConfig"]["LogGroup"]
    with_role = stack.parameters["CreateApiUserRole"] == "true"
    assert outputs.get("ParallelClusterApiUserRole") == (
        stack.attribute("ApiUserRole", "Arn") if with_role else None)


def test_the_stage_logs_callers_and_throttles(stack):
    stage = only(stack, "AWS::ApiGateway::Stage")
    assert stage["StageName"] == "prod" and stage["TracingEnabled"] is True
    line = json.loads(stage["AccessLogSetting"]["Format"])
    for variable in ("requestId", "identity.userArn", "identity.caller", "identity.accountId", "identity.sourceIp",
                     "status", "error.responseType", "resourcePath", "httpMethod"):
        assert f"$context.{variable}" in line.values(), variable
    # Callers choose these, and API Gateway does not escape them.
    for variable in ("path", "identity.userAgent", "error.message", "protocol", "domainName"):
        assert f"$context.{variable}" not in line.values(), variable
    groups = {stack.attribute(name, "Arn") for name in of_type(stack, "AWS::Logs::LogGroup")}
    assert stage["AccessLogSetting"]["DestinationArn"] in groups
    settings, = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == stack.parameters["ThrottlingRateLimit"]
    assert settings["ThrottlingBurstLimit"] == stack.parameters["ThrottlingBurstLimit"]
    assert settings["DataTraceEnabled"] is False and settings["LoggingLevel"] == "OFF", "bodies would be logged"
    # The account's role for logs has to be there before the stage.
    waits = json.dumps(stack.template["Resources"]["PcsApiprodStage"])
    assert '{"Fn::If": ["CreatesLogsRole", {"Ref": "ApiGatewayAccount"}' in waits
    for name in of_type(stack, "AWS::Logs::LogGroup"):
        properties = stack.resources()[name]["Properties"]
        assert properties["RetentionInDays"] == stack.parameters["LogRetentionDays"]
        assert properties.get("KmsKeyId", "") == stack.parameters["KmsKeyArn"]


def test_the_accounts_setting_comes_after_the_api(template):
    """Reference of AWS::ApiGateway::Account: an account that never had a resource of API Gateway needs one before it."""
    assert template["Resources"]["ApiGatewayAccount"]["DependsOn"] == "PcsApi"
    assert template["Resources"]["PcsApi"]["Type"] == "AWS::Serverless::Api"


def test_a_change_of_parameters_reaches_the_stage(template):
    """A resource policy takes effect when the API is deployed, and only a new Deployment deploys it."""
    assert template["Resources"]["PcsApi"]["Properties"]["AlwaysDeploy"] is True


# --- the function ---


def test_the_function(stack):
    function = only(stack, "AWS::Lambda::Function")
    assert function["Runtime"] == "provided.al2023" and function["Handler"] == "bootstrap"
    assert function["RuntimeManagementConfig"] == {"UpdateRuntimeOn": "Auto"}
    assert function["Architectures"] == [stack.parameters["Architecture"]]
    assert function["Timeout"] == 28 < 29, "API Gateway gives up after 29 seconds"
    assert function["TracingConfig"] == {"Mode": "Active"}
    own = stack.parameters["ParallelClusterFunctionRole"]
    assert function["Role"] == (own or stack.attribute("FunctionRole", "Arn"))
    assert bool(own) != ("FunctionRole" in stack.resources())
    # Nothing else can invoke it: no URL, and two services with this API and these schedules as their source.
    assert of_type(stack, "AWS::Lambda::Url") == {}
    account = stack.pseudo["AWS::AccountId"]
    place = f"{stack.pseudo['AWS::Region']}:{account}"
    partition = stack.pseudo["AWS::Partition"]
    permissions = [resource["Properties"] for resource in of_type(stack, "AWS::Lambda::Permission").values()]
    assert sorted((each["Principal"], each["SourceArn"]) for each in permissions) == [
        ("apigateway.amazonaws.com", f"arn:{partition}:execute-api:{place}:a1b2c3d4e5/prod/*"),
        *sorted(("events.amazonaws.com", stack.attribute(rule, "Arn")) for rule in ("TickSchedule", "SweepSchedule")),
    ]
    for permission in permissions:
        assert permission["Action"] == "lambda:InvokeFunction"
        # Lambda holds the source ARN against what the service sends; neither ARN is another account's.
        assert permission["SourceArn"].split(":")[4] == account
        # EventBridge User Guide, "My rule ran but my Lambda function wasn't invoked": SourceAccount prevents that.
        assert "SourceAccount" not in permission
    concurrency = stack.parameters["ReservedConcurrency"]
    assert function.get("ReservedConcurrentExecutions", "") == concurrency


def test_the_environment_is_what_the_function_reads(stack):
    """Every variable that src/config.rs reads and Lambda does not set itself, and values of the forms it takes."""
    variables = only(stack, "AWS::Lambda::Function")["Environment"]["Variables"]
    source = "".join(file.read_text() for file in (expansion.ROOT / "src").rglob("*.rs"))
    read = set(re.findall(r'"(PCS_API_[A-Z_]+)"', source))
    # Of the name that AWS's SDKs give it (AWS SDKs and Tools Reference Guide, "Dual-stack and FIPS endpoints").
    assert set(variables) == read | {"AWS_USE_FIPS_ENDPOINT"}
    parameters = stack.parameters
    expected = {
        "PCS_API_REGION_SCOPE": parameters["Region"],
        "PCS_API_ACCOUNT_ID": stack.pseudo["AWS::AccountId"],
        "PCS_API_PARTITION": stack.pseudo["AWS::Partition"],
        "PCS_API_REST_API_ID": "a1b2c3d4e5",
        "PCS_API_STAGE": "prod",
        "PCS_API_AUDIT_TABLE": stack.ref("AuditTable"),
        "PCS_API_AUDIT_RETENTION_DAYS": parameters["AuditRetentionDays"],
        "PCS_API_PERMISSIONS_BOUNDARY": parameters["PermissionsBoundaryPolicy"],
        "PCS_API_ALLOWED_INLINE_ACTIONS": parameters["AllowedInlineActions"],
        "PCS_API_ENABLE_IAM_ADMIN_ACCESS": parameters["EnableIamAdminAccess"],
        "PCS_API_ENABLE_INSTANCE_REGISTRATION": parameters["EnableInstanceRegistration"],
        "PCS_API_LIFECYCLE_SCRIPTS": parameters["LifecycleScripts"],
        "PCS_API_LOG_LEVEL": parameters["LogLevel"],
        "AWS_USE_FIPS_ENDPOINT": parameters["UseFipsEndpoints"],
    }
    assert {name: variables[name] for name in expected} == expected
    key = variables["PCS_API_AUDIT_SIGNING_KEY"]
    asked = parameters["AuditSigningKey"]
    assert key == (stack.attribute("AuditTrailKey", "Arn") if asked == "create" else asked)


def test_sweeps_are_started_and_lost_ones_are_kept(stack):
    rule = stack.resources()["SweepSchedule"]["Properties"]
    queue = stack.attribute("SweepDeadLetterQueue", "Arn")
    # EventBridge's own event for a schedule is what src/lambda.rs takes for a sweep; an Input would replace it.
    target, = rule["Targets"]
    assert rule["ScheduleExpression"] == "rate(1 hour)" and rule["State"] == "ENABLED"
    assert "Input" not in target and "InputTransformer" not in target
    assert target["Arn"] == stack.attribute("PcsApiFunction", "Arn")
    assert target["DeadLetterConfig"] == {"Arn": queue}
    failures = only(stack, "AWS::Lambda::EventInvokeConfig")
    assert failures["DestinationConfig"] == {"OnFailure": {"Destination": queue}}
    statement, = only(stack, "AWS::SQS::QueuePolicy")["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"} and statement["Resource"] == queue
    rules = [stack.attribute(rule, "Arn") for rule in ("SweepSchedule", "TickSchedule")]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rules}}


def test_what_a_sweep_leaves_is_gone_on_with_every_minute(stack):
    rule = stack.resources()["TickSchedule"]["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 minute)" and rule["State"] == "ENABLED"
    target, = rule["Targets"]
    assert target["Arn"] == stack.attribute("PcsApiFunction", "Arn")
    # Constant: nobody's event reaches the function. src/lambda.rs takes this one and no other.
    assert json.loads(target["Input"]) == {"task": "continue"}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
    assert target["DeadLetterConfig"] == {"Arn": stack.attribute("SweepDeadLetterQueue", "Arn")}


# --- the table, and what stays ---


def test_the_audit_table(stack):
    table = only(stack, "AWS::DynamoDB::Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionProtectionEnabled"] is True
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    key = stack.parameters["KmsKeyArn"]
    assert table.get("SSESpecification") == (
        {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key} if key else None)
    projected = [index["Projection"]["NonKeyAttributes"] for index in table["GlobalSecondaryIndexes"]]
    # DynamoDB's quotas for projected attributes: 20 in an index, 100 in all.
    assert all(len(names) == len(set(names)) <= 20 for names in projected)
    assert sum(map(len, projected)) <= 100


def test_the_audit_table_is_the_local_one(local):
    """The table that the product makes on a laptop, which all its tests run against, as DynamoDB describes it."""
    client = boto3.client("dynamodb", endpoint_url=local["dynamodb"], region_name="us-east-1",
                          aws_access_key_id="local", aws_secret_access_key="local")
    there = client.describe_table(TableName="pcs-api-audit")["Table"]
    expires = client.describe_time_to_live(TableName="pcs-api-audit")["TimeToLiveDescription"]
    here = only(made("default")[1], "AWS::DynamoDB::Table")

    def attributes(table):
        return sorted((each["AttributeName"], each["AttributeType"]) for each in table["AttributeDefinitions"])

    def keys(holder):
        return [(each["KeyType"], each["AttributeName"]) for each in holder["KeySchema"]]

    def indexes(table):
        return {index["IndexName"]: (keys(index), index["Projection"]["ProjectionType"],
                                     sorted(index["Projection"]["NonKeyAttributes"]))
                for index in table["GlobalSecondaryIndexes"]}

    assert attributes(here) == attributes(there)
    assert keys(here) == keys(there)
    assert indexes(here) == indexes(there)
    assert here["TimeToLiveSpecification"] == {"AttributeName": expires["AttributeName"], "Enabled": True}


STAYS = {
    # Its deletion protection would stop the deletion, and with it the rollback of a first deployment that fails.
    "AuditTable": "Retain",
    "AuditTrailKey": "RetainExceptOnCreate", "AccessLogGroup": "RetainExceptOnCreate",
    "ApiGatewayAccount": "RetainExceptOnCreate", "ApiGatewayLogsRole": "RetainExceptOnCreate",
}


def test_records_stay_when_the_stack_goes(stack):
    for name, resource in stack.resources().items():
        kept = (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy"))
        if name in STAYS:
            assert kept == (STAYS[name], "Retain"), name
        else:
            assert kept in ((None, None), ("Delete", "Delete")), name


def test_what_an_idle_month_is_priced_for_is_what_is_deployed():
    stack = made("default")[1]
    options = subprocess.run([expansion.ROOT / "scripts" / "price", "--help"], check=True, capture_output=True, text=True)
    text = " ".join(options.stdout.split())
    for what, kind in (("alarms", "AWS::CloudWatch::Alarm"), ("dashboards", "AWS::CloudWatch::Dashboard"),
                       ("KMS keys", "AWS::KMS::Key")):
        assert f"{what} of the deployment (default {len(of_type(stack, kind))})" in text, what


def test_the_web_acl(stack):
    associations = [each["Properties"] for each in of_type(stack, "AWS::WAFv2::WebACLAssociation").values()]
    arn, place = stack.parameters["WebAclArn"], stack.pseudo["AWS::Region"]
    stage = f"arn:{stack.pseudo['AWS::Partition']}:apigateway:{place}::/restapis/a1b2c3d4e5/stages/prod"
    assert associations == ([{"WebACLArn": arn, "ResourceArn": stage}] if arn else [])


@pytest.mark.parametrize("prefix", ["", "team-blue-"])
def test_names_of_roles_and_policies_begin_with_the_prefix(prefix):
    stack = made("prefix" if prefix else "default")[1]
    names = []
    for resource in stack.resources().values():
        properties = resource.get("Properties", {})
        names += [properties[key] for key in ("RoleName", "ManagedPolicyName") if key in properties]
    assert len(names) == 8
    assert all(re.fullmatch(re.escape(prefix) + r"PcsApi\w+-5f1d3c60", name) for name in names), names
