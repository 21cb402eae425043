"""The guardrails beside an IAM that nobody here wrote: moto's.

The cases are those of tests/it/guardrail_cases.json, made in moto with boto3; what each must come to is read from the
reviewed table, tests/it/output/guardrails-matrix.txt. A refusal is a real call, a permit a dry run and then a real
call. `Stack.call` checks each answer against the contract and its audit rows against what PCS and moto were asked.

MOTO_SERVER names the program `moto_server` (requirements-moto.txt, in an environment of its own).
"""

import json
import os
import pathlib
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request

import boto3
import pytest

import stack
import trail
from signed import Raw

MOTO_SERVER = os.environ.get("MOTO_SERVER")
pytestmark = pytest.mark.skipif(not MOTO_SERVER, reason="MOTO_SERVER names no moto_server (requirements-moto.txt)")

ACCOUNT = "123456789012"
OWN = f"arn:aws:iam::{ACCOUNT}:policy/"
NODE_POLICY = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy"
REGISTER = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "pcs:RegisterComputeNodeGroupInstance", "Resource": "*"}]}
TRUST_EC2 = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
CLUSTER = {"clusterName": "demo-cluster", "scheduler": {"type": "SLURM", "version": "25.11"}, "size": "LARGE",
           "networking": {"subnetIds": ["subnet-0123456789abcdef0"]}}
GROUPS = "/v1/clusters/demo-cluster/compute-node-groups"
IT = stack.ROOT / "tests" / "it"
api = Raw()


# ---- the cases, and what they must come to ----

def cases():
    """(group, case) of every case that IAM can hold."""
    groups = json.loads((IT / "guardrail_cases.json").read_text())["groups"]
    found = [(group["group"], case) for group in groups for case in group["cases"]]
    return [(group, case) for group, case in found if "moto" not in case.get("notIn", {})]


def heading(above, below):
    """Rule names from the two lines that head a group, and where the columns begin."""
    words = below.split()
    assert words.pop() == "case"
    starts, at = [], 0
    for word in words:
        at = below.index(word, at)
        starts.append(at)
        at += len(word)
    ends = [*starts[1:], below.index(" case") + 1]
    return [f"{above[start:end].strip()}-{word}".removeprefix("-") for start, end, word in zip(starts, ends, words)]


def matrix():
    """(group, case) -> (decision, who runs it, cell of each rule)."""
    found = {}
    for paragraph in (IT / "output" / "guardrails-matrix.txt").read_text().split("\n\n")[1:]:
        group, above, below, *rows = paragraph.splitlines()
        rules = heading(above, below)
        for row in rows:
            *cells, case = row[14:].split(maxsplit=len(rules))
            found[group, case] = row[:10].strip(), row[10:13], dict(zip(rules, cells, strict=True))
    return found


# ---- what runs ----

def started(command, environment):
    """A program and what it says when it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    line = process.stdout.readline()
    assert line.startswith("READY "), f"{shlex.join(map(str, command))} printed {line!r}"
    return process, json.loads(line.removeprefix("READY "))


def ended(process):
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


class Moto:
    """`moto_server` on a free port."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
        self.process = subprocess.Popen([MOTO_SERVER, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, env=environment)
        stack.until(self.listens, True)
        self.policies = set()
        self.iam = boto3.client("iam", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="test",
                                aws_secret_access_key="test")

    def listens(self):
        assert self.process.poll() is None, "moto_server ended"
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def clear(self):
        """Deletes every profile and role. Own policies stay: moto takes seconds to make AWS's anew."""
        for profile in self.iam.list_instance_profiles()["InstanceProfiles"]:
            name = profile["InstanceProfileName"]
            for role in profile["Roles"]:
                self.iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
            self.iam.delete_instance_profile(InstanceProfileName=name)
        for role in self.iam.list_roles()["Roles"]:
            name = role["RoleName"]
            attached = self.iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
            for policy in attached.build_full_result()["AttachedPolicies"]:
                self.iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
            for policy in self.iam.list_role_policies(RoleName=name)["PolicyNames"]:
                self.iam.delete_role_policy(RoleName=name, PolicyName=policy)
            self.iam.delete_role(RoleName=name)

    def policy(self, arn):
        """Makes an own managed policy; AWS's are there."""
        if arn.startswith(OWN) and arn not in self.policies:
            path, _, name = arn.removeprefix(OWN.rstrip("/")).rpartition("/")
            self.iam.create_policy(PolicyName=name, Path=f"{path}/", PolicyDocument=json.dumps(REGISTER))
            self.policies.add(arn)

    def role(self, name="AWSPCS-node", path="/", boundary=None, attached=(NODE_POLICY,), inline=None, trust=None,
             allowedFirst=0):
        more = {}
        if boundary:
            self.policy(boundary)
            more["PermissionsBoundary"] = boundary
        self.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=text(trust or TRUST_EC2), **more)
        for arn in [f"{OWN}parallelcluster-{n:03}" for n in range(allowedFirst)] + list(attached):
            self.policy(arn)
            self.iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        for policy, document in (inline or {}).items():
            self.iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text(document))

    def profile(self, role="AWSPCS-node", name=None, path="/", roles=1, exists=True):
        if exists:
            self.iam.create_instance_profile(InstanceProfileName=name or role, Path=path)
        if exists and roles:
            self.iam.add_role_to_instance_profile(InstanceProfileName=name or role, RoleName=role)
        return f"arn:aws:iam::{ACCOUNT}:instance-profile{path}{name or role}"


