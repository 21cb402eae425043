"""`pcs-local` as callers see it: whole lives, with two signers.

`Stack.call` checks on every single call that the answer is what the contract documents for that operation and
status, that the audit trail has exactly the rows it should, and that the row was there before PCS was asked. The
tests below say what callers want.
"""

import contextlib
import json
import sqlite3
import subprocess
import urllib.parse
import uuid

import boto3
import pytest

from signed import JSON, KEY, SECRET, Curl, Raw, Requests, curl_fault, send_raw, signed_headers
from stack import PROFILE, PROFILES, Stack, program, until

ANY_PORTS = [option for name in ("", "pcs-", "iam-", "dynamodb-", "page-") for option in (f"--{name}port", "0")]

CLIENTS = [
    pytest.param(Requests(), id="requests"),
    pytest.param(Curl(), id="curl", marks=pytest.mark.skipif(curl_fault() is not None, reason=str(curl_fault()))),
]
api = Raw()


def cluster_body(name="demo-cluster", **more):
    return {"clusterName": name, "scheduler": {"type": "SLURM", "version": "25.11"}, "size": "SMALL",
            "networking": {"subnetIds": ["subnet-0123456789abcdef0"], "securityGroupIds": ["sg-0123456789abcdef0"]},
            **more}


def group_body(profile=PROFILE, **more):
    return {"computeNodeGroupName": "compute", "subnetIds": ["subnet-0123456789abcdef0"],
            "iamInstanceProfileArn": profile, "scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 4},
            "instanceConfigs": [{"instanceType": "c6i.xlarge"}],
            "customLaunchTemplate": {"id": "lt-0123456789abcdef0", "version": "1"}, **more}


def tags_of(arn, *keys):
    query = [("resourceArn", arn), *(("tagKeys", key) for key in keys)]
    return "/v1/tags?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe="")


@pytest.fixture
def cluster(empty):
    """The id of an ACTIVE cluster."""
    made = empty.call(api, "POST", "/v1/clusters", cluster_body(), expect=202).json["cluster"]["id"]
    empty.settle()
    return made


# ---- lives ----

@pytest.mark.parametrize("client", CLIENTS)
def test_a_life(empty, client):
    local, cluster = empty, "/v1/clusters/demo-cluster"
    arn = create(local, client)
    update(local, client)
    tag(local, client, arn)
    delete_in_the_wrong_order(local, client)
    delete(local, client)
    gone = local.call(client, "GET", cluster, expect=404).json
    assert gone["code"] == "ResourceNotFoundException" and "demo-cluster" in gone["message"]
    local.call(client, "DELETE", cluster, expect=404)
    assert local.call(client, "GET", "/v1/clusters", expect=200).json == {"clusters": []}


def status(local, client, path, member):
    return lambda: local.call(client, "GET", path, expect=200).json[member]["status"]


def create(local, client):
    """Cluster, compute node group and queue, each ACTIVE. Returns the cluster's ARN."""
    path = "/v1/clusters/demo-cluster"
    made = local.call(client, "POST", "/v1/clusters", cluster_body(tags={"team": "research"}), expect=202)
    cluster = made.json["cluster"]
    assert (cluster["name"], cluster["status"]) == ("demo-cluster", "CREATING")
    assert cluster["networking"]["securityGroupIds"] == ["sg-0123456789abcdef0"]
    until(status(local, client, path, "cluster"), "ACTIVE")
    made = local.call(client, "POST", f"{path}/compute-node-groups", group_body(), expect=202)
    group = made.json["computeNodeGroup"]
    assert (group["clusterId"], group["status"]) == (cluster["id"], "CREATING")
    asked = [call.action for call in made.calls]
    policies = [n for n, action in enumerate(asked) if action == "ListAttachedRolePolicies"]
    assert policies[0] < asked.index("CreateComputeNodeGroup") < policies[-1], "read, asked, and read again"
    until(status(local, client, f"{path}/compute-node-groups/compute", "computeNodeGroup"), "ACTIVE")
    body = {"queueName": "work", "computeNodeGroupConfigurations": [{"computeNodeGroupId": group["id"]}]}
    queue = local.call(client, "POST", f"{path}/queues", body, expect=202).json["queue"]
    assert queue["computeNodeGroupConfigurations"] == body["computeNodeGroupConfigurations"]
    until(status(local, client, f"{path}/queues/work", "queue"), "ACTIVE")
    return cluster["arn"]


