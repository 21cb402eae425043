"""The IAM emulator against moto's IAM, an IAM written elsewhere.

One script of calls runs through boto3 against both; answers, error codes and statuses must be equal, but for the
lines of KNOWN. A line that no longer occurs fails the test as well, so the list cannot outlive its reasons. Our own
answers are also held against IAM's service model.

Run with MOTO_SERVER, the path of a `moto_server` executable (moto[server] 5.2.5, in an environment of its own).
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from datetime import datetime
from fnmatch import fnmatchcase

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from test_iam_emulator import ACCOUNT, NODE_POLICY, REGISTER, TRUST_EC2, Emulator

OWN = f"arn:aws:iam::{ACCOUNT}:policy"
PATH = "/aws-pcs/pcs-api/"
SSM = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
IDS = ("RoleId", "InstanceProfileId", "PolicyId")
# AWS does not say in what order it lists these.
UNORDERED = ("Roles", "InstanceProfiles", "AttachedPolicies")

# A line of `compare`, `*` standing for any text, and why it is so. All but the last group are faults of moto.
KNOWN = {
    # Names are unique and found whatever their case (IAM User Guide, "IAM identifiers").
    "create policy, other case: came out: '409 EntityAlreadyExists', moto 'done'": "moto compares names by case",
    "create role, other case: came out: '409 EntityAlreadyExists', moto 'done'": "moto compares names by case",
    "create profile, other case: came out: '409 EntityAlreadyExists', moto 'done'": "moto compares names by case",
    "get role, other case: came out: 'done', moto '404 NoSuchEntity'": "moto compares names by case",
    "get inline, other case: came out: 'done', moto '404 NoSuchEntity'": "moto compares names by case",
    # Keys of the tags of roles too (IAM User Guide, "Tags for IAM resources").
    "role tags, other case: Tags.1.*: 'nothing', moto *": "moto compares keys by case",
    # Constraints of the service model: pattern, length, range.
    "role name too long: came out: '400 ValidationError', moto 'done'": "moto takes any name",
    "role name with a slash: came out: '400 ValidationError', moto 'done'": "moto takes any name",
    "role path without slashes: came out: '400 ValidationError', moto 'done'": "moto takes any path",
    "session too short: came out: '400 ValidationError', moto 'done'": "moto takes any duration",
    "roles, 1001 at once: came out: '400 ValidationError', moto 'done'": "moto takes any MaxItems",
    # Policies that are named must exist and be of the right kind.
    "boundary that does not exist: came out: '404 NoSuchEntity', moto 'done'": "moto does not look for boundaries",
    "boundary that is no ARN: came out: '400 InvalidInput', moto '400 InvalidParameterValue'": "not a code of IAM's",
    "attach no ARN: came out: '400 InvalidInput', moto '404 NoSuchEntity'": "moto does not read ARNs",
    "attach a service role policy: came out: '400 PolicyNotAttachable', moto 'done'": "moto attaches anything",
    "delete attached policy: came out: '409 DeleteConflict', moto 'done'": "moto leaves dangling attachments",
    "delete boundary in use: came out: '409 DeleteConflict', moto 'done'": "moto leaves dangling boundaries",
    # Quotas (IAM User Guide, "IAM and AWS STS quotas").
    "attach an eleventh: came out: '409 LimitExceeded', moto 'done'": "moto has no quota of policies",
    "put inline too long: came out: '409 LimitExceeded', moto 'done'": "moto has no quota of characters",
    # The grammar of policies (IAM User Guide, "Grammar of the IAM JSON policy language").
    "trust policy that is no JSON: came out: '400 MalformedPolicyDocument', moto 'done'": "CreateRole takes it",
    "trust policy that trusts nobody: came out: '400 MalformedPolicyDocument', moto 'done'": "CreateRole takes it",
    "document: principal: came out: '400 MalformedPolicyDocument', moto 'done'": "only resource policies have one",
    "document: sid with a dash: came out: '400 MalformedPolicyDocument', moto 'done'": "Sid is [0-9A-Za-z]*",
    # Answers that moto does not get right.
    "profiles of unknown role: came out: '404 NoSuchEntity', moto 'done'": "moto does not look for the role",
    "remove other role: came out: '404 NoSuchEntity', moto 'an answer that is not XML'": "moto breaks (ValueError)",
    "profile tags: came out: 'done', moto 'an answer that is not XML'": "moto breaks once a profile has been tagged",
    "profiles under another path: InstanceProfiles*": "moto ignores the PathPrefix of ListInstanceProfiles",
    "profiles *: IsTruncated: False, moto 'nothing'": "moto does not page lists of profiles",
    "*: Policy.PermissionsBoundaryUsageCount: 0, moto 'nothing'": "moto does not count boundaries",
    # Not documented, or documented in two ways: a caller must not lean on either answer.
    "*: Role.PermissionsBoundary.PermissionsBoundaryType: 'Policy', moto 'PermissionsBoundaryPolicy'": (
        "ours is what GetRole has been seen to answer (awsdocs/iam-user-guide#82), moto's is the model's only value"
    ),
    "create *: Role.RoleLastUsed: 'nothing', moto {}": "the reference shows it for GetRole only",
    "profile*: InstanceProfile*.Roles.0.RoleLastUsed: 'nothing', moto {}": "likewise",
    "profile*: InstanceProfile*.Roles.0.PermissionsBoundary.*: 'nothing', moto *": (
        "the role inside a profile: ours tells the least, so that nobody decides on it"
    ),
    "profile*: InstanceProfile*.Roles.0.Tags.*: 'nothing', moto *": "likewise",
    "profile*: InstanceProfile*.Roles.0.MaxSessionDuration: 'nothing', moto 3600": "likewise",
    "profiles *: InstanceProfiles.0.Tags.0.*: 'nothing', moto *": (
        "ListInstanceProfiles 'does not return tags'; of ListInstanceProfilesForRole nothing is said"
    ),
}


class Moto:
    def __init__(self, executable):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [executable, "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
        )
        for _ in range(300):
            assert self.process.poll() is None, "moto_server ended"
            try:
                urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=5).close()
                return
            except urllib.error.URLError:
                time.sleep(0.1)
        pytest.fail("moto_server does not answer")

    def client(self):
        return boto3.client(
            "iam",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            config=Config(retries={"max_attempts": 0}, parameter_validation=False),
        )

    def stop(self):
        self.process.kill()
        self.process.wait()


class Script:
    """Makes calls and writes down how they came out: label -> {place in the answer: value}."""

    def __init__(self, client):
        self.client, self.outcomes, self.ids, self.actions = client, {}, {}, set()

    def ask(self, label, action, undo=None, **params):
        """One call. With `undo`, an action and its parameters, it is one that should fail: where it does not, it
        is undone, so that the rest of the script finds both in the same state."""
        assert label not in self.outcomes, label
        came_out, answer = self.call(action, params)
        self.outcomes[label] = {"came out": came_out}
        if came_out == "done" and undo:
            assert self.call(*undo)[0] == "done", f"{label} could not be undone"
        else:
            self.outcomes[label].update(self.places("", answer))

    def pages(self, label, action, key, size, **params):
        """All pages of a list, as one answer and the sizes of the pages."""
        items, sizes, marker = [], [], {}
        while True:
            came_out, page = self.call(action, {**params, **marker, "MaxItems": size})
            assert came_out == "done", came_out
            items += page[key]
            sizes.append(len(page[key]))
            if not page["IsTruncated"]:
                break
            marker = {"Marker": page["Marker"]}
        self.outcomes[label] = {"sizes": sizes, **dict(self.places("", {key: items}))}

    def call(self, action, params):
        self.actions.add(action)
        try:
            answer = getattr(self.client, action)(**params)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return f"{status} {error.response['Error']['Code']}", {}
        except ResponseParserError:
            return "an answer that is not XML", {}
        del answer["ResponseMetadata"]
        return "done", answer

    def places(self, place, value):
        """Every leaf with where it is. What must differ is left out: of an id only whether it is the same one."""
        name = place.rpartition(".")[2]
        if name in IDS:
            known = self.ids.setdefault(name, {})
            yield place, known.setdefault(value, len(known))
        elif name == "Marker":
            yield place, "a marker"
        elif isinstance(value, datetime):
            yield place, "a date"
        elif name.endswith("Document"):
            yield place, json.dumps(value, sort_keys=True)
        elif isinstance(value, dict) and value:
            for key, member in value.items():
                yield from self.places(f"{place}.{key}".lstrip("."), member)
        elif isinstance(value, list) and value:
            if name in UNORDERED:
                value = sorted(value, key=lambda item: item.get("Arn") or item["PolicyArn"])
            for n, item in enumerate(value):
                yield from self.places(f"{place}.{n}", item)
        elif place:
            yield place, value


def tags(**pairs):
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def run(client):
    script = Script(client)
    create_things(script.ask)
    names_and_documents(script.ask)
    policies_of_a_role(script)
    profiles(script.ask)
    lists(script)
    tagging(script)
    remove_things(script.ask)
    return script


def create_things(ask):
    trust, register = json.dumps(TRUST_EC2), json.dumps(REGISTER)
    ask("create boundary", "create_policy", PolicyName="Boundary", Path="/team/", PolicyDocument=register)
    for n in range(11):
        ask(f"create policy {n}", "create_policy", PolicyName=f"p{n}", PolicyDocument=register)
    ask("create policy again", "create_policy", PolicyName="p0", PolicyDocument=register)
    undo = ("delete_policy", {"PolicyArn": f"{OWN}/P0"})
    ask("create policy, other case", "create_policy", undo, PolicyName="P0", PolicyDocument=register)
    ask("get policy", "get_policy", PolicyArn=f"{OWN}/team/Boundary")
    ask("get policy version", "get_policy_version", PolicyArn=f"{OWN}/team/Boundary", VersionId="v1")
    ask("get policy version, unknown", "get_policy_version", PolicyArn=f"{OWN}/team/Boundary", VersionId="v9")
    ask("get policy, unknown", "get_policy", PolicyArn=f"{OWN}/gone")
    ask("get policy of AWS", "get_policy", PolicyArn=NODE_POLICY)
    ask(
        "create role",
        "create_role",
        RoleName="AWSPCS-a",
        Path=PATH,
        AssumeRolePolicyDocument=trust,
        PermissionsBoundary=f"{OWN}/team/Boundary",
        Description="nodes",
        Tags=tags(operation="01J", team="hpc"),
    )
    ask("get role", "get_role", RoleName="AWSPCS-a")
    ask("create plain role", "create_role", RoleName="AWSPCS-b", Path="/", AssumeRolePolicyDocument=trust)
    ask("get plain role", "get_role", RoleName="AWSPCS-b")
    ask("create role without path", "create_role", RoleName="AWSPCS-c", AssumeRolePolicyDocument=trust)
    ask("get role without path", "get_role", RoleName="AWSPCS-c")
    ask("create role again", "create_role", RoleName="AWSPCS-a", AssumeRolePolicyDocument=trust)
    undo = ("delete_role", {"RoleName": "awspcs-A"})
    ask("create role, other case", "create_role", undo, RoleName="awspcs-A", AssumeRolePolicyDocument=trust)
    ask("get role, other case", "get_role", RoleName="AWSPCS-A")
    ask("get role, unknown", "get_role", RoleName="gone")
    ask("create profile", "create_instance_profile", InstanceProfileName="AWSPCS-a", Path=PATH, Tags=tags(a="1"))
    ask("get profile", "get_instance_profile", InstanceProfileName="AWSPCS-a")
    ask("create profile again", "create_instance_profile", InstanceProfileName="AWSPCS-a")
    undo = ("delete_instance_profile", {"InstanceProfileName": "awspcs-A"})
    ask("create profile, other case", "create_instance_profile", undo, InstanceProfileName="awspcs-A")
    ask("get profile, unknown", "get_instance_profile", InstanceProfileName="gone")


def names_and_documents(ask):
    trust = json.dumps(TRUST_EC2)
    for label, params in {
        "role name too long": {"RoleName": "r" * 65},
        "role name with a slash": {"RoleName": "a/b"},
        "role path without slashes": {"RoleName": "x1", "Path": "aws-pcs"},
        "boundary that is no ARN": {"RoleName": "x2", "PermissionsBoundary": "arn:aws:iam::aws:role/not-a-policy"},
        "boundary that does not exist": {"RoleName": "x3", "PermissionsBoundary": f"{OWN}/gone"},
        "session too short": {"RoleName": "x4", "MaxSessionDuration": 60},
        "trust policy that is no JSON": {"RoleName": "x5", "AssumeRolePolicyDocument": "{"},
        "trust policy that trusts nobody": {"RoleName": "x6", "AssumeRolePolicyDocument": json.dumps(REGISTER)},
        "tag key too long": {"RoleName": "x7", "Tags": tags(**{"k" * 129: "v"})},
        "tag value too long": {"RoleName": "x8", "Tags": tags(k="v" * 257)},
        "tag key with a star": {"RoleName": "x9", "Tags": tags(**{"a*": "v"})},
        "tag key twice": {"RoleName": "x10", "Tags": tags(k="v", K="v")},
        "tags, 51": {"RoleName": "x11", "Tags": tags(**{f"k{n}": "" for n in range(51)})},
    }.items():
        undo = ("delete_role", {"RoleName": params["RoleName"]})
        ask(label, "create_role", undo, **{"AssumeRolePolicyDocument": trust, **params})
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    for label, document in {
        "no JSON": "{",
        "no statement": json.dumps({"Version": "2012-10-17"}),
        "empty statement": json.dumps({"Version": "2012-10-17", "Statement": []}),
        "no version": json.dumps({"Statement": statement}),
        "old version": json.dumps({"Version": "2008-10-17", "Statement": statement}),
        **{
            label: json.dumps({"Version": "2012-10-17", "Statement": {**statement, **other}})
            for label, other in {
                "effect in lower case": {"Effect": "allow"},
                "action without vendor": {"Action": "everything"},
                "action with two colons": {"Action": "s3:Get:Object"},
                "no actions": {"Action": []},
                "action and not action": {"NotAction": "s3:*"},
                "resource that is no ARN": {"Resource": "bucket"},
                "no resources": {"Resource": []},
                "unknown element": {"Extra": "x"},
                "condition that is text": {"Condition": "x"},
                "principal": {"Principal": "*"},
                "sid with a dash": {"Sid": "a-b"},
            }.items()
        },
    }.items():
        names = {"RoleName": "AWSPCS-b", "PolicyName": "d"}
        ask(f"document: {label}", "put_role_policy", ("delete_role_policy", names), PolicyDocument=document, **names)


def policies_of_a_role(script):
    ask = script.ask
    for n in range(9):
        ask(f"attach {n}", "attach_role_policy", RoleName="AWSPCS-a", PolicyArn=f"{OWN}/p{n}")
    ask("attach one of AWS", "attach_role_policy", RoleName="AWSPCS-a", PolicyArn=SSM)
    ask("attach again", "attach_role_policy", RoleName="AWSPCS-a", PolicyArn=SSM)
    ask("attached", "list_attached_role_policies", RoleName="AWSPCS-a")
    ask("attached under a path", "list_attached_role_policies", RoleName="AWSPCS-a", PathPrefix="/team/")
    ask("attached to unknown role", "list_attached_role_policies", RoleName="gone")
    key = "AttachedPolicies"
    script.pages("attached, by pages", "list_attached_role_policies", key, 4, RoleName="AWSPCS-a")
    eleventh = {"RoleName": "AWSPCS-a", "PolicyArn": f"{OWN}/p10"}
    ask("attach an eleventh", "attach_role_policy", ("detach_role_policy", eleventh), **eleventh)
    ask("detach", "detach_role_policy", RoleName="AWSPCS-a", PolicyArn=f"{OWN}/p8")
    ask("detach again", "detach_role_policy", RoleName="AWSPCS-a", PolicyArn=f"{OWN}/p8")
    ask("attach unknown", "attach_role_policy", RoleName="AWSPCS-a", PolicyArn=f"{OWN}/gone")
    ask("attach misspelt", "attach_role_policy", RoleName="AWSPCS-b", PolicyArn=f"{SSM}s")
    ask("attach to unknown role", "attach_role_policy", RoleName="gone", PolicyArn=SSM)
    ask("attach no ARN", "attach_role_policy", RoleName="AWSPCS-b", PolicyArn="arn:aws:iam::aws:policy:AdminAccess")
    service = {
        "RoleName": "AWSPCS-b",
        "PolicyArn": "arn:aws:iam::aws:policy/aws-service-role/AWSPCSServiceRolePolicy",
    }
    ask("attach a service role policy", "attach_role_policy", ("detach_role_policy", service), **service)
    register = json.dumps(REGISTER)
    ask("put inline", "put_role_policy", RoleName="AWSPCS-a", PolicyName="register", PolicyDocument=register)
    ask("put inline again", "put_role_policy", RoleName="AWSPCS-a", PolicyName="register", PolicyDocument=register)
    ask("get inline", "get_role_policy", RoleName="AWSPCS-a", PolicyName="register")
    ask("get inline, unknown", "get_role_policy", RoleName="AWSPCS-a", PolicyName="gone")
    ask("get inline, other case", "get_role_policy", RoleName="AWSPCS-a", PolicyName="REGISTER")
    ask("inline", "list_role_policies", RoleName="AWSPCS-a")
    ask("inline of unknown role", "list_role_policies", RoleName="gone")
    long = json.dumps({**REGISTER, "Statement": [{**REGISTER["Statement"][0], "Resource": ["arn:aws:s3:::b"] * 900}]})
    names = {"RoleName": "AWSPCS-a", "PolicyName": "long"}
    ask("put inline too long", "put_role_policy", ("delete_role_policy", names), PolicyDocument=long, **names)
    ask("delete inline, unknown", "delete_role_policy", RoleName="AWSPCS-a", PolicyName="gone")


def profiles(ask):
    ask("add role", "add_role_to_instance_profile", InstanceProfileName="AWSPCS-a", RoleName="AWSPCS-a")
    ask("add role again", "add_role_to_instance_profile", InstanceProfileName="AWSPCS-a", RoleName="AWSPCS-a")
    ask("add second role", "add_role_to_instance_profile", InstanceProfileName="AWSPCS-a", RoleName="AWSPCS-b")
    ask("add unknown role", "add_role_to_instance_profile", InstanceProfileName="AWSPCS-a", RoleName="gone")
    ask("add to unknown profile", "add_role_to_instance_profile", InstanceProfileName="gone", RoleName="AWSPCS-a")
    ask("profile with role", "get_instance_profile", InstanceProfileName="AWSPCS-a")
    ask("profiles of role", "list_instance_profiles_for_role", RoleName="AWSPCS-a")
    ask("profiles of other role", "list_instance_profiles_for_role", RoleName="AWSPCS-b")
    ask("profiles of unknown role", "list_instance_profiles_for_role", RoleName="gone")
    ask("remove other role", "remove_role_from_instance_profile", InstanceProfileName="AWSPCS-a", RoleName="AWSPCS-b")
    ask("remove unknown role", "remove_role_from_instance_profile", InstanceProfileName="AWSPCS-a", RoleName="gone")
    ask("delete profile in use", "delete_instance_profile", InstanceProfileName="AWSPCS-a")
    ask("delete unknown profile", "delete_instance_profile", InstanceProfileName="gone")


def lists(script):
    ask = script.ask
    ask("roles under the path", "list_roles", PathPrefix=PATH)
    ask("roles under another path", "list_roles", PathPrefix="/other/")
    ask("profiles under the path", "list_instance_profiles", PathPrefix=PATH)
    ask("profiles under another path", "list_instance_profiles", PathPrefix="/other/")
    script.pages("roles, by pages", "list_roles", "Roles", 2)
    ask("roles, 1001 at once", "list_roles", MaxItems=1001)


def tagging(script):
    ask = script.ask
    ask("tag role", "tag_role", RoleName="AWSPCS-a", Tags=tags(team="ops", added="x"))
    ask("role tags", "list_role_tags", RoleName="AWSPCS-a")
    script.pages("role tags, by pages", "list_role_tags", "Tags", 2, RoleName="AWSPCS-a")
    ask("tag role, other case", "tag_role", RoleName="AWSPCS-b", Tags=tags(team="a"))
    ask("tag role, other case again", "tag_role", RoleName="AWSPCS-b", Tags=tags(TEAM="b"))
    ask("role tags, other case", "list_role_tags", RoleName="AWSPCS-b")
    ask("tag role, key twice", "tag_role", RoleName="AWSPCS-a", Tags=tags(k="v", K="v"))
    ask("tag unknown role", "tag_role", RoleName="gone", Tags=tags(k="v"))
    ask("tags of unknown role", "list_role_tags", RoleName="gone")
    ask("tag profile", "tag_instance_profile", InstanceProfileName="AWSPCS-a", Tags=tags(a="2", b=""))
    ask("profile tags", "list_instance_profile_tags", InstanceProfileName="AWSPCS-a")
    ask("tag unknown profile", "tag_instance_profile", InstanceProfileName="gone", Tags=tags(k="v"))


def remove_things(ask):
    delete = {"RoleName": "AWSPCS-a"}
    ask("delete role in use", "delete_role", **delete)
    ask("attach to a third role", "attach_role_policy", RoleName="AWSPCS-c", PolicyArn=f"{OWN}/p10")
    ask("delete attached policy", "delete_policy", PolicyArn=f"{OWN}/p10")
    ask("delete boundary in use", "delete_policy", PolicyArn=f"{OWN}/team/Boundary")
    ask("remove role", "remove_role_from_instance_profile", InstanceProfileName="AWSPCS-a", RoleName="AWSPCS-a")
    ask("delete role with policies", "delete_role", **delete)
    for arn in [*(f"{OWN}/p{n}" for n in range(8)), SSM]:
        ask(f"detach {arn}", "detach_role_policy", RoleName="AWSPCS-a", PolicyArn=arn)
    ask("delete role with inline policy", "delete_role", **delete)
    ask("delete inline", "delete_role_policy", RoleName="AWSPCS-a", PolicyName="register")
    ask("delete role", "delete_role", **delete)
    ask("delete role again", "delete_role", **delete)
    ask("delete profile", "delete_instance_profile", InstanceProfileName="AWSPCS-a")
    ask("delete profile again", "delete_instance_profile", InstanceProfileName="AWSPCS-a")
    ask("delete policy", "delete_policy", PolicyArn=f"{OWN}/p0")
    ask("delete policy again", "delete_policy", PolicyArn=f"{OWN}/p0")
    ask("roles at the end", "list_roles", PathPrefix=PATH)
    ask("profiles at the end", "list_instance_profiles", PathPrefix=PATH)


def compare(ours, theirs):
    """One line for each place where the two differ."""
    assert ours.keys() == theirs.keys()
    lines = []
    for label, outcome in ours.items():
        same = outcome.get("came out") == theirs[label].get("came out")
        for place in sorted({*outcome, *theirs[label]}) if same else ["came out"]:
            mine, other = outcome.get(place, "nothing"), theirs[label].get(place, "nothing")
            if mine != other:
                lines.append(f"{label}: {place}: {mine!r}, moto {other!r}")
    return lines


@pytest.fixture(scope="module")
def moto():
    if "MOTO_SERVER" not in os.environ:
        pytest.skip("MOTO_SERVER does not name a moto_server executable")
    server = Moto(os.environ["MOTO_SERVER"])
    yield server
    server.stop()


@pytest.fixture(scope="module")
def emulator():
    emulator = Emulator()
    yield emulator
    emulator.stop()


def test_parity(moto, emulator):
    emulator.control("reset", {})
    ours, theirs = run(emulator.client(parameter_validation=False)), run(moto.client())
    lines = compare(ours.outcomes, theirs.outcomes)
    unknown = [line for line in lines if not any(fnmatchcase(line, known) for known in KNOWN)]
    gone = [known for known in KNOWN if not any(fnmatchcase(line, known) for line in lines)]
    assert not unknown, "differences nobody has explained:\n" + "\n".join(unknown)
    assert not gone, "differences that no longer occur:\n" + "\n".join(gone)


def test_the_script_and_the_readme_have_every_action(emulator):
    client = emulator.client(parameter_validation=False)
    answered = {action for action in client.meta.method_to_api_mapping if not refused_as_unknown(client, action)}
    emulator.control("reset", {})
    assert answered == run(client).actions
    readme = (pathlib.Path(__file__).parents[2] / "crates" / "iam-emulator" / "README.md").read_text()
    table = readme.partition("## Actions")[2].partition("##")[0]
    named = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", table.partition("Every other")[0]))
    assert named == {client.meta.method_to_api_mapping[action] for action in answered}


def refused_as_unknown(client, action):
    try:
        getattr(client, action)()
    except ClientError as error:
        return error.response["Error"]["Code"] == "InvalidAction"
    return False