def text(document):
    return document if isinstance(document, str) else json.dumps(document)


class MotoStack(stack.Stack):
    """The API with moto for its IAM, and a PCS that takes every profile of the account."""

    def __init__(self, moto, variables):
        self.calls = []
        self.recorders = [stack.Recorder("pcs", stack.read_pcs, self.calls),
                          stack.Recorder("iam", stack.read_iam, self.calls)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PCS_API_"))}
        emulator = os.environ.get("PCS_EMULATOR_BIN")
        emulator = [emulator] if emulator else [
            "cargo", "run", "--quiet", "--manifest-path", str(stack.ROOT / "Cargo.toml"), "-p", "pcs-emulator", "--"]
        command = [*emulator, "--port", "0", "--node-groups-per-cluster", "1000"]
        self.pcs_process, ready = started(command, kept)
        self.pcs = ready["pcs"]
        command = [*stack.program(), "--port", "0", "--pcs-port", "0", "--iam-port", "0", "--dynamodb-port", "0",
                   "--page-port", "0"]
        self.process, ready = started(command, kept | variables | {
            "AWS_ENDPOINT_URL_PCS": self.recorders[0].url, "AWS_ENDPOINT_URL_IAM": self.recorders[1].url,
            "PCS_API_AUDIT_RETENTION_DAYS": str(trail.RETENTION_DAYS)})
        self.url, self.dynamodb = ready["gateway"], ready["dynamodb"]
        self.trail = trail.Trail(self.dynamodb)
        for recorder, url in zip(self.recorders, (self.pcs, moto.url)):
            recorder.target, recorder.audited = url.removeprefix("http://"), self.trail.keys
        self.call(api, "POST", "/v1/clusters", CLUSTER, expect=202)
        self.settle()

    def kill(self):
        super().kill()
        ended(self.pcs_process)

    def create(self, body, *, expect, dryrun=False):
        answer = self.call(api, "POST", f"{GROUPS}?dryrun=true" if dryrun else GROUPS, body, expect=expect)
        self.assert_only_read(answer)
        return answer

    @staticmethod
    def assert_only_read(answer):
        """IAM is never written to; PCS only by the call itself, which a refusal and a dry run do not make."""
        allowed = ("Get", "List") if answer.status >= 400 else ("Get", "List", "Create", "Update")
        for call in answer.calls:
            assert call.action.startswith(("Get", "List") if call.service == "iam" else allowed), call


@pytest.fixture(scope="module")
def moto():
    running = Moto()
    yield running
    ended(running.process)


@pytest.fixture(scope="module")
def deployment(moto):
    """A stack by its variables; each is started once."""
    running = {}

    def started_with(variables):
        key = json.dumps(variables, sort_keys=True)
        if key not in running:
            running[key] = MotoStack(moto, variables)
        return running[key]

    yield started_with
    for local in running.values():
        local.kill()


def body(arn, scripts=None, name="compute"):
    group = {"computeNodeGroupName": name, "subnetIds": ["subnet-0123456789abcdef0"], "iamInstanceProfileArn": arn,
             "scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 1},
             "instanceConfigs": [{"instanceType": "c6i.xlarge"}],
             "customLaunchTemplate": {"id": "lt-0123456789abcdef0", "version": "1"}}
    if scripts:
        ready = [{"name": f"script-{n}", "scriptSource": source} for n, source in enumerate(scripts)]
        group["nodeLifecycleActions"] = {"stages": {"nodeReady": ready}}
    return group


# ---- tests ----

def test_the_table_has_every_case():
    expected = matrix()
    for group, case in cases():
        _, places, _ = expected[group, case["case"]]
        assert "m" in places
    assert len([1 for _, places, _ in expected.values() if "m" in places]) == len(cases()) > 100


@pytest.mark.parametrize(("group", "case"), cases(), ids=lambda part: part if isinstance(part, str) else part["case"])
def test_each_case_comes_to_what_the_table_says(moto, deployment, group, case):
    decision, _, cells = matrix()[group, case["case"]]
    passed = [rule for rule, cell in cells.items() if cell == "pass"]
    refused = {rule for rule, cell in cells.items() if cell == "REFUSE"}
    local = deployment(case.get("set", {}))
    moto.clear()
    moto.role(**case.get("role", {}))
    arn = moto.profile(case.get("role", {}).get("name", "AWSPCS-node"), **case.get("profile", {}))
    # A name of its own, as every case creates in the same cluster.
    name = f"group-{time.monotonic_ns() % 10**12}"
    request = body(case.get("request", arn), case.get("scripts"), name)
    if decision == "DENY":
        answer = local.create(request, expect=403)
        assert answer.json["code"] == "GuardrailDenied"
        assert {violation["rule"] for violation in answer.json["violations"]} == refused
    else:
        answer = local.create(request, dryrun=True, expect=412)
        local.create(request, expect=202)
    # The scripts' rule is asked first and stands last in the table.
    assert sorted(answer.json.get("passedRules", [])) == sorted(passed)


def test_an_update_is_checked_against_the_role_that_the_group_has_now(moto, deployment):
    local = deployment({})
    moto.clear()
    moto.role()
    group = body(moto.profile(), name="changing")
    local.create(group, expect=202)
    local.settle()
    change = {"scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 2}}
    local.assert_only_read(local.call(api, "PATCH", f"{GROUPS}/changing", change, expect=202))
    local.settle()
    moto.iam.attach_role_policy(RoleName="AWSPCS-node", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    answer = local.call(api, "PATCH", f"{GROUPS}/changing", change, expect=403)
    local.assert_only_read(answer)
    assert [violation["rule"] for violation in answer.json["violations"]] == ["allowlist"]


def test_a_role_made_anew_is_another_role(moto, deployment):
    """By the same name, with the same policies: what was inspected is on record by its id."""
    local = deployment({})
    ids = set()
    for name in ("first", "second"):
        moto.clear()
        moto.role()
        answer = local.create(body(moto.profile(), name=name), expect=202)
        rows = local.trail.rows().values()
        row, = (row for row in rows if row.get("requestID") == answer.request_id and row["sk"] == "9#COMPLETE")
        assert row["inspected"]["roleId"] == moto.iam.get_role(RoleName="AWSPCS-node")["Role"]["RoleId"]
        ids.add(row["inspected"]["roleId"])
    assert len(ids) == 2


def test_without_iam_nothing_is_permitted(moto, deployment):
    """The recorder in front of moto finds nobody and closes the connection."""
    local = deployment({})
    moto.clear()
    moto.role()
    request = body(moto.profile(), name="unseen")
    target, local.recorders[1].target = local.recorders[1].target, "127.0.0.1:9"
    told = len(local.control("calls")["calls"])
    try:
        for dryrun in ("", "?dryrun=true"):
            data = json.dumps(request).encode()
            answer = api.send("POST", f"{local.url}{GROUPS}{dryrun}", data, {"Content-Type": "application/json"})
            assert answer.status == 503 and int(answer.headers["retry-after"]) > 0, answer
    finally:
        local.recorders[1].target = target
    assert local.control("calls")["calls"][told:] == []
    local.create(request, expect=202)
