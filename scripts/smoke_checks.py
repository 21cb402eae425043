"""The checks of scripts/smoke on what the stack made, asked of AWS. Each only reads.

A check returns None, or a note for its line, if all is well. It raises Failed with what is wrong and what to do, or
NotTried with the reason why nobody knows.
"""

import datetime
import json

from smoke_api import Failed, NotTried

# Until the first sweep is over. EventBridge starts it an hour after the rule was made.
FIRST_SWEEP_MINUTES = 70
# Until SweepsMissingAlarm is out of alarm again: the hour of the first sweep has to be over for CloudWatch too.
ALARM_SETTLES_MINUTES = 190
SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
FINISHED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")


class Deployment:
    """The stack as CloudFormation tells it, and clients with the administrator's credentials."""

    def __init__(self, session, region, config, stack, resources):
        self.session = session
        self.region = region
        self.config = config
        self.name = stack["StackName"]
        self.status = stack["StackStatus"]
        self.created = stack["CreationTime"]
        _, self.partition, _, _, self.account, _ = stack["StackId"].split(":", 5)
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
        self.parameters = {each["ParameterKey"]: each.get("ParameterValue", "") for each in stack.get("Parameters", [])}
        self.resources = resources
        self.clients = {}
        self.sweeps = False

    def client(self, service):
        if service not in self.clients:
            self.clients[service] = self.session.client(service, region_name=self.region, config=self.config)
        return self.clients[service]

    def parameter(self, name, otherwise=""):
        return self.parameters.get(name, otherwise)

    def output(self, name):
        if name not in self.outputs:
            raise Failed(f"the stack has no output {name}. Deploy it with this version's template.yaml")
        return self.outputs[name]

    def resource(self, logical):
        if logical not in self.resources:
            raise Failed(f"the stack has no resource {logical}. Deploy it with this version's template.yaml")
        return self.resources[logical][1]

    def of_type(self, kind):
        return {logical: physical for logical, (type_, physical) in self.resources.items() if type_ == kind}

    def function(self):
        return self.output("ParallelClusterLambdaArn").rsplit(":", 1)[1]

    def minutes_old(self):
        return (datetime.datetime.now(datetime.timezone.utc) - self.created).total_seconds() / 60

    def rest_api(self):
        return self.client("apigateway").get_rest_api(restApiId=self.resource("PcsApi"))

    def stage(self):
        return self.client("apigateway").get_stage(restApiId=self.resource("PcsApi"), stageName="prod")

    def method_settings(self):
        settings = self.stage().get("methodSettings", {})
        if "*/*" not in settings:
            raise Failed("the stage prod has no settings for all methods: deploy the stack again")
        return settings["*/*"]

    def table(self):
        return self.client("dynamodb").describe_table(TableName=self.output("AuditTableName"))["Table"]


def expect(found, wanted, what, means):
    if found != wanted:
        raise Failed(f"{what} is {found}, not {wanted}: {means}")


def stack_is_complete(deployment):
    if deployment.status == "UPDATE_ROLLBACK_COMPLETE":
        raise Failed("its status is UPDATE_ROLLBACK_COMPLETE: the last update was taken back and the version before it "
                     "runs. The stack's events in CloudFormation say why")
    if deployment.status not in FINISHED:
        raise Failed(f"its status is {deployment.status}: wait until it is complete, or look at the stack's events")


def api_has_the_name(deployment):
    expect(deployment.rest_api()["name"], deployment.name, "its name",
           "the alarms on 5xx and latency and the dashboard look for the stack's name and see nothing. Name it so with "
           "aws apigateway update-rest-api, and tell the issue tracker")


def api_is_available(deployment):
    found = deployment.rest_api()
    if "apiStatus" not in found:
        raise NotTried("API Gateway did not tell the API's status")
    if found["apiStatus"] != "AVAILABLE":
        raise Failed(f"its status is {found['apiStatus']} ({found.get('apiStatusMessage', 'no reason given')}): a "
                     "change of TLS or of the endpoint takes about 15 minutes; then try again")


