"""The IAM emulator as boto3 sees it.

boto3 is the judge: it parses the answers by IAM's service model, raises the model's typed errors and decodes the
policy documents. What it would silently skip (an element that the model does not know) is looked for here.

Run the binary named by IAM_EMULATOR_BIN, or the one cargo builds.
"""

import json
import os
import subprocess
import urllib.request
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timezone

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

ACCOUNT = "123456789012"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/team/NodeBoundary"
NODE_POLICY = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy"
ATTACHED = [
    NODE_POLICY,
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM",
    f"arn:aws:iam::{ACCOUNT}:policy/parallelcluster/a",
    f"arn:aws:iam::{ACCOUNT}:policy/parallelcluster/b",
]
REGISTER = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["pcs:RegisterComputeNodeGroupInstance"], "Resource": "*"}],
}
TRUST_EC2 = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
SEED = {
    "policies": [
        {
            "arn": BOUNDARY,
            "description": "what a node may do at most: <a & b>",
            "defaultVersionId": "v2",
            "versions": [
                {"id": "v1", "document": REGISTER},
                # Text stays as it is: odd white space, a repeated key order, characters that need escaping.
                {"id": "v2", "document": '{ "Version":"2012-10-17",\n "Statement": [] , "Id": "a+b/c%é" }'},
            ],
        }
    ],
    "roles": [
        {
            "name": "AWSPCS-node",
            "path": "/aws-pcs/",
            "description": "nodes",
            "trust": TRUST_EC2,
            "permissionsBoundary": BOUNDARY,
            "attachedPolicies": ATTACHED,
            "inlinePolicies": [{"name": f"inline-{n}", "document": REGISTER} for n in range(3)],
            "tags": [{"key": "team", "value": "hpc & <co>"}],
        },
        {"name": "AWSPCS-bare"},
    ],
    "instanceProfiles": [
        {
            "name": "AWSPCS-node",
            "path": "/aws-pcs/",
            "roles": ["AWSPCS-node"],
            "tags": [{"key": "team", "value": "hpc"}],
        },
        {"name": "AWSPCS-empty"},
    ],
}


def binary():
    if "IAM_EMULATOR_BIN" in os.environ:
        return [os.environ["IAM_EMULATOR_BIN"]]
    return ["cargo", "run", "--quiet", "--package", "iam-emulator", "--"]


