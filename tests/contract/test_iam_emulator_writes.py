"""What boto3 makes and removes in the IAM emulator, step by step as the gateway's saga does, and what goes wrong
on the way: the control plane drives faults, time and seeds.
"""

import json
import urllib.error
import urllib.parse

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from test_iam_emulator import ACCOUNT, NODE_POLICY, REGISTER, TRUST_EC2, Emulator

PATH = "/aws-pcs/pcs-api/"
NAME = "AWSPCS-01J"
TAGS = [{"Key": "pcs-api:operation", "Value": "01J"}, {"Key": "pcs-api:empty", "Value": ""}]
PROFILE_ARN = f"arn:aws:iam::{ACCOUNT}:instance-profile{PATH}{NAME}"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/Boundary"


@pytest.fixture(scope="module")
def emulator():
    emulator = Emulator(None, "--propagation-seconds", "60")
    yield emulator
    emulator.stop()


@pytest.fixture
def iam(emulator):
    """A client of an account with nothing in it but a boundary."""
    emulator.control("reset", {})
    policy = {"arn": BOUNDARY, "defaultVersionId": "v1", "versions": [{"id": "v1", "document": REGISTER}]}
    emulator.control("seed", {"policies": [policy]})
    return emulator.client()


def passes(emulator):
    query = urllib.parse.urlencode({"instanceProfileArn": PROFILE_ARN})
    return emulator.control(f"passes?{query}")["passes"]


def make(iam):
    role = iam.create_role(
        RoleName=NAME,
        Path=PATH,
        AssumeRolePolicyDocument=json.dumps(TRUST_EC2),
        PermissionsBoundary=BOUNDARY,
        Tags=TAGS,
    )["Role"]
    iam.put_role_policy(RoleName=NAME, PolicyName="register", PolicyDocument=json.dumps(REGISTER))
    iam.attach_role_policy(RoleName=NAME, PolicyArn=NODE_POLICY)
    profile = iam.create_instance_profile(InstanceProfileName=NAME, Path=PATH, Tags=TAGS)["InstanceProfile"]
    iam.add_role_to_instance_profile(InstanceProfileName=NAME, RoleName=NAME)
    return role, profile


def unmake(iam):
    iam.remove_role_from_instance_profile(InstanceProfileName=NAME, RoleName=NAME)
    iam.delete_instance_profile(InstanceProfileName=NAME)
    iam.detach_role_policy(RoleName=NAME, PolicyArn=NODE_POLICY)
    iam.delete_role_policy(RoleName=NAME, PolicyName="register")
    iam.delete_role(RoleName=NAME)


def test_a_role_and_its_profile_are_made_found_and_removed(iam, emulator):
    role, profile = make(iam)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert role["AssumeRolePolicyDocument"] == TRUST_EC2
    assert profile["Arn"] == PROFILE_ARN and profile["Roles"] == []
    read = iam.get_instance_profile(InstanceProfileName=NAME)["InstanceProfile"]
    assert [nested["RoleId"] for nested in read["Roles"]] == [role["RoleId"]]
    assert iam.get_role_policy(RoleName=NAME, PolicyName="register")["PolicyDocument"] == REGISTER
    (listed,) = iam.list_roles(PathPrefix=PATH)["Roles"]
    assert listed["RoleId"] == role["RoleId"]
    assert "PermissionsBoundary" not in listed and "Tags" not in listed
    (held,) = iam.list_instance_profiles_for_role(RoleName=NAME)["InstanceProfiles"]
    (under,) = iam.list_instance_profiles(PathPrefix=PATH)["InstanceProfiles"]
    assert held["InstanceProfileId"] == under["InstanceProfileId"] == profile["InstanceProfileId"]
    by_key = sorted(TAGS, key=lambda tag: tag["Key"])
    assert iam.list_role_tags(RoleName=NAME)["Tags"] == by_key
    assert iam.list_instance_profile_tags(InstanceProfileName=NAME)["Tags"] == by_key
    unmake(iam)
    assert iam.list_roles(PathPrefix=PATH)["Roles"] == []
    assert iam.list_instance_profiles(PathPrefix=PATH)["InstanceProfiles"] == []
    calls = emulator.control("calls")["calls"]
    assert [call["action"] for call in calls if call["isWrite"]] == [
        "CreateRole",
        "PutRolePolicy",
        "AttachRolePolicy",
        "CreateInstanceProfile",
        "AddRoleToInstanceProfile",
        "RemoveRoleFromInstanceProfile",
        "DeleteInstanceProfile",
        "DetachRolePolicy",
        "DeleteRolePolicy",
        "DeleteRole",
    ]
    assert calls[0]["params"]["Tags.member.2.Value"] == ""


def test_pcs_sees_the_profile_a_minute_later(iam, emulator):
    make(iam)
    iam.get_instance_profile(InstanceProfileName=NAME)
    assert not passes(emulator)
    emulator.control("advance", {"seconds": 59})
    assert not passes(emulator)
    emulator.control("advance", {"seconds": 1})
    assert passes(emulator)