def update(local, client):
    path = "/v1/clusters/demo-cluster"
    body = {"scalingConfiguration": {"minInstanceCount": 1, "maxInstanceCount": 8}}
    updated = local.call(client, "PATCH", f"{path}/compute-node-groups/compute", body, expect=202)
    assert updated.json["computeNodeGroup"]["status"] == "UPDATING"
    assert [call.action for call in updated.calls if call.service == "pcs"] == \
        ["GetComputeNodeGroup", "UpdateComputeNodeGroup"], "the profile it has is decided on again"
    until(status(local, client, f"{path}/compute-node-groups/compute", "computeNodeGroup"), "ACTIVE")
    read = local.call(client, "GET", f"{path}/compute-node-groups/compute", expect=200).json["computeNodeGroup"]
    assert read["scalingConfiguration"] == body["scalingConfiguration"]

    settings = [{"parameterName": "Default", "parameterValue": "YES"}]
    body = {"slurmConfiguration": {"slurmCustomSettings": settings}}
    local.call(client, "PATCH", f"{path}/queues/work", body, expect=202)
    until(status(local, client, f"{path}/queues/work", "queue"), "ACTIVE")
    read = local.call(client, "GET", f"{path}/queues/work", expect=200).json["queue"]
    assert read["slurmConfiguration"]["slurmCustomSettings"] == settings

    body = {"slurmConfiguration": {"scaleDownIdleTimeInSeconds": 300}}
    local.call(client, "PATCH", path, body, expect=202)
    until(status(local, client, path, "cluster"), "ACTIVE")
    read = local.call(client, "GET", path, expect=200).json["cluster"]
    assert read["slurmConfiguration"]["scaleDownIdleTimeInSeconds"] == 300


def tag(local, client, arn):
    listed = lambda: local.call(client, "GET", tags_of(arn), expect=200).json
    assert listed() == {"tags": {"team": "research"}}
    local.call(client, "POST", tags_of(arn), {"tags": {"costCenter": "42", "owner": "ada"}}, expect=204)
    local.call(client, "DELETE", tags_of(arn, "owner", "team"), expect=204)
    assert listed() == {"tags": {"costCenter": "42"}}


def delete_in_the_wrong_order(local, client):
    path = "/v1/clusters/demo-cluster"
    refused = local.call(client, "DELETE", path, expect=409).json
    assert refused["code"] == "ConflictException"
    assert "work" in refused["message"] and "compute" in refused["message"], refused["message"]
    refused = local.call(client, "DELETE", f"{path}/compute-node-groups/compute", expect=409).json
    assert "work" in refused["message"], refused["message"]
    for kind in ("compute-node-groups/compute", "queues/work"):
        local.call(client, "GET", f"{path}/{kind}", expect=200)


def delete(local, client):
    path = "/v1/clusters/demo-cluster"
    listed = lambda kind, member: lambda: local.call(client, "GET", f"{path}/{kind}", expect=200).json[member]
    assert local.call(client, "DELETE", f"{path}/queues/work", expect=202).json == {}
    until(listed("queues", "queues"), [])
    assert local.call(client, "DELETE", f"{path}/compute-node-groups/compute", expect=202).json == {}
    until(listed("compute-node-groups", "computeNodeGroups"), [])
    token = uuid.uuid4()
    assert local.call(client, "DELETE", f"{path}?clientToken={token}", expect=202).json == {}
    until(lambda: local.call(client, "GET", "/v1/clusters", expect=200).json["clusters"], [])


# ---- lists ----

def pages(local, client, path, member, size):
    found, token = [], None
    while True:
        query = {"maxResults": size} | ({"nextToken": token} if token else {})
        target = f"{path}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe='')}"
        page = local.call(client, "GET", target, expect=200).json
        assert 0 < len(page[member]) <= size
        found.append([entry["name"] for entry in page[member]])
        token = page.get("nextToken")
        if token is None:
            return found


