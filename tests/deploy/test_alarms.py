"""What alarms and the dashboard watch is there to be watched: metrics as AWS's pages and src/metrics.rs have them, with the
names of this stack's own resources. CloudWatch takes any name, and an alarm on a metric that nobody sends never rings."""

import copy
import json
import re

import pytest

import expand as expansion
from conftest import made
from scenarios import SCENARIOS, TOPIC

GATEWAY, FUNCTION, TABLE, QUEUE, RULE, OWN = (
    "AWS/ApiGateway", "AWS/Lambda", "AWS/DynamoDB", "AWS/SQS", "AWS/Events", "PcsApi")
# Namespace -> metrics, and the one set of dimensions under which they are of this stack.
METRICS = {
    # "Amazon API Gateway dimensions and metrics", API Gateway Developer Guide
    # (apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html): of a stage, by the API's name. Latency is
    # in milliseconds.
    GATEWAY: ({"Count", "4XXError", "5XXError", "Latency"}, ["ApiName", "Stage"]),
    # "Types of metrics for Lambda functions" and "Viewing metrics for Lambda functions", Lambda Developer Guide
    # (lambda/latest/dg/monitoring-metrics-types.html, monitoring-metrics-view.html).
    FUNCTION: ({"Invocations", "Errors", "Throttles", "ConcurrentExecutions"}, ["FunctionName"]),
    # "DynamoDB Metrics and dimensions", DynamoDB Developer Guide (amazondynamodb/latest/developerguide/metrics-dimensions.html):
    # TableName alone is the table without its indexes.
    TABLE: ({"WriteThrottleEvents"}, ["TableName"]),
    # "Available CloudWatch metrics for Amazon SQS", SQS Developer Guide
    # (AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html).
    QUEUE: ({"ApproximateNumberOfMessagesVisible"}, ["QueueName"]),
    # "Monitoring Amazon EventBridge", EventBridge User Guide (eventbridge/latest/userguide/eb-monitoring.html): RuleName alone
    # is the default event bus. "EventBridge only sends this metric to CloudWatch if it isn't zero."
    RULE: ({"Invocations"}, ["RuleName"]),
    # src/metrics.rs; tests/it/lambda_binary.rs looks at what the function writes.
    OWN: ({"GuardrailDrift", "Denied", "AuditUnavailable", "AuditIncomplete", "SweepIncomplete"}, ["ApiId"]),
}
# Alarm -> namespace, metric, statistic, seconds, periods, comparison, threshold, what no data means.
ALARMS = {
    "CallsRefusedForWantOfARecordAlarm": (OWN, "AuditUnavailable", "Sum", 300, 1, ">=", 1, "notBreaching"),
    "RecordsLeftIncompleteAlarm": (OWN, "AuditIncomplete", "Sum", 300, 1, ">=", 1, "notBreaching"),
    "GuardrailDriftAlarm": (OWN, "GuardrailDrift", "Sum", 300, 1, ">=", 1, "notBreaching"),
    # "Many": refusals by themselves are the product at work.
    "ManyDenialsAlarm": (OWN, "Denied", "Sum", 300, 1, ">=", 25, "notBreaching"),
    "ServerErrorsAlarm": (GATEWAY, "5XXError", "Sum", 300, 1, ">=", 1, "notBreaching"),
    # One in twenty, ten seconds, 15 minutes.
    "LatencyAlarm": (GATEWAY, "Latency", "p95", 300, 3, ">=", 10_000, "notBreaching"),
    "FunctionErrorsAlarm": (FUNCTION, "Errors", "Sum", 300, 1, ">=", 1, "notBreaching"),
    "FunctionThrottlesAlarm": (FUNCTION, "Throttles", "Sum", 300, 1, ">=", 1, "notBreaching"),
    "AuditTableThrottlesAlarm": (TABLE, "WriteThrottleEvents", "Sum", 300, 1, ">=", 1, "notBreaching"),
    # A number of messages, not of events: Sum would add up its samples.
    "FailedSweepsAlarm": (QUEUE, "ApproximateNumberOfMessagesVisible", "Maximum", 300, 1, ">=", 1, "notBreaching"),
    # One sweep that fails somewhere is made good by the next.
    "SweepIncompleteAlarm": (OWN, "SweepIncomplete", "Sum", 3600, 3, ">=", 1, "notBreaching"),
    # The sweep is hourly; none at all sends no data, and that is what it rings for.
    "SweepsMissingAlarm": (RULE, "Invocations", "Sum", 3600, 2, "<", 1, "breaching"),
}
COMPARISONS = {"GreaterThanOrEqualToThreshold": ">=", "LessThanThreshold": "<"}
PROPERTIES = {
    "AlarmDescription", "Namespace", "MetricName", "Dimensions", "Period", "EvaluationPeriods", "Threshold",
    "ComparisonOperator", "TreatMissingData",
}


