"""Each check of scripts/smoke finds its fault when it is there, and no other check does."""

import json

import pytest

import smoke_world
from smoke_run import (NO_SUCH, NOT_ASKED, account, addresses, asked, clients, of_stack, quick, smoke_calls, smoke_checks,
                       world)
from smoke_world import NAME, json_answer

# Fixtures count as unused.
__all__ = ["account", "addresses", "asked", "clients", "quick", "world"]

pytestmark = pytest.mark.skipif(not smoke_world.MOTO_SERVER, reason="MOTO_SERVER names no moto_server")


def member(**members):
    return lambda world: world.aws.rest_api.update(members)


def stage(path, wrong, right):
    return lambda world: world.stage((path, wrong)), lambda world: world.stage((path, right))


def rename(name):
    return lambda world: world.client("apigateway").update_rest_api(restApiId=world.ids["PcsApi"], patchOperations=[
        {"op": "replace", "path": "/name", "value": name}])


def role_for_logs(value):
    def put(world):
        role = value or world.client("iam").get_role(RoleName=world.ids["ApiGatewayLogsRole"])["Role"]["Arn"]
        world.client("apigateway").update_account(patchOperations=[
            {"op": "replace", "path": "/cloudwatchRoleArn", "value": role}])
    return put


def trust(service):
    return lambda world: world.client("iam").update_assume_role_policy(
        RoleName=world.ids["ApiGatewayLogsRole"], PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}))


def text(pattern, replacement):
    return lambda world: world.aws.replaced.append((pattern, replacement))


def function_name(world):
    return world.outputs["ParallelClusterLambdaArn"].rsplit(":", 1)[1]


def concurrency(world):
    world.client("lambda").put_function_concurrency(FunctionName=function_name(world), ReservedConcurrentExecutions=0)


def no_concurrency(world):
    world.client("lambda").delete_function_concurrency(FunctionName=function_name(world))


def rule(call, logical):
    return lambda world: getattr(world.client("events"), call)(Name=world.ids[logical])


def message(world):
    world.client("sqs").send_message(QueueUrl=world.outputs["SweepDeadLetterQueueUrl"], MessageBody="{}")


def purged(world):
    world.client("sqs").purge_queue(QueueUrl=world.outputs["SweepDeadLetterQueueUrl"])


def time_to_live(enabled, attribute="expires"):
    return lambda world: world.client("dynamodb").update_time_to_live(
        TableName=world.outputs["AuditTableName"],
        TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute})


def recovery(enabled):
    return lambda world: world.client("dynamodb").update_continuous_backups(
        TableName=world.outputs["AuditTableName"],
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled})


def protection(enabled):
    return lambda world: world.client("dynamodb").update_table(
        TableName=world.outputs["AuditTableName"], DeletionProtectionEnabled=enabled)


def key(call):
    return lambda world: getattr(world.client("kms"), call)(KeyId=world.outputs["AuditSigningKeyArn"].rsplit("/", 1)[1])


def alarm(logical, state):
    return lambda world: world.alarm(world.aws.alarms[logical], state)


def parameter(**parameters):
    return lambda world: world.aws.parameters.update(parameters)


def let_in(who, pattern):
    return lambda world: world.gateway.let_in.update({who: pattern})


def turned_away(who):
    return lambda world: world.gateway.turned_away.add(who)


def instead(pattern, status, document):
    return lambda world: world.gateway.instead.append((pattern, json_answer(status, document, **{"x-amzn-RequestId": "r"})))


def in_answers(pattern, replacement):
    return lambda world: world.gateway.replaced.append((pattern, replacement))


