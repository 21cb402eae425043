"""The templates of a release say what template.yaml says, and need neither transform nor macro.

Expected values come from the translator's own expansion of template.yaml, decided for each parameter set, and from
cfn-lint and moto.
"""

import itertools
import json
import re
import subprocess

import boto3
import pytest
import yaml
from moto import mock_aws

import expand as expansion
import release_template
from conftest import made
from intrinsics import Stack
from scenarios import PARTITIONS, SCENARIOS
from test_expansion import CFN_LINT
from test_moto import NOT_IN_MOTO, PLACE, as_moto_takes_it, package

VERSION = "9.8.7"
GIVEN = {"zip": {"PackageBucket": "packages"},
         "image": {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/pcs-api:9.8.7"}}
NAMES = [*SCENARIOS, *PARTITIONS]


def template_of(kind):
    return release_template.release(VERSION, image=kind == "image")


@pytest.fixture(scope="module", params=GIVEN)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def released(kind):
    """Read back from the text, as CloudFormation does."""
    return yaml.safe_load(release_template.text(template_of(kind), VERSION))


def stack_of(released, kind, name, **more):
    parameters, place = PARTITIONS[name] if name in PARTITIONS else (SCENARIOS[name], {})
    defaults = {key: str(value["Default"]) for key, value in released["Parameters"].items() if "Default" in value}
    return Stack(released, {**defaults, **parameters, **GIVEN[kind], **more}, **place)


def deployment(stack):
    """Name and properties of the one deployment that is made."""
    found, = [(name, resource) for name, resource in stack.resources().items()
              if resource["Type"] == "AWS::ApiGateway::Deployment"]
    return found


def comparable(stack):
    """All resources, with their references as they come out; packaging and the deployment's name put aside."""
    resources = stack.resources()
    name, made_ = deployment(stack)
    del resources[name]
    assert made_.keys() <= {"Type", "Properties"}
    function = resources["PcsApiFunction"]
    function.pop("Metadata", None)
    for packaging in ("Code", "Handler", "Runtime", "RuntimeManagementConfig", "PackageType"):
        function["Properties"].pop(packaging, None)
    stage = resources["PcsApiprodStage"]["Properties"]
    assert stage.pop("DeploymentId") == stack.ref(name)
    return resources


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_the_sam_template_comes_to(released, kind, name):
    expected, ours = made(name)[1], stack_of(released, kind, name)
    assert comparable(ours) == comparable(expected)
    assert ours.outputs() == expected.outputs()
    assert ours.broken_rules() == expected.broken_rules() == []
    assert ours.wrong_parameters() == []


def test_parameters_rules_and_outputs_are_all_there(released, kind):
    document = expansion.template()
    own = {"zip": {"PackageBucket", "PackageKey"}, "image": {"ImageUri"}}[kind] | {"RedeployApi"}
    assert set(released["Parameters"]) == set(document["Parameters"]) | own
    for name, parameter in document["Parameters"].items():
        assert released["Parameters"][name] == json.loads(json.dumps(parameter)), name
    assert released["Rules"] == json.loads(json.dumps(document["Rules"]))
    assert released["Outputs"].keys() == document["Outputs"].keys()
    grouped = [name for group in released["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
               for name in group["Parameters"]]
    assert sorted(grouped) == sorted(released["Parameters"])


def test_no_parameter_was_put_in(released):
    """Each value of a parameter that is no word of the template itself would show."""
    marked = expansion.template()
    for name, parameter in marked["Parameters"].items():
        parameter["Default"] = f"mark-of-{name}"
    again = release_template.with_parameters_kept(marked, expansion.deployed_contract())
    assert "mark-of" not in json.dumps(again["Resources"])
    assert [name for name in expansion.template()["Parameters"] if f'{{"Ref": "{name}"}}' not in json.dumps(
        {key: released[key] for key in ("Resources", "Conditions", "Rules")}) and f"${{{name}}}" not in json.dumps(released)] == []


def test_it_needs_no_macro_and_is_the_same_everywhere(released):
    text = json.dumps(released)
    assert "Transform" not in released and "Fn::Transform" not in text
    assert not [each["Type"] for each in released["Resources"].values()
                if not re.fullmatch(r"AWS::(?!Serverless::|Include)\w+::\w+", each["Type"])]
    document, contract = expansion.template(), expansion.deployed_contract()

    def without_hash(region):
        expanded = release_template.with_parameters_kept(document, contract, region)
        return re.sub(r"[0-9a-f]{10}([0-9a-f]{30})?", "HASH", json.dumps(expanded))

    assert without_hash("us-east-1") == without_hash("us-gov-west-1") == without_hash("cn-north-1")


def test_it_fits_into_cloudformation(released, kind):
    """"CloudFormation quotas": 1 MB for a template in S3, 500 resources, 200 parameters, 200 outputs."""
    assert len(release_template.text(template_of(kind), VERSION).encode()) < 1_000_000
    assert len(released["Resources"]) <= 500 and len(released["Parameters"]) <= 200


def test_cfn_lint_finds_nothing(kind, tmp_path):
    """Under every condition. What it finds in the parameter sets one by one, test_expansion.py has asked."""
    path = tmp_path / "pcs-api.yaml"
    path.write_text(release_template.text(template_of(kind), VERSION))
    command = [CFN_LINT, "--format", "parseable", "--regions", "us-east-1", "us-gov-west-1", "--", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_code_is_what_was_released():
    stack = stack_of(template_of("zip"), "zip", "default")
    assert stack.resources()["PcsApiFunction"]["Properties"]["Code"] == {
        "S3Bucket": "packages", "S3Key": "pcs-api/9.8.7/pcs-api-9.8.7-arm64.zip"}
    other = stack_of(template_of("zip"), "zip", "default", Architecture="x86_64", PackageKey="mine/f.zip")
    assert other.resources()["PcsApiFunction"]["Properties"]["Code"] == {"S3Bucket": "packages", "S3Key": "mine/f.zip"}
    image = stack_of(template_of("image"), "image", "default").resources()["PcsApiFunction"]["Properties"]
    assert (image["PackageType"], image["Code"]) == ("Image", GIVEN["image"])
    assert not {"Handler", "Runtime", "RuntimeManagementConfig"} & image.keys(), "Lambda refuses them with an image"


def test_a_bucket_can_be_written_in():
    assert release_template.release(VERSION, "b-1")["Parameters"]["PackageBucket"]["Default"] == "b-1"
    assert "Default" not in release_template.release(VERSION)["Parameters"]["PackageBucket"]


# --- the deployments ---

STATES = [dict(zip(("CreateApiUserRole", "place", "tls", "RedeployApi"), values)) for values in itertools.product(
    ["true", "false"], ["public", "private", "domain"], ["STRICT", "BASIC", "TLS_1_2"], ["A", "B"])]


def in_state(released, kind, state):
    place = {"public": {}, "private": SCENARIOS["private"], "domain": SCENARIOS["custom-domain"]}[state["place"]]
    tls = {"TlsSecurityPolicy": "TLS_1_2"} if state["tls"] == "TLS_1_2" else {"EndpointAccessMode": state["tls"]}
    more = {key: state[key] for key in ("CreateApiUserRole", "RedeployApi")}
    return stack_of(released, kind, "default", **place, **tls, **more)


def test_whatever_changes_the_api_makes_another_deployment(released, kind):
    """"Updates to a REST API that require redeployment": the snapshot has the resource policy, the default endpoint that
    is turned off, and the TLS policy with its access mode."""
    there = {}
    for state in STATES:
        stack = in_state(released, kind, state)
        name, _ = deployment(stack)
        api = json.dumps([stack.resources()["PcsApi"], state["RedeployApi"]], sort_keys=True)
        assert there.setdefault(name, api) == api, f"{name} serves two states"
    assert len(there) == len(set(there.values())) == 32, "of 36 the private ones are BASIC, STRICT or not"


def test_another_definition_makes_other_deployments(monkeypatch):
    before = set(template_of("zip")["Resources"])
    read = release_template.read

    def changed(path):
        document = read(path)
        if path.endswith("deployed.yaml"):
            document["info"]["version"] = "0.0.1"
        return document

    monkeypatch.setattr(release_template, "read", changed)
    after = set(template_of("zip")["Resources"])
    assert {re.sub(r"^PcsApiDeployment.{10}.*", "", name) for name in before ^ after} == {""}
    assert len(before ^ after) == 64


# --- moto ---


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@mock_aws
def test_moto_creates_it(name):
    stack = stack_of(template_of("zip"), "zip", name, PackageKey="pcs-api.zip")
    package()
    # moto's Lambda looks for the role, as AWS's does.
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    boto3.client("iam", **PLACE).create_role(RoleName="PcsApiFunction", Path="/platform/",
                                             AssumeRolePolicyDocument=json.dumps(trust))
    cloudformation = boto3.client("cloudformation", **PLACE)
    taken = as_moto_takes_it(stack)
    cloudformation.create_stack(StackName="pcs-api", TemplateBody=json.dumps(taken), Capabilities=["CAPABILITY_NAMED_IAM"])
    described = cloudformation.describe_stacks(StackName="pcs-api")["Stacks"][0]
    assert described["StackStatus"] == "CREATE_COMPLETE", described
    there = {each["LogicalResourceId"] for each in
             cloudformation.describe_stack_resources(StackName="pcs-api")["StackResources"] if "LogicalResourceId" in each}
    # moto passes over what it does not know: these types are named, and not counted.
    passed_over = NOT_IN_MOTO | {"AWS::CloudWatch::Alarm"}
    assert there == {key for key, each in stack.resources().items() if each["Type"] not in passed_over}
