"""What scripts/smoke meets in an account, without one: the expanded template in a moto server, and API Gateway's part.

`Aws` stands between the script and moto: it hands everything on and says what moto does not know, with faults put in by
the tests. `Gateway` finds the caller by moto's STS, turns away whom the deployed policies turn away, and calls a running
`pcs-local` for the rest. What `Aws` says by itself, because moto says nothing of it: the status, TLS and endpoint access
mode of an API, what Lambda answers to an invocation, PCS (pcs-local's emulator), quotas of PCS, Regions not enabled.
"""

import contextlib
import functools
import http.client
import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials

import expand as expansion
import test_moto
from conftest import made

MOTO_SERVER = os.environ.get("MOTO_SERVER")
REGION = "us-east-1"
NOT_ENABLED = "eu-west-1"
NAME = "pcs-api"
ADMINISTRATOR = {"AWS_ACCESS_KEY_ID": "AKIAADMINISTRATOR000", "AWS_SECRET_ACCESS_KEY": "administrator"}
USER = botocore.credentials.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
# What the three policies allow, as method and path.
ALLOWED = {
    "ApiUserRole": r"\w+ /v1/(clusters(/.*)?|tags)|GET /v1/guardrails",
    "ApiReadOnlyRole": r"GET /v1/(clusters(/.*)?|tags|guardrails)",
    "ApiAuditorRole": r"GET /v1/(audit-events(/.*)?|guardrails)",
}
QUOTA = {"ServiceCode": "pcs", "QuotaCode": "L-00000000", "QuotaName": "Clusters", "Value": 5.0}
SWEPT = {"complete": True, "unread": [], "regionsLeft": 0}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, content = self.server.owner.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(owner):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.owner = owner
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def handed_on(url, method, path, headers, body):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)
    try:
        connection.request(method, path, body, dict(headers))
        found = connection.getresponse()
        return found.status, dict(found.getheaders()), found.read()
    finally:
        connection.close()


def json_answer(status, document, **headers):
    return status, {"Content-Type": "application/json", **headers}, json.dumps(document).encode()


class Aws:
    def __init__(self, moto, pcs):
        self.moto = moto
        self.pcs = pcs
        # Logical id -> name: put into the list of the stack's resources.
        self.alarms = {}
        self.right()

    def right(self):
        """No fault."""
        # Members put into every answer about the API; None takes one away.
        self.rest_api = {"apiStatus": "AVAILABLE", "securityPolicy": "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
                         "endpointAccessMode": "STRICT", "endpointConfiguration": {"types": ["REGIONAL"]}}
        # The function's answer to an invocation, and the header that says it failed.
        self.invocation = json_answer(200, SWEPT)
        # Operation -> error code.
        self.denied = {}
        # In what CloudFormation tells of the stack.
        self.minutes_old = None
        self.parameters = {}
        # (pattern, replacement) in the text of any answer. moto's CloudFormation does not read the processor.
        self.replaced = [(rb'"x86_64"', b'"arm64"')]

    def answer(self, method, path, headers, body):
        target = headers.get("X-Amz-Target", "")
        operation = target.rsplit(".", 1)[-1] or "".join(re.findall(r"Action=(\w+)", body.decode("utf-8", "replace")))
        operation = operation or path.split("/")[-1].split("?")[0]
        if operation in self.denied:
            code = self.denied[operation]
            if b"Action=" in body:
                return 400, {"Content-Type": "text/xml"}, (
                    f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>").encode()
            return json_answer(400, {"__type": code, "message": "no"}, **{"x-amzn-ErrorType": code})
        if f"/{NOT_ENABLED}/pcs/" in headers.get("Authorization", ""):
            return json_answer(403, {"__type": "UnrecognizedClientException", "message": "The security token is invalid."})
        if target.startswith("AWSParallelComputingService."):
            return handed_on(self.pcs, method, path, headers, body)
        if target.startswith("ServiceQuotas"):
            return json_answer(200, {"Quotas": [QUOTA]})
        if path.endswith("/invocations"):
            return self.invocation
        if operation == "DescribeRegions":
            # One in which there is no PCS, and one in which there is.
            listed = "".join(f"<item><regionName>{name}</regionName></item>" for name in ("aa-nowhere-1", NOT_ENABLED))
            return 200, {"Content-Type": "text/xml"}, (
                f"<DescribeRegionsResponse><regionInfo>{listed}</regionInfo></DescribeRegionsResponse>").encode()
        status, told, content = handed_on(self.moto, method, path, headers, body)
        return status, told, self.completed(path, operation, content)

    def completed(self, path, operation, content):
        if re.fullmatch(r"/restapis/\w+", path):
            document = {**json.loads(content), **self.rest_api}
            content = json.dumps({key: value for key, value in document.items() if value is not None}).encode()
        if operation == "DescribeStacks":
            for name, value in self.parameters.items():
                content = re.sub(rf"(<ParameterKey>{name}</ParameterKey>)<ParameterValue(/>|>[^<]*</ParameterValue>)".encode(),
                                 rf"\g<1><ParameterValue>{value}</ParameterValue>".encode(), content)
        if operation == "DescribeStacks" and self.minutes_old is not None:
            then = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60 * self.minutes_old))
            content = re.sub(rb"<CreationTime>[^<]*", b"<CreationTime>" + then.encode(), content)
        if operation == "ListStackResources":
            listed = "".join(f"<member><LogicalResourceId>{logical}</LogicalResourceId><PhysicalResourceId>{name}"
                             "</PhysicalResourceId><ResourceType>AWS::CloudWatch::Alarm</ResourceType></member>"
                             for logical, name in self.alarms.items())
            content = content.replace(b"</StackResourceSummaries>", f"{listed}</StackResourceSummaries>".encode())
        for pattern, replacement in self.replaced:
            content = re.sub(pattern, replacement, content)
        return content


