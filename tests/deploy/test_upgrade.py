"""What makes an update of a deployed stack fail, or two stacks of an account stand in each other's way: indexes that DynamoDB
cannot change, and names that are one for all Regions."""

import copy
import json
import pathlib
import re

import pytest

import expand as expansion
from conftest import made
from providers import schemas
from scenarios import PARTITIONS, SCENARIOS

DATA = pathlib.Path(__file__).parent / "data"
RELEASED = json.loads((DATA / "released-indexes.json").read_text())
RESOURCES = json.loads((DATA / "released-resources.json").read_text())
# Between them they have every resource.
SETS = ["default", "custom-domain-hosted-zone", "guarded", "iam-admin-boundary"]
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


# --- what CloudFormation replaces ---


def create_only(resource):
    """Values of the properties whose change replaces the resource, by the schema of its provider."""
    names = [path.removeprefix("/properties/") for path in schemas()[resource["Type"]].get("createOnlyProperties", [])]
    return {name: resource["Properties"][name] for name in names if name in resource["Properties"]}


def now():
    found = {}
    for scenario in SETS:
        for name, resource in made(scenario)[1].resources().items():
            # The id of a deployment is another one every time, on purpose.
            found.setdefault(re.sub(r"Deployment[0-9a-f]{10}$", "Deployment", name), resource)
    return found


def moved(released, resources):
    """What an update makes, removes or replaces."""
    replaced = {name for name in set(released) & set(resources)
                if (released[name]["type"], released[name].get("createOnly", {}))
                != (resources[name]["Type"], create_only(resources[name]))}
    return replaced | (set(released) ^ set(resources))


def told():
    """Resources that the newest section of the page says are made, removed or replaced."""
    section = re.split(r"^## ", PAGE.read_text(), flags=re.M)[1]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {name for _, resources, change, *_ in rows if re.match(r" (replaced|new|removed)\b", change)
            for name in re.findall(r"`(\w+)`", resources)}


def test_the_page_tells_what_an_update_replaces():
    assert moved(RESOURCES, now()) == told()


def test_the_parameter_sets_have_every_resource(template):
    names = {re.sub(r"prodStage$|Deployment$", "", name) for name in now()}
    assert names == set(template["Resources"])


@pytest.mark.parametrize("change", [
    lambda resources: resources["AuditTable"]["Properties"].update(TableName="audit"),
    lambda resources: resources["NodeRolesPolicy"]["Properties"].update(Description="Other words."),
    lambda resources: resources.pop("SweepSchedule"),
    lambda resources: resources.update(Another=resources["SweepSchedule"]),
])
def test_a_replacement_that_the_page_does_not_tell_is_found(change):
    resources = copy.deepcopy(now())
    change(resources)
    assert moved(RESOURCES, resources) != told()


# --- names ---


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


def section(title):
    return re.split(rf"^### {title}$", PAGE.read_text(), flags=re.M)[1].split("\n#")[0]


def test_the_way_back_tells_what_the_older_template_drops(template):
    """It has none of the parameters that are new, and CloudFormation says nothing of what it no longer narrows."""
    new = re.findall(r"`(\w+)`", re.search(r"^From a stack .*? existed: (.*?)\.", PAGE.read_text(), re.M)[1])
    assert set(new) < set(template["Parameters"]) and len(new) == 10
    back = section("Back")
    assert [name for name in new if f"`{name}`" not in back] == []
    # Who gets in is what nobody may learn afterwards.
    assert re.search(r"^1\. \*\*The trust.*`ApiRolesRequireMfa`.*`sts:AssumeRole`", back, re.M)


def test_the_accounts_role_for_logs_is_set_again_by_the_command_of_both_pages():
    command = "aws apigateway update-account --patch-operations op=replace,path=/cloudwatchRoleArn,value=ROLE_ARN"
    assert command in section("Before the update") and command in (expansion.ROOT / "docs" / "deploy.md").read_text()
    # An update that is taken back removes what it made (DeletionPolicy, CloudFormation User Guide).
    for name in ("ApiGatewayLogsRole", "ApiGatewayAccount"):
        resource = made("default")[1].resources()[name]
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"


def test_the_page_is_found_from_where_people_look():
    assert "(docs/upgrade.md)" in (expansion.ROOT / "README.md").read_text()
    assert "(upgrade.md)" in (expansion.ROOT / "docs" / "deploy.md").read_text()
    text = PAGE.read_text()
    # What an update asks of people beside what it replaces.
    for word in ("AcceptUnboundedNodeRoles", "script-source", "lifecycle-script", "AWSPCSComputeNodePolicy",
                 "AllowedInlineActions", "iam:PutRolePolicy"):
        assert word in text, word
