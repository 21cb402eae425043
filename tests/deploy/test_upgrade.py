"""What makes an update of a deployed stack fail, or two stacks of an account stand in each other's way: indexes that DynamoDB
cannot change, and names that are one for all Regions."""

import copy
import json
import pathlib

import pytest

import expand as expansion
from conftest import made
from scenarios import PARTITIONS, SCENARIOS

RELEASED = json.loads((pathlib.Path(__file__).parent / "data" / "released-indexes.json").read_text())
PAGE = expansion.ROOT / "docs" / "upgrade.md"


def indexes(table):
    return {index["IndexName"]: {
        **{key["KeyType"].lower(): key["AttributeName"] for key in index["KeySchema"]},
        "projection": index["Projection"]["NonKeyAttributes"],
    } for index in table["GlobalSecondaryIndexes"]}


def what_dynamodb_refuses(released, now):
    """Of the reference of AWS::DynamoDB::Table: in one update an index can be added or removed, not both and not two, and of
    one that stays only its throughput can change."""
    changed = [name for name in released if name in now and (
        {**released[name], "projection": sorted(released[name]["projection"])}
        != {**now[name], "projection": sorted(now[name]["projection"])})]
    dropped = [name for name in released if name not in now]
    added = [name for name in now if name not in released]
    return changed + dropped + (added if len(added) > 1 else [])


def test_released_indexes_stay_as_they_are(stack):
    assert what_dynamodb_refuses(RELEASED, indexes(stack.resources()["AuditTable"]["Properties"])) == []


@pytest.mark.parametrize("change, refused", [
    (lambda now: now["byRequest"]["projection"].append("stack"), ["byRequest"]),
    (lambda now: now["byTime"]["projection"].remove("rowHash"), ["byTime"]),
    (lambda now: now["byTime"].update(range="byRequest"), ["byTime"]),
    (lambda now: now.pop("byResource"), ["byResource"]),
    (lambda now: now.update(byTeam=now["byTime"], byKind=now["byTime"]), ["byTeam", "byKind"]),
    (lambda now: now.update(byTeam=now["byTime"]), []),
    (lambda now: now["byTime"]["projection"].reverse(), []),
])
def test_what_counts_as_a_change(change, refused):
    now = copy.deepcopy(RELEASED)
    change(now)
    assert what_dynamodb_refuses(RELEASED, now) == refused


def test_released_keys_of_the_table_stay(template):
    """Another key, or a name of its own, would replace the table: its records would be left in the old one."""
    table = template["Resources"]["AuditTable"]["Properties"]
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [("pk", "HASH"), ("sk", "RANGE")]
    assert "TableName" not in table


# Types whose names are one set for all Regions of an account, the property that holds the name, and why.
ONE_PER_ACCOUNT = {
    "AWS::IAM::Role": ("RoleName", "IAM is one for all Regions"),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", "IAM is one for all Regions"),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName", "IAM is one for all Regions"),
    "AWS::IAM::User": ("UserName", "IAM is one for all Regions"),
    "AWS::IAM::Group": ("GroupName", "IAM is one for all Regions"),
    "AWS::CloudWatch::Dashboard": ("DashboardName", "dashboards have no Region in their ARN"),
    "AWS::S3::Bucket": ("BucketName", "buckets are one set of names for all accounts"),
}
# Types whose names are a Region's own, or that CloudFormation names after the stack and at random, or that have none.
OF_THE_REGION = {
    "AWS::ApiGateway::Account", "AWS::ApiGateway::BasePathMapping", "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::DomainName", "AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage", "AWS::CloudWatch::Alarm",
    "AWS::DynamoDB::Table", "AWS::Events::Rule", "AWS::KMS::Key", "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::Logs::LogGroup", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy",
    "AWS::SSM::Parameter", "AWS::WAFv2::WebACLAssociation",
    # A zone is one for all Regions; the record is the custom domain's, which is given.
    "AWS::Route53::RecordSet",
}


def test_names_that_are_one_for_all_regions_differ_between_stacks(stack):
    """The same template, under the same stack name, in a second Region."""
    own = stack.pseudo["AWS::StackId"].rsplit("/", 1)[1].split("-")[0]
    for name, resource in stack.resources().items():
        kind = resource["Type"]
        assert (kind in ONE_PER_ACCOUNT) != (kind in OF_THE_REGION), f"{kind}: say where its names count"
        if kind in ONE_PER_ACCOUNT:
            given = resource["Properties"].get(ONE_PER_ACCOUNT[kind][0])
            assert given is None or stack.pseudo["AWS::Region"] in given or own in given, (name, given)


def test_a_dashboard_of_the_stacks_name_alone_would_be_found():
    stack = copy.deepcopy(made("default")[1])
    stack.template["Resources"]["Dashboard"]["Properties"]["DashboardName"] = {"Ref": "AWS::StackName"}
    with pytest.raises(AssertionError, match="Dashboard"):
        test_names_that_are_one_for_all_regions_differ_between_stacks(stack)


def test_every_parameter_set_has_the_types_that_are_told_apart():
    used = {resource["Type"] for name in [*SCENARIOS, *PARTITIONS] for resource in made(name)[1].resources().values()}
    assert OF_THE_REGION <= used, OF_THE_REGION - used


def test_the_page_is_found_from_where_people_look():
    assert "(docs/upgrade.md)" in (expansion.ROOT / "README.md").read_text()
    assert "(upgrade.md)" in (expansion.ROOT / "docs" / "deploy.md").read_text()
    text = PAGE.read_text()
    for word in ("AcceptUnboundedNodeRoles", "script-source", "lifecycle-script", "AWSPCSComputeNodePolicy",
                 "AllowedInlineActions", "DashboardName", "ApiInvokesFunction", "ScheduleInvokesFunction"):
        assert word in text, word