def api_has_its_endpoint(deployment):
    found = deployment.rest_api()
    private, domain = deployment.parameter("VpcEndpointId"), deployment.parameter("CustomDomainName")
    endpoint = found.get("endpointConfiguration", {})
    expect(endpoint.get("types"), ["PRIVATE"] if private else ["REGIONAL"], "its endpoint type",
           "deploy the stack again (docs/deploy.md, Private or public)")
    if private:
        expect(endpoint.get("vpcEndpointIds"), [private], "its VPC endpoint", "deploy the stack again")
    expect(bool(found.get("disableExecuteApiEndpoint")), bool(domain), "whether its default endpoint is off",
           "deploy the stack again; with a CustomDomainName it has to be off, without one on")


def api_speaks_the_tls_asked_for(deployment):
    found = deployment.rest_api()
    if "securityPolicy" not in found:
        raise NotTried("API Gateway did not tell the API's security policy")
    policy = deployment.parameter("TlsSecurityPolicy")
    expect(found["securityPolicy"], policy, "its security policy", "deploy the stack again")
    if policy != "TLS_1_2":
        strict = deployment.parameter("EndpointAccessMode") == "STRICT" and not deployment.parameter("VpcEndpointId")
        expect(found.get("endpointAccessMode"), "STRICT" if strict else "BASIC", "its endpoint access mode",
               "deploy the stack again")


def account_has_a_role_for_logs(deployment):
    role = deployment.client("apigateway").get_account().get("cloudwatchRoleArn")
    if not role:
        raise Failed("API Gateway has none in this account and Region, so no access log is written. Set it with aws "
                     "apigateway update-account, or deploy with CreateApiGatewayLogsRole=true")
    iam = deployment.client("iam")
    try:
        found = iam.get_role(RoleName=role.rsplit("/", 1)[1])["Role"]
    except iam.exceptions.NoSuchEntityException:
        raise Failed("API Gateway's setting names a role that does not exist, so no access log is written. Set another "
                     "with aws apigateway update-account") from None
    if "apigateway.amazonaws.com" not in json.dumps(found["AssumeRolePolicyDocument"]):
        raise Failed("the role does not trust apigateway.amazonaws.com, so no access log is written. Change its trust")


def stage_names_the_function(deployment):
    expect(deployment.stage().get("variables", {}).get("function"), deployment.function(), "its variable `function`",
           "calls go to another function. Deploy the stack again")


def stage_writes_the_access_log(deployment):
    settings = deployment.stage().get("accessLogSettings") or {}
    group = settings.get("destinationArn", "").split(":log-group:")[-1].rsplit(":*", 1)[0]
    expect(group or "not set", deployment.output("AccessLogGroupName"), "its log group",
           "nobody sees who was turned away. Deploy the stack again")
    groups = deployment.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    if group not in [each["logGroupName"] for each in groups]:
        raise Failed("the log group does not exist: nobody sees who was turned away. Deploy the stack again")