class Emulator:
    """The emulator as a process of its own, on a free port."""

    def __init__(self, seed=None, *arguments):
        command = [*binary(), "--port", "0", *(["--seed", str(seed)] if seed else []), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("READY "), line
        self.url = json.loads(line.removeprefix("READY "))["iam"]

    def client(self, **config):
        client = boto3.client(
            "iam",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            config=Config(retries={"max_attempts": 0}, **config),
        )
        # First, so that it sees the answer before policy documents are decoded.
        client.meta.events.register_first("after-call.iam", check_against_the_model)
        return client

    def control(self, name, body=None):
        """Asks the control plane: POST with a body, GET without."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/_control/{name}", data, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def stop(self):
        self.process.kill()
        self.process.wait()


def check_against_the_model(http_response, parsed, model, **_):
    if http_response.status_code >= 300:
        return
    body = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
    if model.output_shape is not None:
        report = ParamValidator().validate(body, model.output_shape)
        assert not report.has_errors(), report.generate_report()
    root = ElementTree.fromstring(http_response.content)
    if model.output_shape is None:
        assert [child.tag.rpartition("}")[2] for child in root] == ["ResponseMetadata"]
    else:
        result = root.find("{*}" + model.output_shape.serialization["resultWrapper"])
        assert unknown_elements(result, model.output_shape) == []
    assert parsed["ResponseMetadata"]["RequestId"] == root.findtext(".//{*}RequestId")


def unknown_elements(element, shape):
    """Names of the elements under `element` that the model has no member for."""
    if shape.type_name == "list":
        wrong = [child.tag for child in element if not child.tag.endswith("}member")]
        return wrong + [name for child in element for name in unknown_elements(child, shape.member)]
    if shape.type_name != "structure":
        return [child.tag for child in element]
    found = []
    for child in element:
        name = child.tag.rpartition("}")[2]
        found += unknown_elements(child, shape.members[name]) if name in shape.members else [name]
    return found


@pytest.fixture(scope="module")
def seed_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("iam") / "seed.json"
    path.write_text(json.dumps(SEED))
    return path


@pytest.fixture(scope="module")
def emulator(seed_file):
    emulator = Emulator(seed_file)
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def iam(emulator):
    return emulator.client()


@pytest.fixture(scope="module")
def short_pages(seed_file):
    emulator = Emulator(seed_file, "--page-size", "2")
    yield emulator.client()
    emulator.stop()


def test_get_instance_profile(iam):
    profile = iam.get_instance_profile(InstanceProfileName="AWSPCS-node")["InstanceProfile"]
    assert profile["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/aws-pcs/AWSPCS-node"
    assert profile["InstanceProfileId"].startswith("AIPA") and len(profile["InstanceProfileId"]) == 21
    assert profile["Tags"] == [{"Key": "team", "Value": "hpc"}]
    assert abs((datetime.now(timezone.utc) - profile["CreateDate"]).total_seconds()) < 3600
    (role,) = profile["Roles"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-pcs/AWSPCS-node"
    assert role["AssumeRolePolicyDocument"] == TRUST_EC2
    assert "PermissionsBoundary" not in role and "Tags" not in role
    assert iam.get_instance_profile(InstanceProfileName="AWSPCS-empty")["InstanceProfile"]["Roles"] == []


def test_get_role(iam):
    role = iam.get_role(RoleName="AWSPCS-node")["Role"]
    nested = iam.get_instance_profile(InstanceProfileName="AWSPCS-node")["InstanceProfile"]["Roles"][0]
    assert role["RoleId"] == nested["RoleId"]
    assert role["RoleId"].startswith("AROA") and len(role["RoleId"]) == 21
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert role["Tags"] == [{"Key": "team", "Value": "hpc & <co>"}]
    assert role["Description"] == "nodes"
    bare = iam.get_role(RoleName="AWSPCS-bare")["Role"]
    assert "PermissionsBoundary" not in bare
    assert bare["AssumeRolePolicyDocument"] == TRUST_EC2


def test_names_are_found_whatever_their_case(iam):
    assert iam.get_role(RoleName="awspcs-NODE")["Role"]["RoleName"] == "AWSPCS-node"
    profile = iam.get_instance_profile(InstanceProfileName="AWSPCS-NODE")["InstanceProfile"]
    assert profile["InstanceProfileName"] == "AWSPCS-node"
    policy = iam.get_role_policy(RoleName="AWSPCS-NODE", PolicyName="INLINE-1")
    assert policy["PolicyName"] == "inline-1"


def test_inline_policies(iam):
    assert iam.list_role_policies(RoleName="AWSPCS-node")["PolicyNames"] == ["inline-0", "inline-1", "inline-2"]
    policy = iam.get_role_policy(RoleName="AWSPCS-node", PolicyName="inline-2")
    assert policy["RoleName"] == "AWSPCS-node"
    assert policy["PolicyDocument"] == REGISTER


def test_attached_policies(iam):
    listed = iam.list_attached_role_policies(RoleName="AWSPCS-node")
    assert [policy["PolicyArn"] for policy in listed["AttachedPolicies"]] == ATTACHED
    assert [policy["PolicyName"] for policy in listed["AttachedPolicies"]] == [
        arn.rpartition("/")[2] for arn in ATTACHED
    ]
    assert listed["IsTruncated"] is False and "Marker" not in listed
    under = iam.list_attached_role_policies(RoleName="AWSPCS-node", PathPrefix="/service-role/")
    assert [policy["PolicyArn"] for policy in under["AttachedPolicies"]] == [ATTACHED[2]]
    assert iam.list_attached_role_policies(RoleName="AWSPCS-bare")["AttachedPolicies"] == []


def test_policies_and_versions(iam):
    policy = iam.get_policy(PolicyArn=BOUNDARY)["Policy"]
    assert (policy["PolicyName"], policy["Path"], policy["DefaultVersionId"]) == ("NodeBoundary", "/team/", "v2")
    assert policy["PermissionsBoundaryUsageCount"] == 1 and policy["AttachmentCount"] == 0
    assert policy["Description"] == "what a node may do at most: <a & b>"
    current = iam.get_policy_version(PolicyArn=BOUNDARY, VersionId="v2")["PolicyVersion"]
    assert current["IsDefaultVersion"] is True
    assert current["Document"] == {"Version": "2012-10-17", "Statement": [], "Id": "a+b/c%é"}
    older = iam.get_policy_version(PolicyArn=BOUNDARY, VersionId="v1")["PolicyVersion"]
    assert older["IsDefaultVersion"] is False and older["Document"] == REGISTER


def test_aws_own_node_policy_is_there(iam):
    policy = iam.get_policy(PolicyArn=NODE_POLICY)["Policy"]
    assert policy["AttachmentCount"] == 1
    version = iam.get_policy_version(PolicyArn=NODE_POLICY, VersionId=policy["DefaultVersionId"])
    assert version["PolicyVersion"]["Document"] == REGISTER


@pytest.mark.parametrize("action", ["list_attached_role_policies", "list_role_policies"])
def test_pages(short_pages, iam, action):
    first = getattr(short_pages, action)(RoleName="AWSPCS-node")
    assert first["IsTruncated"] is True and first["Marker"]
    pages = list(short_pages.get_paginator(action).paginate(RoleName="AWSPCS-node"))
    assert len(pages) == {"list_attached_role_policies": 3, "list_role_policies": 2}[action]
    key = {"list_attached_role_policies": "AttachedPolicies", "list_role_policies": "PolicyNames"}[action]
    whole = getattr(iam, action)(RoleName="AWSPCS-node")[key]
    assert [item for page in pages for item in page[key]] == whole


def test_max_items(iam):
    first = iam.list_attached_role_policies(RoleName="AWSPCS-node", MaxItems=4)
    assert len(first["AttachedPolicies"]) == 4 and first["IsTruncated"] is True
    rest = iam.list_attached_role_policies(RoleName="AWSPCS-node", MaxItems=4, Marker=first["Marker"])
    assert [policy["PolicyArn"] for policy in rest["AttachedPolicies"]] == ATTACHED[4:]


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("get_instance_profile", {"InstanceProfileName": "AWSPCS-gone"}),
        ("get_role", {"RoleName": "AWSPCS-gone"}),
        ("list_attached_role_policies", {"RoleName": "AWSPCS-gone"}),
        ("list_role_policies", {"RoleName": "AWSPCS-gone"}),
        ("get_role_policy", {"RoleName": "AWSPCS-node", "PolicyName": "gone"}),
        ("get_policy", {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/gone"}),
        ("get_policy", {"PolicyArn": BOUNDARY.lower()}),
        ("get_policy_version", {"PolicyArn": BOUNDARY, "VersionId": "v9"}),
    ],
)
def test_what_is_not_there_is_the_model_s_typed_error(iam, action, params):
    with pytest.raises(iam.exceptions.NoSuchEntityException) as caught:
        getattr(iam, action)(**params)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert caught.value.response["Error"]["Type"] == "Sender"
    assert caught.value.response["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("get_role", {"RoleName": "no/slash"}),
        ("get_role", {"RoleName": "r" * 65}),
        ("list_role_policies", {"RoleName": "AWSPCS-node", "MaxItems": 1001}),
        ("list_role_policies", {"RoleName": "AWSPCS-node", "Marker": "made-up"}),
        ("list_roles", {"PathPrefix": "aws-pcs"}),
        ("get_policy", {"PolicyArn": "arn:aws-cn:iam::aws:policy/ReadOnlyAccess"}),
    ],
)
def test_what_iam_cannot_read_is_a_validation_error(emulator, action, params):
    client = emulator.client(parameter_validation=False)
    with pytest.raises(ClientError) as caught:
        getattr(client, action)(**params)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_the_arn_of_something_else_is_invalid_input(iam):
    with pytest.raises(iam.exceptions.InvalidInputException):
        iam.get_policy(PolicyArn="arn:aws:iam::aws:role/not-a-policy")


def test_another_action_is_not_answered(iam):
    with pytest.raises(ClientError) as caught:
        iam.list_users()
    assert caught.value.response["Error"]["Code"] == "InvalidAction"


def test_an_unsigned_call_is_refused(emulator):
    client = emulator.client(signature_version=UNSIGNED)
    with pytest.raises(ClientError) as caught:
        client.get_role(RoleName="AWSPCS-node")
    assert caught.value.response["Error"]["Code"] == "MissingAuthenticationToken"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_account_outlives_its_process(seed_file, tmp_path):
    ids = []
    for _ in range(2):
        emulator = Emulator(seed_file, "--data-dir", str(tmp_path / "state"))
        ids.append(emulator.client().get_role(RoleName="AWSPCS-node")["Role"]["RoleId"])
        emulator.stop()
    assert ids[0] == ids[1]


def test_a_seed_that_iam_could_not_hold_stops_the_start(tmp_path):
    path = tmp_path / "seed.json"
    path.write_text(json.dumps({"instanceProfiles": [{"name": "p", "roles": ["gone"]}]}))
    done = subprocess.run([*binary(), "--seed", str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "`gone`" in done.stderr