class Gateway:
    """The invoke URL."""

    def __init__(self, moto, local):
        self.moto = moto
        self.local = local
        self.roles = {}
        self.right()

    def right(self):
        # Key of ALLOWED, or `anybody`, or `unsigned` -> more that is let in; and who is turned away from everything.
        self.let_in = {}
        self.turned_away = set()
        # (pattern of who, method and path; answer) in place of pcs-local's.
        self.instead = []
        # (pattern, replacement) in the text of answers.
        self.replaced = []

    def answer(self, method, path, headers, body):
        path = path.removeprefix("/prod")
        who = self.caller(headers)
        if not self.is_let_in(who, f"{method} {path.split('?')[0]}"):
            kind = "AccessDeniedException" if "Authorization" in headers else "MissingAuthenticationTokenException"
            return json_answer(403, {"message": "no", "code": "AccessDeniedException", "requestId": "0"},
                               **{"x-amzn-ErrorType": kind})
        for pattern, answer in self.instead:
            if re.search(pattern, f"{who} {method} {path}"):
                return answer
        request = botocore.awsrequest.AWSRequest(method, self.local + path, data=body, headers={
            "Content-Type": "application/json"})
        botocore.auth.SigV4Auth(USER, "execute-api", REGION).add_auth(request)
        status, told, content = handed_on(self.local, method, path, request.headers.items(), body)
        for pattern, replacement in self.replaced:
            content = re.sub(pattern, replacement, content)
        return status, told, content

    def is_let_in(self, who, line):
        if who in self.turned_away:
            return False
        return any(re.fullmatch(pattern, line) for pattern in (ALLOWED.get(who), self.let_in.get(who)) if pattern)

    def caller(self, headers):
        key = re.search(r"Credential=(\w+)/", headers.get("Authorization", ""))
        if not key:
            return "unsigned"
        arn = self.owner(key[1])
        return next((logical for logical, name in self.roles.items() if f":assumed-role/{name}/" in arn), "anybody")

    @functools.cache
    def owner(self, key):
        sts = boto3.client("sts", region_name=REGION, endpoint_url=self.moto, aws_access_key_id=key,
                           aws_secret_access_key="any")
        return sts.get_caller_identity()["Arn"]