def stage_throttles(deployment):
    settings = deployment.method_settings()
    found = [settings.get("throttlingRateLimit"), settings.get("throttlingBurstLimit")]
    wanted = [deployment.parameter(name) for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit")]
    if [float(each or -1) for each in found] != [float(each) for each in wanted]:
        raise Failed(f"rate and burst are {found[0]} and {found[1]}, the parameters say {' and '.join(wanted)}: deploy "
                     "the stack again")


def stage_counts_and_traces(deployment):
    expect(deployment.method_settings().get("metricsEnabled"), True, "metricsEnabled", "deploy the stack again")
    expect(deployment.stage().get("tracingEnabled"), True, "tracingEnabled", "deploy the stack again")


def stage_logs_no_bodies(deployment):
    settings = deployment.method_settings()
    means = "bodies of requests, which can hold secrets, are in API Gateway's execution log. Deploy the stack again"
    expect(settings.get("loggingLevel", "OFF"), "OFF", "loggingLevel", means)
    expect(bool(settings.get("dataTraceEnabled")), False, "dataTraceEnabled", means)


def web_acl_is_on_the_stage(deployment):
    wanted = deployment.parameter("WebAclArn")
    if not wanted:
        raise NotTried("the stack has no WebAclArn")
    expect(deployment.stage().get("webAclArn"), wanted, "its web ACL", "deploy the stack again")


def function_is_active(deployment):
    found = deployment.client("lambda").get_function_configuration(FunctionName=deployment.function())
    means = f"{found.get('StateReason') or found.get('LastUpdateStatusReason') or 'no reason given'}"
    expect(found.get("State"), "Active", "its state", means)
    if "LastUpdateStatus" in found:
        expect(found["LastUpdateStatus"], "Successful", "its last update", means)
    expect(found.get("Architectures"), [deployment.parameter("Architecture")], "its processor",
           "the package has to be built for the parameter Architecture")
    if found.get("PackageType") != "Image":
        expect(found.get("Runtime"), "provided.al2023", "its runtime", "deploy the stack again")


def function_has_its_concurrency(deployment):
    found = deployment.client("lambda").get_function_concurrency(FunctionName=deployment.function())
    wanted = deployment.parameter("ReservedConcurrency")
    expect(found.get("ReservedConcurrentExecutions"), int(wanted) if wanted else None, "its reserved concurrency",
           "somebody changed it beside the stack; with 0 every call is answered 500. Deploy the stack again")


def rules_are_on(deployment):
    events = deployment.client("events")
    for logical in ("SweepSchedule", "TickSchedule"):
        name = deployment.resource(logical)
        expect(events.describe_rule(Name=name)["State"], "ENABLED", f"{logical}'s state",
               "the audit is not looked after. Enable it with aws events enable-rule")
        targets = [each["Arn"] for each in events.list_targets_by_rule(Rule=name)["Targets"]]
        expect(targets, [deployment.output("ParallelClusterLambdaArn")], f"{logical}'s target", "deploy the stack again")


def rules_reach_the_function(deployment):
    failed = sum(count(deployment, logical, "FailedInvocations", hours=24)
                 for logical in ("SweepSchedule", "TickSchedule"))
    if failed:
        raise Failed(f"EventBridge could not invoke the function {failed:.0f} times in the last day: its permission "
                     "(aws lambda get-policy) does not let the rules in. Deploy the stack again")
    if not count(deployment, "TickSchedule", "Invocations", hours=1):
        if deployment.minutes_old() < 15:
            raise NotTried("the stack is younger than 15 minutes, and CloudWatch's counts come late")
        raise Failed("the rule of every minute invoked nothing in the last hour: look at TickSchedule in EventBridge")


def count(deployment, logical, metric, hours):
    now = datetime.datetime.now(datetime.timezone.utc)
    found = deployment.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Events", MetricName=metric, Statistics=["Sum"], Period=300,
        Dimensions=[{"Name": "RuleName", "Value": deployment.resource(logical)}],
        StartTime=now - datetime.timedelta(hours=hours), EndTime=now)
    return sum(each["Sum"] for each in found["Datapoints"])


def dead_letters_are_none(deployment):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = deployment.client("sqs").get_queue_attributes(QueueUrl=deployment.output("SweepDeadLetterQueueUrl"),
                                                          AttributeNames=names)["Attributes"]
    waiting = sum(int(found[name]) for name in names)
    if waiting:
        raise Failed(f"it has {waiting}: sweeps could not start or failed. Each message says why; remove them when that "
                     "is mended")