@pytest.mark.parametrize("client", CLIENTS)
def test_lists_come_in_pages(empty, client):
    local, names = empty, ["cluster-a", "cluster-b", "cluster-c"]
    for name in names:
        local.call(client, "POST", "/v1/clusters", cluster_body(name), expect=202)
        refused = local.call(client, "POST", "/v1/clusters", cluster_body(f"{name}-too"), expect=402).json
        assert refused["code"] == "ServiceQuotaExceededException"
        local.settle()
    for number in range(5):
        local.call(client, "POST", "/v1/clusters/cluster-a/queues", {"queueName": f"queue{number}"}, expect=202)
    for path, member, expected in [
        ("/v1/clusters", "clusters", names),
        ("/v1/clusters/cluster-a/queues", "queues", [f"queue{number}" for number in range(5)]),
    ]:
        for size in (1, 2, 100):
            found = pages(local, client, path, member, size)
            assert sorted(name for page in found for name in page) == expected
            assert len(found) == -(-len(expected) // size), "full pages"


def test_the_token_of_another_list_is_refused(empty):
    for name in ("cluster-a", "cluster-b"):
        empty.call(api, "POST", "/v1/clusters", cluster_body(name), expect=202)
        empty.settle()
    token = empty.call(api, "GET", "/v1/clusters?maxResults=1", expect=200).json["nextToken"]
    target = f"/v1/clusters/cluster-a/queues?nextToken={urllib.parse.quote(token, safe='')}"
    refused = empty.call(api, "GET", target, expect=400).json
    assert [error["path"] for error in refused["fieldErrors"]] == ["nextToken"]


def test_each_region_has_its_own_clusters(cluster, local):
    assert local.call(api, "GET", "/v1/clusters?region=eu-west-1", expect=200).json == {"clusters": []}
    local.call(api, "GET", f"/v1/clusters/{cluster}?region=us-east-1", expect=200)


# ---- decisions ----

def test_the_guardrails_in_force(local):
    """What the answer shows is what decides: the patterns it lists are those that a refusal offers."""
    answer = local.call(api, "GET", "/v1/guardrails", expect=200)
    assert answer.calls == []
    shown = answer.json["guardrails"]
    assert shown["accountId"] == "123456789012" and shown["instanceRegistration"] is False
    target = "/v1/clusters/demo-cluster/compute-node-groups?dryrun=true"
    [violation] = local.call(api, "POST", target, group_body(f"{PROFILES}AWSPCS-administrator"),
                             expect=403).json["violations"]
    assert violation["allowed"] == shown["additionalIamPolicies"]
    assert violation["rule"] in [rule["rule"] for rule in shown["rules"]]


@pytest.mark.parametrize(("profile", "rule", "subject"), [
    ("AWSPCS-administrator", "allowlist", "arn:aws:iam::aws:policy/AdministratorAccess"),
    ("AWSPCS-inline", None, "everything-in-s3"),
    ("AWSPCS-shared", None, "AWSPCS-shared"),
    ("AWSPCS-empty", None, "AWSPCS-empty"),
    ("compute-node", None, "compute-node"),
])
@pytest.mark.parametrize("dryrun", [False, True])
def test_a_profile_that_breaks_a_guardrail(cluster, local, profile, rule, subject, dryrun):
    target = f"/v1/clusters/{cluster}/compute-node-groups" + ("?dryrun=true" if dryrun else "")
    answer = local.call(api, "POST", target, group_body(PROFILES + profile), expect=403)
    refused = answer.json
    assert refused["code"] == "GuardrailDenied"
    assert {call.service for call in answer.calls} == {"iam"}, "PCS is not asked"
    [violation] = refused["violations"]
    assert subject in violation["subject"] + violation["message"] and violation["message"] in refused["message"]
    if rule:
        assert violation["rule"] == rule
        assert "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy" in violation["allowed"]


def test_a_profile_that_does_not_exist(cluster, local):
    target = f"/v1/clusters/{cluster}/compute-node-groups"
    answer = local.call(api, "POST", target, group_body(f"{PROFILES}AWSPCS-nobody"), expect=403)
    assert answer.json["code"] == "GuardrailDenied" and "AWSPCS-nobody" in answer.json["message"]
    assert [(call.service, call.error_code) for call in answer.calls] == [("iam", "NoSuchEntity")]


GROUPS = "/v1/clusters/{cluster}/compute-node-groups"
DRY_RUNS = {
    "CreateCluster": ("POST", "/v1/clusters", cluster_body("another"), []),
    "UpdateCluster": ("PATCH", "/v1/clusters/{cluster}", {"slurmConfiguration": {"scaleDownIdleTimeInSeconds": 9}}, []),
    "DeleteCluster": ("DELETE", "/v1/clusters/{cluster}", None, []),
    "CreateComputeNodeGroup": ("POST", GROUPS, group_body(computeNodeGroupName="more"), []),
    # The profile that the group has now is decided on, so it has to be read.
    "UpdateComputeNodeGroup": ("PATCH", f"{GROUPS}/compute", {"amiId": "ami-0abc"}, ["GetComputeNodeGroup"]),
    "DeleteComputeNodeGroup": ("DELETE", f"{GROUPS}/compute", None, []),
    "CreateQueue": ("POST", "/v1/clusters/{cluster}/queues", {"queueName": "work"}, []),
    "TagResource": ("POST", tags_of("ARN"), {"tags": {"a": "b"}}, []),
    "UntagResource": ("DELETE", tags_of("ARN", "a"), None, []),
}


@pytest.mark.parametrize("operation", DRY_RUNS)
def test_a_dry_run_changes_nothing(cluster, local, operation):
    method, target, body, asked = DRY_RUNS[operation]
    made = local.call(api, "POST", GROUPS.format(cluster=cluster), group_body(), expect=202).json["computeNodeGroup"]
    local.settle()
    local.control("clear-calls", {})
    target = target.format(cluster=cluster).replace("ARN", urllib.parse.quote(made["arn"], safe=""))
    separator = "&" if "?" in target else "?"
    answer = local.call(api, method, f"{target}{separator}dryrun=true", body, expect=412)
    assert answer.json["code"] == "DryRunOperation"
    assert [call["action"] for call in local.control("calls")["calls"]] == asked
    listed = local.call(api, "GET", "/v1/clusters", expect=200).json["clusters"]
    assert [(entry["name"], entry["status"]) for entry in listed] == [("demo-cluster", "ACTIVE")]
    listed = local.call(api, "GET", GROUPS.format(cluster=cluster), expect=200).json["computeNodeGroups"]
    assert [(entry["name"], entry["status"]) for entry in listed] == [("compute", "ACTIVE")]


def test_an_update_to_a_profile_that_breaks_a_guardrail(cluster, local):
    local.call(api, "POST", GROUPS.format(cluster=cluster), group_body(), expect=202)
    local.settle()
    group = GROUPS.format(cluster=cluster) + "/compute"
    body = {"iamInstanceProfileArn": f"{PROFILES}AWSPCS-administrator"}
    answer = local.call(api, "PATCH", group, body, expect=403)
    assert answer.json["code"] == "GuardrailDenied"
    assert "UpdateComputeNodeGroup" not in [call.action for call in answer.calls]
    read = local.call(api, "GET", group, expect=200).json["computeNodeGroup"]
    assert (read["iamInstanceProfileArn"], read["status"]) == (PROFILE, "ACTIVE")


def test_instances_do_not_register_here(cluster, local):
    target = f"/v1/clusters/{cluster}/compute-node-group-instances"
    answer = local.call(api, "POST", target, {"bootstrapId": "i-0123456789abcdef0-1"}, expect=403)
    assert answer.calls == [], "off unless the deployment turns it on"


# ---- PCS in trouble ----

# What PCS does from now on, and what the caller is told.
TROUBLES = {
    "throttled": ("throttle", 429, "ThrottlingException"),
    "denied": ({"error": {"status": 400, "code": "AccessDeniedException", "message": "ask arn:aws:iam::1:role/us"}},
               403, "UpstreamAccessDenied"),
    "broken": ({"error": {"status": 500, "code": "InternalServerException", "message": "stack trace"}},
               502, "BadGatewayException"),
}


@pytest.mark.parametrize("case", TROUBLES)
def test_trouble_in_pcs(cluster, local, case):
    effect, status, code = TROUBLES[case]
    local.control("fault", {"times": 100, "effect": effect})
    try:
        for method, target, body in [("GET", f"/v1/clusters/{cluster}", None),
                                     ("POST", f"/v1/clusters/{cluster}/queues", {"queueName": "work"})]:
            answer = local.call(api, method, target, body, expect=status)
            assert answer.json["code"] == code
            assert "role/us" not in answer.json["message"] and "stack trace" not in answer.json["message"]
    finally:
        local.control("clear-faults", {})


# ---- the same request again ----

def test_a_replayed_request_creates_one_cluster(empty):
    """Byte for byte the same request, signature and all, as a proxy or an impatient client would send it."""
    local, url = empty, f"{empty.url}/v1/clusters"
    token = "one-token-of-the-caller"
    body = json.dumps(cluster_body(clientToken=token)).encode()
    headers = signed_headers("POST", url, body, JSON)
    first, second = (send_raw("POST", url, body, headers) for _ in range(2))
    assert (first.status, second.status) == (202, 202), (first.body, second.body)
    assert first.json["cluster"]["id"] == second.json["cluster"]["id"]
    listed = local.call(api, "GET", "/v1/clusters", expect=200).json["clusters"]
    assert len(listed) == 1
    sent = [call.body["clientToken"] for call in local.calls if call.action == "CreateCluster"][-2:]
    assert sent[0] == sent[1] and token not in sent[0], "PCS gets a token of the caller's own"


def test_a_token_for_another_request_is_refused(empty):
    token = "another-token-of-the-caller"
    empty.call(api, "POST", "/v1/clusters", cluster_body(clientToken=token), expect=202)
    empty.settle()
    refused = empty.call(api, "POST", "/v1/clusters", cluster_body("demo-two", clientToken=token), expect=409)
    assert refused.json["code"] == "ConflictException"


# ---- what must not be lost ----

@contextlib.contextmanager
def running(folder):
    started = Stack("--transition-seconds", "1", "--data-dir", str(folder))
    try:
        yield started
    finally:
        started.kill()


def test_state_survives_a_kill(tmp_path):
    # A second start sweeps, which leaves rows of its own.
    with running(tmp_path) as local:
        made = local.call(api, "POST", "/v1/clusters", cluster_body(), expect=202).json["cluster"]
        rows = local.trail.rows()
        assert len(rows) == 3
    with running(tmp_path) as local:
        assert rows.items() <= local.trail.rows().items()
        read = local.call(api, "GET", f"/v1/clusters/{made['id']}", expect=200).json["cluster"]
        assert (read["arn"], read["createdAt"]) == (made["arn"], made["createdAt"])
        until(status(local, api, "/v1/clusters/demo-cluster", "cluster"), "ACTIVE")
        assert rows.items() <= local.trail.rows().items()


def cut_table(folder, parts):
    """The audit table as a start leaves it that is killed while it makes it: without the last of its parts."""
    with contextlib.closing(sqlite3.connect(folder / "dynamodb" / "tables.sqlite")) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'pcs-api-audit%'")
        names = [name for name, in names]
        assert len(names) == 5, "a table and its four indexes"
        for name in names[-parts:]:
            database.execute(f'DROP TABLE "{name}"')
        database.commit()


@pytest.mark.parametrize("parts", [1, 4, 5])
def test_a_table_that_a_kill_left_half_made_is_made_again(tmp_path, parts):
    with running(tmp_path):
        pass
    cut_table(tmp_path, parts)
    with running(tmp_path) as local:
        local.call(api, "GET", "/v1/clusters", expect=200)


def test_a_table_with_rows_and_a_lost_index_is_refused(tmp_path):
    with running(tmp_path) as local:
        local.call(api, "GET", "/v1/clusters", expect=200)
    cut_table(tmp_path, 1)
    done = subprocess.run([*program(), *ANY_PORTS, "--data-dir", str(tmp_path)], capture_output=True, text=True,
                          timeout=600, check=False)
    assert done.returncode == 2 and "READY" not in done.stdout
    assert "tables.sqlite" in done.stderr and "good copy" in done.stderr, done.stderr


def test_without_the_audit_table_nothing_happens():
    local = Stack("--transition-seconds", "1")
    try:
        client = boto3.client("dynamodb", endpoint_url=local.dynamodb, region_name="us-east-1",
                              aws_access_key_id=KEY, aws_secret_access_key=SECRET)
        for recorder in local.recorders:
            recorder.audited = set
        client.delete_table(TableName="pcs-api-audit")
        for method, target, body in [("GET", "/v1/clusters", b""), ("GET", "/v1/clusters/no?such=one", b""),
                                     ("POST", "/v1/clusters", json.dumps(cluster_body()).encode())]:
            answer = api.send(method, local.url + target, body, JSON if body else {})
            assert (answer.status, answer.json["code"]) == (503, "AuditUnavailableException"), answer.body
            assert int(answer.headers["retry-after"]) > 0
        assert local.calls == [] and local.control("calls")["calls"] == []
    finally:
        local.kill()