@contextlib.contextmanager
def moto_server():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([MOTO_SERVER, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                assert process.poll() is None, "moto_server has ended"
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                    break
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


class World:
    """A stack with default parameters, right in everything."""

    def __init__(self, moto, aws, aws_url, gateway, gateway_url):
        self.moto, self.aws, self.aws_url, self.gateway, self.gateway_url = moto, aws, aws_url, gateway, gateway_url

    @functools.cache
    def client(self, service):
        return boto3.client(service, region_name=REGION, endpoint_url=self.moto, aws_access_key_id="moto",
                            aws_secret_access_key="moto")

    def make(self):
        stack, values = made("default")[1], {name: str(value) for name, value in
                                             expansion.parameter_defaults(expansion.template()).items()}
        self.deploy(test_moto.as_moto_takes_it(stack), stack, values)
        self.complete(values)

    def right(self):
        """No fault in what stands before moto."""
        self.aws.right()
        self.gateway.right()

    def deploy(self, document, stack, values):
        with endpoint(self.moto):
            test_moto.package()
        outputs = stack.decided()["Outputs"]
        # moto cannot describe a key that its CloudFormation made.
        key = self.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        if "AuditSigningKeyArn" in outputs:
            outputs["AuditSigningKeyArn"] = {"Value": key}
        outputs["ParallelClusterApiInvokeUrl"] = {"Value": self.gateway_url + "/prod"}
        document["Outputs"] = {name: {"Value": each["Value"]} for name, each in outputs.items()}
        document["Parameters"] = {name: {"Type": "String", "Default": ""} for name in values}
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=NAME, TemplateBody=json.dumps(document), Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in values.items()])
        described = cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]
        assert described["StackStatus"] == "CREATE_COMPLETE", described
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
        self.ids = {each["LogicalResourceId"]: each["PhysicalResourceId"]
                    for each in cloudformation.list_stack_resources(StackName=NAME)["StackResourceSummaries"]}
        # moto's CloudFormation does not know alarms.
        self.aws.alarms = {logical: f"{NAME}-{logical}" for logical, each in document["Resources"].items()
                           if each["Type"] == "AWS::CloudWatch::Alarm"}
        self.gateway.roles = {logical: self.ids[logical] for logical in ALLOWED if logical in self.ids}

    def complete(self, values):
        """What moto's CloudFormation does not make, made with calls."""
        gateway = self.client("apigateway")
        api = self.ids["PcsApi"]
        root = gateway.get_resources(restApiId=api)["items"][0]["id"]
        gateway.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
        gateway.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
        deployment = gateway.create_deployment(restApiId=api)["id"]
        gateway.create_stage(restApiId=api, stageName="prod", deploymentId=deployment, tracingEnabled=True,
                             variables={"function": self.outputs["ParallelClusterLambdaArn"].rsplit(":", 1)[1]})
        group = self.outputs["AccessLogGroupName"]
        self.stage(("/accessLogSettings/destinationArn", f"arn:aws:logs:{REGION}:123456789012:log-group:{group}"),
                   ("/*/*/throttling/rateLimit", values["ThrottlingRateLimit"]),
                   ("/*/*/throttling/burstLimit", values["ThrottlingBurstLimit"]),
                   ("/*/*/metrics/enabled", "true"), ("/*/*/logging/loglevel", "OFF"),
                   ("/*/*/logging/dataTrace", "false"))
        role = self.client("iam").get_role(RoleName=self.ids["ApiGatewayLogsRole"])["Role"]["Arn"]
        gateway.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}])
        self.count("TickSchedule", "Invocations", 5)
        for name in self.aws.alarms.values():
            self.client("cloudwatch").put_metric_alarm(
                AlarmName=name, MetricName="any", Namespace="Any", Statistic="Sum", Period=300, EvaluationPeriods=1,
                Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold")
            self.alarm(name, "OK")
        table = {"TableName": self.outputs["AuditTableName"]}
        dynamodb = self.client("dynamodb")
        dynamodb.update_time_to_live(**table, TimeToLiveSpecification={"AttributeName": "expires", "Enabled": True})
        dynamodb.update_continuous_backups(
            **table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})

    def stage(self, *operations):
        self.client("apigateway").update_stage(restApiId=self.ids["PcsApi"], stageName="prod", patchOperations=[
            {"op": "replace", "path": path, "value": str(value)} for path, value in operations])

    def alarm(self, name, state):
        self.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")

    def count(self, logical, metric, value):
        self.client("cloudwatch").put_metric_data(Namespace="AWS/Events", MetricData=[{
            "MetricName": metric, "Value": value, "Timestamp": time.time() - 600,
            "Dimensions": [{"Name": "RuleName", "Value": self.ids[logical]}]}])


@contextlib.contextmanager
def endpoint(url):
    os.environ["AWS_ENDPOINT_URL"] = url
    try:
        yield
    finally:
        del os.environ["AWS_ENDPOINT_URL"]


@contextlib.contextmanager
def world(local):
    with moto_server() as moto:
        aws, gateway = Aws(moto, local["pcs"]), Gateway(moto, local["gateway"])
        with serving(aws) as aws_url, serving(gateway) as gateway_url:
            made_up = World(moto, aws, aws_url, gateway, gateway_url)
            made_up.make()
            yield made_up