def names(stack):
    """Dimension -> what is called so in this stack."""
    resources = stack.resources()
    stage, = (each["Properties"] for each in resources.values() if each["Type"] == "AWS::ApiGateway::Stage")
    function, table, queue, rule, api = (
        [name for name, each in resources.items() if each["Type"] == kind] for kind in (
            "AWS::Lambda::Function", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Events::Rule",
            "AWS::ApiGateway::RestApi"))
    return {
        "ApiName": resources[api[0]]["Properties"]["Name"], "Stage": stage["StageName"],
        "FunctionName": stack.ref(*function), "TableName": stack.ref(*table),
        "QueueName": stack.attribute(*queue, "Arn").rsplit(":", 1)[1],
        # The hourly one: the other has its name nowhere.
        "RuleName": stack.ref(*[name for name in rule if resources[name]["Properties"]["ScheduleExpression"] == "rate(1 hour)"]),
        "ApiId": stack.ref(*api),
    }


def dimensions(stack, namespace, metric):
    """With which dimensions a metric of this stack is sent."""
    known, keys = METRICS[namespace]
    assert metric in known, (namespace, metric)
    return {key: names(stack)[key] for key in keys}


def look_at_the_alarms(stack):
    alarms = {name: resource["Properties"] for name, resource in stack.resources().items()
              if resource["Type"] == "AWS::CloudWatch::Alarm"}
    assert set(alarms) == set(ALARMS)
    topic = stack.parameters["AlarmTopicArn"]
    for name, alarm in alarms.items():
        namespace, metric, statistic, seconds, periods, comparison, threshold, missing = ALARMS[name]
        kind = "ExtendedStatistic" if statistic.startswith("p") else "Statistic"
        # Nothing else: neither ActionsEnabled nor DatapointsToAlarm, whose defaults are what is wanted.
        assert set(alarm) == PROPERTIES | {kind} | ({"AlarmActions"} if topic else set()), name
        assert len(alarm["Dimensions"]) == len(METRICS[namespace][1]), name
        assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == dimensions(stack, namespace, metric), name
        assert (alarm["Namespace"], alarm["MetricName"], alarm[kind], alarm["Period"], alarm["EvaluationPeriods"],
                COMPARISONS[alarm["ComparisonOperator"]], alarm["Threshold"], alarm["TreatMissingData"]) == ALARMS[name], name
        assert alarm.get("AlarmActions") == ([topic] if topic else None), name


def rows(metrics):
    """The metrics of a widget in full: "." is the same as in the row above, "..." all of it ("Dashboard Body Structure and
    Syntax", CloudWatch API Reference)."""
    before = []
    for row in metrics:
        row, options = (row[:-1], row[-1]) if isinstance(row[-1], dict) else (row, {})
        row = [above if cell == "." else cell for cell, above in zip(row, before, strict=True)] if "." in row else (
            before if row == ["..."] else row)
        before = row
        yield row, options


def look_at_the_dashboard(stack):
    dashboard, = (each["Properties"] for each in stack.resources().values() if each["Type"] == "AWS::CloudWatch::Dashboard")
    shown = {}
    for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
        properties = widget["properties"]
        assert (widget["type"], properties["region"]) == ("metric", stack.pseudo["AWS::Region"])
        for (namespace, metric, *pairs), options in rows(properties["metrics"]):
            assert dict(zip(pairs[::2], pairs[1::2], strict=True)) == dimensions(stack, namespace, metric), metric
            shown.setdefault((namespace, metric), []).append(options.get("stat", properties.get("stat")))
    # What is counted is summed; of what is measured a sum says nothing.
    others = {(GATEWAY, "Latency"): ["p50", "p95", "p99"], (FUNCTION, "ConcurrentExecutions"): ["Maximum"]}
    expected = {(namespace, metric) for namespace in (GATEWAY, FUNCTION, OWN) for metric in METRICS[namespace][0]}
    assert shown == {each: others.get(each, ["Sum"]) for each in expected}