# What has to be found -> ways in which it is not so, each with what undoes it where moto keeps it, and words of the line.
FAULTS = {
    "the stack is complete": [
        (text(rb"CREATE_COMPLETE</StackStatus>", b"UPDATE_ROLLBACK_COMPLETE</StackStatus>"), None, "taken back"),
        (text(rb"CREATE_COMPLETE</StackStatus>", b"UPDATE_IN_PROGRESS</StackStatus>"), None, "wait")],
    "the API is named after the stack": [(rename("PCS API"), rename(NAME), "its name is PCS API, not pcs-api")],
    "the API is available": [(member(apiStatus="UPDATING"), None, "its status is UPDATING")],
    "the API has the endpoint that the parameters say": [
        (member(endpointConfiguration={"types": ["EDGE"]}), None, "['EDGE'], not ['REGIONAL']"),
        (member(disableExecuteApiEndpoint=True), None, "default endpoint is off")],
    "the API speaks the TLS that the parameters say": [
        (member(securityPolicy="TLS_1_0"), None, "its security policy is TLS_1_0"),
        (member(endpointAccessMode="BASIC"), None, "its endpoint access mode is BASIC, not STRICT")],
    "the account has a role for API Gateway's logs": [
        (role_for_logs("arn:aws:iam::123456789012:role/gone"), role_for_logs(None), "names a role that does not exist"),
        (trust("lambda.amazonaws.com"), trust("apigateway.amazonaws.com"), "does not trust apigateway"),
        (text(rb'"cloudwatchRoleArn":\s*"[^"]*"', b'"cloudwatchRoleArn": null'), None, "has none in this account")],
    "the stage calls the function": [
        (text(rb'"function":\s*"[^"]*"', b'"function": "other"'), None, "`function` is other")],
    "the stage writes its access log": [
        (text(rb'"accessLogSettings":\s*\{[^}]*\}', b'"accessLogSettings": {}'), None, "not set"),
        (text(rb'"logGroups":\s*\[.*\]', b'"logGroups": []'), None, "the log group does not exist")],
    "the stage throttles as the parameters say": [
        (*stage("/*/*/throttling/rateLimit", 7, 100), "rate and burst are 7"),
        (*stage("/*/*/throttling/burstLimit", 7, 50), "and 7, the parameters say 100 and 50")],
    "the stage counts and traces": [
        (*stage("/*/*/metrics/enabled", "false", "true"), "metricsEnabled is False"),
        (*stage("/tracingEnabled", "false", "true"), "tracingEnabled is False")],
    "the stage logs no bodies": [
        (*stage("/*/*/logging/loglevel", "INFO", "OFF"), "loggingLevel is INFO"),
        (*stage("/*/*/logging/dataTrace", "true", "false"), "dataTraceEnabled is True")],
    "the stage has the web ACL": [
        (parameter(WebAclArn="arn:aws:wafv2:us-east-1:123456789012:regional/webacl/a/b"), None, "its web ACL is None")],
    "the function is active": [
        (text(rb'"State": ?"Active"', b'"State": "Inactive"'), None, "its state is Inactive"),
        (text(rb'"LastUpdateStatus": ?"Successful"', b'"LastUpdateStatus": "Failed"'), None, "its last update is Failed"),
        (text(rb'"arm64"', b'"x86_64"'), None, "its processor is ['x86_64']"),
        (text(rb'"provided.al2023"', b'"provided.al2"'), None, "its runtime is provided.al2,")],
    "the function has the concurrency that the parameters say": [
        (concurrency, no_concurrency, "its reserved concurrency is 0, not None"),
        (parameter(ReservedConcurrency="5"), None, "None, not 5")],
    "the schedules are on": [
        (rule("disable_rule", "SweepSchedule"), rule("enable_rule", "SweepSchedule"), "SweepSchedule's state is DISABLED"),
        (rule("disable_rule", "TickSchedule"), rule("enable_rule", "TickSchedule"), "TickSchedule's state is DISABLED"),
        (text(rb'"Targets": ?\[.*\]', b'"Targets": []'), None, "SweepSchedule's target is []")],
    "the schedules reach the function": [
        (text(rb'"Sum": 5.0', b'"Sum": 0.0'), None, "invoked nothing in the last hour"),
        (text(rb'"FailedInvocations", "Datapoints": \[\]', b'"", "Datapoints": [{"Timestamp": 1, "Sum": 3.0}]'), None,
         "could not invoke the function 6 times")],
    "the dead-letter queue is empty": [(message, purged, "it has 1")],
    "the audit table expires its rows": [
        (time_to_live(False), time_to_live(True), "time to live is DISABLED"),
        (text(rb'"AttributeName": ?"expires"', b'"AttributeName": "ttl"'), None, "of time to live is ttl")],
    "the audit table can be taken back in time": [(recovery(False), recovery(True), "point-in-time recovery is DISABLED")],
    "the audit table is protected from deletion": [(protection(False), protection(True), "deletion protection is False")],
    "the audit table is encrypted with the key": [
        (parameter(KmsKeyArn="arn:aws:kms:us-east-1:123456789012:key/k"), None, "its key is None")],
    "the key that signs the audit is usable": [
        (key("disable_key"), key("enable_key"), "its state is Disabled"),
        (text(rb'"KeySpec": ?"ECC_NIST_P256"', b'"KeySpec": "RSA_2048"'), None, "RSA_2048")],
    "no alarm rings": [
        (alarm("ServerErrorsAlarm", "ALARM"), alarm("ServerErrorsAlarm", "OK"), "ServerErrorsAlarm"),
        (alarm("SweepsMissingAlarm", "ALARM"), alarm("SweepsMissingAlarm", "OK"), "SweepsMissingAlarm"),
        (lambda world: world.aws.alarms.update(GuardrailDriftAlarm="gone"),
         lambda world: world.aws.alarms.update(GuardrailDriftAlarm=f"{NAME}-GuardrailDriftAlarm"),
         "GuardrailDriftAlarm is not there")],
    "unsigned calls are refused": [(let_in("unsigned", ".*"), None, "API Gateway lets unsigned calls in")],
    "who has none of the API's roles is refused": [(let_in("anybody", ".*"), None, "none of the three roles in")],
    "the user reads clusters": [
        (instead("^ApiUserRole GET /v1/clusters$", 500, {"message": "Internal server error"}), None, "500 (Internal server error)"),
        (instead("^ApiUserRole GET /v1/clusters$", 200, {"welcome": 1}), None, "it is not of this API")],
    "the user reads no audit": [(let_in("ApiUserRole", ".*"), None, "lets the user role in")],
    "the reader reads clusters": [(turned_away("ApiReadOnlyRole"), None, "turns the role away")],
    "the reader writes nothing": [(let_in("ApiReadOnlyRole", ".*"), None, "lets writes of the read-only role in")],
    "the auditor reads the audit": [
        (instead("maxResults=1$", 500, {"message": "Internal server error"}), None, "500 (Internal server error)")],
    "the auditor reads no clusters": [(let_in("ApiAuditorRole", ".*"), None, "lets the auditor role in")],
    "the guardrails in force are those of the parameters": [
        (parameter(Region="us-west-2"), None, "another Region:"),
        (parameter(LifecycleScripts="CHECKSUM"), None, "another LifecycleScripts:"),
        (parameter(PermissionsBoundaryPolicy="arn:aws:iam::123456789012:policy/b"), None, "PermissionsBoundaryPolicy:"),
        (parameter(EnableIamAdminAccess="true", EnableInstanceRegistration="true"), None,
         "EnableIamAdminAccess, EnableInstanceRegistration:"),
        (parameter(AdditionalIamPoliciesPreset="strict"), None, "AdditionalIamPoliciesPreset:"),
        (parameter(AdditionalIamPolicies="arn:aws:iam::123456789012:policy/p"), None, "AdditionalIamPolicies:"),
        (parameter(AllowedInlineActions="s3:Get*"), None, "AllowedInlineActions:")],
    "a node role of another account is denied, in a dry run": [
        (instead("POST", 412, {"code": "DryRunOperation", "message": "m"}), None, "let nobody use the API")],
    "the denial is on record": [
        (instead("requestId=", 200, {"auditEvents": []}), None, "the audit has no row"),
        (in_answers(b'"decision":"DENY"', b'"decision":"ALLOW"'), None, "ALLOW")],
    "a sweep ran": [
        (instead("operation=Sweep", 200, {"auditEvents": []}), None, "none of the last two hours"),
        (instead("operation=Sweep", 200, {"auditEvents": [{"stage": "COMPLETE", "httpStatus": 502, "eventId": "01M",
                                                           "errorCode": "SweepIncomplete"}]}), None, "SweepIncomplete")],
}
# Faults that take another check along: it has nothing to look at.
NOTHING_TO_SEE = {"a node role of another account is denied, in a dry run": {"the denial is on record"},
                  "the API has the endpoint that the parameters say": set()}
CASES = [pytest.param(title, *fault, id=f"{title}-{number}") for title, faults in FAULTS.items()
         for number, fault in enumerate(faults)]


def test_each_check_has_a_fault():
    assert set(FAULTS) == {*smoke_checks.CHECKS, *smoke_calls.CHECKS}


@pytest.mark.parametrize(("title", "put", "undo", "words"), CASES)
def test_a_fault_is_found(world, asked, quick, title, put, undo, words):
    world.aws.minutes_old = 300
    put(world)
    try:
        told = of_stack(asked)
    finally:
        if undo:
            undo(world)
    assert (told.those("FAILED"), told.status) == ({title}, 1), told.out
    assert words in told.lines[title][1]
    assert told.those("NOT TRIED") == (NO_SUCH - {NOT_ASKED} | NOTHING_TO_SEE.get(title, set())) - {title}