@pytest.mark.parametrize(("effect", "made"), [("dropBefore", False), ("dropAfter", True)])
def test_a_dropped_connection_hides_what_happened(iam, emulator, effect, made):
    emulator.control("fault", {"action": "CreateInstanceProfile", "effect": effect})
    with pytest.raises(ConnectionClosedError):
        iam.create_instance_profile(InstanceProfileName=NAME)
    listed = iam.list_instance_profiles()["InstanceProfiles"]
    assert [profile["InstanceProfileName"] for profile in listed] == ([NAME] if made else [])


def test_faults_are_iam_s_errors(iam, emulator):
    error = {"status": 500, "code": "ServiceFailure", "message": "broken"}
    emulator.control("fault", {"action": "CreateInstanceProfile", "times": 1, "effect": {"error": error}})
    with pytest.raises(iam.exceptions.ServiceFailureException):
        iam.create_instance_profile(InstanceProfileName=NAME)
    emulator.control("fault", {"effect": "throttle", "times": 3})
    with pytest.raises(ClientError, match="Throttling"):
        iam.list_roles()
    emulator.control("clear-faults", {})
    iam.list_roles()


def test_the_control_plane_says_what_it_does_not_understand(emulator):
    with pytest.raises(urllib.error.HTTPError) as caught:
        emulator.control("fault", {"action": "GetRol", "effect": "throttle"})
    assert caught.value.code == 400 and "`GetRol`" in json.load(caught.value)["message"]


def test_typed_errors(iam):
    make(iam)
    errors = iam.exceptions
    trust = json.dumps(TRUST_EC2)

    def refused(error, action, **params):
        with pytest.raises(error) as caught:
            getattr(iam, action)(**params)
        shape = iam.meta.service_model.shape_for(error.__name__)
        status = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status == shape.metadata["error"]["httpStatusCode"]

    refused(errors.EntityAlreadyExistsException, "create_role", RoleName=NAME.lower(), AssumeRolePolicyDocument=trust)
    refused(errors.EntityAlreadyExistsException, "create_instance_profile", InstanceProfileName=NAME.lower())
    refused(errors.MalformedPolicyDocumentException, "create_role", RoleName="a", AssumeRolePolicyDocument="{}")
    refused(errors.DeleteConflictException, "delete_role", RoleName=NAME)
    refused(errors.DeleteConflictException, "delete_instance_profile", InstanceProfileName=NAME)
    refused(errors.LimitExceededException, "add_role_to_instance_profile", InstanceProfileName=NAME, RoleName=NAME)
    refused(errors.NoSuchEntityException, "detach_role_policy", RoleName=NAME, PolicyArn=BOUNDARY)
    refused(errors.InvalidInputException, "attach_role_policy", RoleName=NAME, PolicyArn="arn:aws:iam::aws:policy:x")
    refused(
        errors.PolicyNotAttachableException,
        "attach_role_policy",
        RoleName=NAME,
        PolicyArn="arn:aws:iam::aws:policy/aws-service-role/AWSPCSServiceRolePolicy",
    )


def test_every_list_has_pages(iam):
    for n in range(5):
        iam.create_role(RoleName=f"r{n}", Path=PATH, AssumeRolePolicyDocument=json.dumps(TRUST_EC2), Tags=TAGS)
        iam.create_instance_profile(InstanceProfileName=f"p{n}", Path=PATH, Tags=TAGS)
        iam.add_role_to_instance_profile(InstanceProfileName=f"p{n}", RoleName="r0")
    for action, key, count, params in [
        ("list_roles", "Roles", 5, {"PathPrefix": PATH}),
        ("list_instance_profiles", "InstanceProfiles", 5, {"PathPrefix": PATH}),
        ("list_instance_profiles_for_role", "InstanceProfiles", 5, {"RoleName": "r0"}),
        ("list_role_tags", "Tags", 2, {"RoleName": "r0"}),
        ("list_instance_profile_tags", "Tags", 2, {"InstanceProfileName": "p0"}),
    ]:
        whole = getattr(iam, action)(**params)[key]
        pages = list(iam.get_paginator(action).paginate(**params, PaginationConfig={"PageSize": 1}))
        assert len(pages) == count, action
        assert [item for page in pages for item in page[key]] == whole


def test_a_made_role_outlives_its_process(tmp_path):
    seen = []
    for n in range(2):
        emulator = Emulator(None, "--data-dir", str(tmp_path))
        client = emulator.client()
        if n == 0:
            client.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(TRUST_EC2), Tags=TAGS)
        seen.append(client.get_role(RoleName=NAME)["Role"])
        emulator.stop()
    assert seen[0] == seen[1]


def test_the_quota_of_policies_can_be_set():
    emulator = Emulator(None, "--managed-policies-per-role", "1")
    client = emulator.client()
    client.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(TRUST_EC2))
    client.attach_role_policy(RoleName=NAME, PolicyArn=NODE_POLICY)
    with pytest.raises(client.exceptions.LimitExceededException, match="PoliciesPerRole: 1"):
        client.attach_role_policy(RoleName=NAME, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    emulator.stop()