def test_alarms_stand_on_what_this_stack_sends(stack):
    look_at_the_alarms(stack)


def test_the_dashboard_shows_what_this_stack_sends(stack):
    look_at_the_dashboard(stack)


def test_every_count_of_the_function_has_an_alarm():
    counted = set(re.findall(r'Metric::\w+ => "(\w+)"', (expansion.ROOT / "src" / "metrics.rs").read_text()))
    assert counted == METRICS[OWN][0]
    assert counted == {metric for namespace, metric, *_ in ALARMS.values() if namespace == OWN}


def test_the_stage_sends_its_metrics():
    """By the API's name and the stage, without any setting; MetricsEnabled adds those by method."""
    settings, = made("default")[1].resources()["PcsApiprodStage"]["Properties"]["MethodSettings"]
    assert settings["MetricsEnabled"] is True


def test_with_a_topic_somebody_hears_it():
    told = [name for name, parameters in SCENARIOS.items() if parameters.get("AlarmTopicArn") == TOPIC]
    assert told
    for name in told:
        look_at_the_alarms(made(name)[1])


def change(name, **properties):
    return lambda resources: resources[name]["Properties"].update(properties)


def in_the_dashboard(old, new):
    def changed(resources):
        body = resources["Dashboard"]["Properties"]["DashboardBody"]
        assert body["Fn::Sub"].count(old) >= 1
        body["Fn::Sub"] = body["Fn::Sub"].replace(old, new, 1)
    return changed


@pytest.mark.parametrize("wrong", [
    change("ServerErrorsAlarm", Dimensions=[{"Name": "ApiName", "Value": "pcs-api"}, {"Name": "Stage", "Value": "live"}]),
    change("ServerErrorsAlarm", Threshold=1000),
    change("ServerErrorsAlarm", ActionsEnabled=False),
    change("ServerErrorsAlarm", MetricName="5xxError"),
    change("ServerErrorsAlarm", AlarmActions=[]),
    change("SweepsMissingAlarm", TreatMissingData="notBreaching"),
    change("SweepsMissingAlarm", EvaluationPeriods=24),
    change("LatencyAlarm", ExtendedStatistic="p50"),
    change("FailedSweepsAlarm", Dimensions=[{"Name": "QueueName", "Value": {"Ref": "SweepDeadLetterQueue"}}]),
    change("FunctionErrorsAlarm", Period=60),
    change("GuardrailDriftAlarm", Dimensions=[{"Name": "ApiName", "Value": {"Ref": "PcsApi"}}]),
    change("ManyDenialsAlarm", ComparisonOperator="LessThanThreshold"),
    lambda resources: resources.pop("AuditTableThrottlesAlarm"),
])
def test_a_wrong_alarm_is_found(wrong):
    with pytest.raises(AssertionError):
        look_at_the_alarms(with_a_mistake("guarded", wrong))


@pytest.mark.parametrize("wrong", [
    in_the_dashboard('"Stage", "prod"', '"Stage", "live"'),
    in_the_dashboard('"FunctionName"', '"Function"'),
    in_the_dashboard('"4XXError"', '"4xx"'),
    in_the_dashboard('"ApiId", "${PcsApi}"', '"ApiId", "${AWS::StackName}"'),
    in_the_dashboard('"GuardrailDrift"', '"Drift"'),
    in_the_dashboard('"region": "${AWS::Region}"', '"region": "us-west-2"'),
    in_the_dashboard('{"stat": "Maximum"}', '{"stat": "Sum"}'),
])
def test_a_wrong_dashboard_is_found(wrong):
    with pytest.raises(AssertionError):
        look_at_the_dashboard(with_a_mistake("guarded", wrong))


def with_a_mistake(name, wrong):
    stack = copy.deepcopy(made(name)[1])
    look_at_the_alarms(stack)
    look_at_the_dashboard(stack)
    wrong(stack.template["Resources"])
    return stack