def table_expires_rows(deployment):
    found = deployment.client("dynamodb").describe_time_to_live(TableName=deployment.output("AuditTableName"))
    found = found["TimeToLiveDescription"]
    if found["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
        raise Failed(f"time to live is {found['TimeToLiveStatus']}: rows stay for ever. Deploy the stack again")
    expect(found.get("AttributeName"), "expires", "the attribute of time to live", "rows stay for ever")


def table_can_go_back(deployment):
    found = deployment.client("dynamodb").describe_continuous_backups(TableName=deployment.output("AuditTableName"))
    found = found["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    expect(found.get("PointInTimeRecoveryStatus"), "ENABLED", "point-in-time recovery",
           "what is lost cannot be had back. Deploy the stack again")


def table_is_protected(deployment):
    found = deployment.table()
    expect(found["TableStatus"], "ACTIVE", "its status", "wait, then try again")
    expect(found.get("DeletionProtectionEnabled"), True, "deletion protection",
           "whoever may delete tables can delete the trail. Deploy the stack again")


def table_is_encrypted_with_the_key(deployment):
    wanted = deployment.parameter("KmsKeyArn")
    if not wanted:
        raise NotTried("the stack has no KmsKeyArn")
    expect(deployment.table().get("SSEDescription", {}).get("KMSMasterKeyArn"), wanted, "its key",
           "deploy the stack again")


def signing_key_is_usable(deployment):
    if not deployment.parameter("AuditSigningKey", "create"):
        raise NotTried("AuditSigningKey is empty: the audit is not signed")
    found = deployment.client("kms").describe_key(KeyId=deployment.output("AuditSigningKeyArn"))["KeyMetadata"]
    means = "no hour of the audit can be signed. Enable the key, or give another as AuditSigningKey"
    expect(found["KeyState"], "Enabled", "its state", means)
    expect([found.get("KeySpec"), found.get("KeyUsage")], ["ECC_NIST_P256", "SIGN_VERIFY"], "its kind", means)


def no_alarm_rings(deployment):
    alarms = deployment.of_type("AWS::CloudWatch::Alarm")
    if not alarms:
        raise Failed("the stack has no alarms. Deploy it with this version's template.yaml")
    logical = {physical: name for name, physical in alarms.items()}
    found = deployment.client("cloudwatch").describe_alarms(AlarmNames=list(logical), MaxRecords=100)["MetricAlarms"]
    gone = sorted(set(logical.values()) - {logical[each["AlarmName"]] for each in found})
    if gone:
        raise Failed(f"{', '.join(gone)} is not there any more. Deploy the stack again")
    ringing = sorted(logical[each["AlarmName"]] for each in found if each["StateValue"] == "ALARM")
    if ringing == ["SweepsMissingAlarm"] and deployment.minutes_old() < ALARM_SETTLES_MINUTES:
        raise NotTried("SweepsMissingAlarm rings on a new stack until its first sweep is counted; try again in three hours")
    if ringing:
        raise Failed(f"{', '.join(ringing)}: each alarm's description in CloudWatch says what it is about")


# What has to be so -> the check.
CHECKS = {
    "the stack is complete": stack_is_complete,
    "the API is named after the stack": api_has_the_name,
    "the API is available": api_is_available,
    "the API has the endpoint that the parameters say": api_has_its_endpoint,
    "the API speaks the TLS that the parameters say": api_speaks_the_tls_asked_for,
    "the account has a role for API Gateway's logs": account_has_a_role_for_logs,
    "the stage calls the function": stage_names_the_function,
    "the stage writes its access log": stage_writes_the_access_log,
    "the stage throttles as the parameters say": stage_throttles,
    "the stage counts and traces": stage_counts_and_traces,
    "the stage logs no bodies": stage_logs_no_bodies,
    "the stage has the web ACL": web_acl_is_on_the_stage,
    "the function is active": function_is_active,
    "the function has the concurrency that the parameters say": function_has_its_concurrency,
    "the schedules are on": rules_are_on,
    "the schedules reach the function": rules_reach_the_function,
    "the dead-letter queue is empty": dead_letters_are_none,
    "the audit table expires its rows": table_expires_rows,
    "the audit table can be taken back in time": table_can_go_back,
    "the audit table is protected from deletion": table_is_protected,
    "the audit table is encrypted with the key": table_is_encrypted_with_the_key,
    "the key that signs the audit is usable": signing_key_is_usable,
    "no alarm rings": no_alarm_rings,
}
