"""The PCS emulator as boto3 and AWS's own smoke tests see it.

    pip install boto3 pytest
    PCS_EMULATOR_BIN=target/debug/pcs-emulator pytest tests/contract/test_emulator.py

Beside it: test_emulator_life.py (one life, boto3 and the AWS CLI), test_emulator_errors.py (every modelled error),
test_emulator_switches.py (both sides of every switch), test_emulator_record.py (every answer of a run).
"""

import concurrent.futures
import datetime
import importlib.util
import json
import re
import subprocess
import time
import urllib.error
import urllib.request

import botocore.exceptions
import botocore.loaders
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pcs_life import ACCOUNT, KEY, ROOT, SECRET, client, cluster_input, emulator, group_input, program

MODEL = ROOT / "crates" / "pcs-emulator" / "model"
SMOKE_TESTS = json.loads((MODEL / "smoke-tests.json").read_text())


@pytest.fixture(scope="module")
def running():
    with emulator("--transition-seconds", "3600") as started:
        yield started


@pytest.fixture
def pcs(running):
    running.control("reset", {})
    return client(running.url)


@pytest.fixture
def cluster(running, pcs):
    """The id of an ACTIVE cluster."""
    made = pcs.create_cluster(**cluster_input())["cluster"]["id"]
    running.settle()
    return made


@pytest.fixture
def group(running, pcs, cluster):
    """The id of an ACTIVE compute node group."""
    made = pcs.create_compute_node_group(**group_input(cluster))["computeNodeGroup"]["id"]
    running.settle()
    return made


def refused(call, /, **parameters):
    """The parsed error answer of a call that must fail."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response


def code(call, /, **parameters):
    return refused(call, **parameters)["Error"]["Code"]


def fields(call, /, **parameters):
    answer = refused(call, **parameters)
    assert answer["Error"]["Code"] == "ValidationException"
    assert answer["reason"] == "fieldValidationFailed"
    return [field["name"] for field in answer["fieldList"]]


# ---- the model ----

def test_the_committed_model_is_what_the_pinned_botocore_says():
    spec = importlib.util.spec_from_file_location("update", MODEL / "update.py")
    update = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(update)
    assert (MODEL / "pcs-2023-02-10.json").read_text() == update.installed(), "run model/update.py"


@pytest.mark.parametrize("case", SMOKE_TESTS, ids=lambda case: case["id"])
def test_aws_smoke_tests(pcs, case):
    method = botocore.xform_name(case["op"])
    if "success" in case["expect"]:
        getattr(pcs, method)(**case["params"])
        return
    expected = case["expect"]["failure"]["errorId"].removeprefix("com.amazonaws.pcs#")
    assert code(getattr(pcs, method), **case["params"]) == expected


# ---- lists ----

def test_paginators_see_every_resource_once(running, pcs, cluster, group):
    for number in range(9):
        pcs.create_compute_node_group(**group_input(cluster, f"more{number}"))
    for number in range(10):
        pcs.create_queue(clusterIdentifier=cluster, queueName=f"queue{number}")
    running.settle()
    lists = [("list_clusters", "clusters", {}, 1),
             ("list_compute_node_groups", "computeNodeGroups", {"clusterIdentifier": cluster}, 10),
             ("list_queues", "queues", {"clusterIdentifier": cluster}, 10)]
    for method, member, parameters, count in lists:
        for size in (1, 3, 100):
            pages = list(pcs.get_paginator(method).paginate(**parameters, PaginationConfig={"PageSize": size}))
            ids = [entry["id"] for page in pages for entry in page[member]]
            assert len(ids) == len(set(ids)) == count
            assert all(page[member] for page in pages), "no empty page"


def test_page_tokens_and_sizes_are_checked(running, pcs, cluster):
    for number in range(3):
        pcs.create_queue(clusterIdentifier=cluster, queueName=f"queue{number}")
    token = pcs.list_queues(clusterIdentifier=cluster, maxResults=1)["nextToken"]
    assert fields(pcs.list_queues, clusterIdentifier=cluster, maxResults=101) == ["maxResults"]
    assert code(pcs.list_clusters, nextToken=token) == "InvalidToken"
    changed = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    assert code(pcs.list_queues, clusterIdentifier=cluster, nextToken=changed) == "InvalidToken"
    running.control("advance", {"seconds": 24 * 3600 + 1})
    answer = refused(pcs.list_queues, clusterIdentifier=cluster, nextToken=token)
    assert answer["Error"]["Code"] == "InvalidToken"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


# ---- what is refused ----

def test_bad_names_and_tags_are_all_named_at_once(pcs):
    request = {"clusterName": "pcs_x", "scheduler": {"type": "PBS", "version": "1"}, "size": "HUGE",
               "networking": {"subnetIds": ["subnet-1"]}, "clientToken": "x" * 101}
    expected = {"clusterName", "scheduler.type", "scheduler.version", "size", "networking.subnetIds[0]",
                "clientToken"}
    assert set(fields(pcs.create_cluster, **request)) == expected


@pytest.mark.parametrize("name", ["pcs_x", "1ab", "a_b", "a" * 41, "abc\n", "naïve"])
def test_names_pcs_refuses(pcs, name):
    assert set(fields(pcs.create_cluster, **cluster_input(name))) == {"clusterName"}


def test_what_botocore_itself_stops_is_refused_too(running, pcs):
    """A two-letter name and an empty tags map, sent past botocore's own checks."""
    body = cluster_input("ab", tags={})
    status, answer = raw(running.url, "CreateCluster", body)
    assert status == 400
    assert {field["name"] for field in answer["fieldList"]} == {"clusterName", "tags"}
    assert raw(running.url, "ListClusters", {"maxResults": 0}) == (200, {"clusters": []})


def test_unknown_settings_have_their_place_in_field_list(pcs):
    setting = lambda name: {"parameterName": name, "parameterValue": "1"}
    configuration = {"slurmCustomSettings": [setting("MinJobAge"), setting("Nonsense")],
                     "cgroupCustomSettings": [setting("Nonsense")]}
    assert fields(pcs.create_cluster, **cluster_input(slurmConfiguration=configuration)) == [
        "slurmConfiguration.slurmCustomSettings[0].parameterValue",
        "slurmConfiguration.slurmCustomSettings[1].parameterName",
        "slurmConfiguration.cgroupCustomSettings[0].parameterName"]


def test_metrics_need_the_version_that_pcs_says_in_its_own_words(running, pcs):
    """The sentence about MetricsType is PCS's, as awslabs/awsome-distributed-ai quotes it (architectures/aws-pcs)."""
    settings = [{"parameterName": "MetricsType", "parameterValue": "metrics/openmetrics"},
                {"parameterName": "CommunicationParameters", "parameterValue": "enable_http"}]
    older, newer = ({**cluster_input(slurmConfiguration={"slurmCustomSettings": settings}),
                     "scheduler": {"type": "SLURM", "version": version}} for version in ("25.05", "25.11"))
    found = {field["name"]: field["message"] for field in refused(pcs.create_cluster, **older)["fieldList"]}
    place = "slurmConfiguration.slurmCustomSettings"
    assert set(found) == {f"{place}[0].parameterName", f"{place}[1].parameterValue"}
    assert found[f"{place}[0].parameterName"] == (
        "Slurm custom settings parameter MetricsType is only supported for Slurm version 25.11 or later")
    assert pcs.create_cluster(**newer)["cluster"]["slurmConfiguration"]["slurmCustomSettings"] == settings


def test_families_with_nvidia_gpus_are_all_of_ec2s_gpu_families_but_amds():
    """EC2's own list of instance types; G4ad is the one GPU family with GPUs of AMD (EC2 instance types guide)."""
    service = botocore.loaders.Loader().load_service_model("ec2", "service-2")
    families = {name.split(".")[0] for name in service["shapes"]["InstanceType"]["enum"]}
    with_gpus = {family for family in families if re.match(r"(p|g|gr)[0-9]", family)}
    known = set(json.loads((MODEL / "rules.json").read_text())["nvidiaFamilies"])
    assert known == with_gpus - {"g4ad"}


def test_quotas(running, pcs):
    pcs.create_cluster(**cluster_input("first"))
    with pytest.raises(pcs.exceptions.ServiceQuotaExceededException):
        pcs.create_cluster(**cluster_input("second"))
    running.settle()
    for name in ("second", "third", "fourth", "fifth"):
        pcs.create_cluster(**cluster_input(name))
        running.settle()
    with pytest.raises(pcs.exceptions.ServiceQuotaExceededException):
        pcs.create_cluster(**cluster_input("sixth"))
    large = {"minInstanceCount": 0, "maxInstanceCount": 33}
    call = group_input("first", scalingConfiguration=large)
    assert code(pcs.create_compute_node_group, **call) == "ServiceQuotaExceededException"
    for number in range(10):
        pcs.create_compute_node_group(**group_input("first", f"nodes{number}"))
        pcs.create_queue(clusterIdentifier="first", queueName=f"queue{number}")
    assert code(pcs.create_compute_node_group, **group_input("first", "more")) == "ServiceQuotaExceededException"
    call = {"clusterIdentifier": "first", "queueName": "more"}
    assert code(pcs.create_queue, **call) == "ServiceQuotaExceededException"


def test_versions_only_go_up():
    matrix = {"24.11": {"25.05", "25.11", "26.05"}, "25.05": {"25.11", "26.05"}, "25.11": {"26.05"}, "26.05": set()}
    with emulator("--transition-seconds", "3600") as started:
        pcs = client(started.url)
        for start, targets in matrix.items():
            for target in ("24.05", "24.11", "25.05", "25.11", "26.05", "27.05"):
                started.control("reset", {})
                pcs.create_cluster(**{**cluster_input(), "scheduler": {"type": "SLURM", "version": start}})
                started.settle()
                call = {"clusterIdentifier": "demo", "scheduler": {"version": target}}
                if target in targets:
                    assert pcs.update_cluster(**call)["cluster"]["status"] == "UPDATING"
                else:
                    assert fields(pcs.update_cluster, **call) == ["scheduler.version"]


def test_managed_groups_need_an_ami_and_security_groups(running, pcs, cluster):
    call = group_input(cluster, launchTemplateMode="MANAGED")
    del call["customLaunchTemplate"]
    assert fields(pcs.create_compute_node_group, **call) == ["amiId", "securityGroupIds"]
    call |= {"amiId": "ami-0abc", "securityGroupIds": ["sg-0123456789abcdef0"], "sshKeyName": "key"}
    assert "customLaunchTemplate" not in pcs.create_compute_node_group(**call)["computeNodeGroup"]


def test_lifecycle_actions_and_gres_come_back_as_sent(running, pcs, cluster):
    script = {"name": "mount", "scriptSource": {"scriptLocation": "s3://bucket/x.sh", "checksum": "a" * 64}}
    actions = {"stages": {"nodeBootstrapped": [script]}, "scriptCachingPolicy": "CACHE_ONCE"}
    slurm = {"gresCustomSettings": [{"Name": "gpu", "Type": "a100", "File": "/dev/nvidia[0-7]"}],
             "slurmCustomSettings": [{"parameterName": "Gres", "parameterValue": "gpu:a100:8"}],
             "scaleDownIdleTimeInSeconds": 120}
    made = pcs.create_compute_node_group(
        **group_input(cluster, nodeLifecycleActions=actions, slurmConfiguration=slurm))["computeNodeGroup"]
    assert made["nodeLifecycleActions"] == actions
    assert made["slurmConfiguration"] == slurm
    running.settle()
    node = pcs.register_compute_node_group_instance(clusterIdentifier=cluster, bootstrapId="i-1")
    assert node["nodeLifecycleActions"] == actions


def test_client_tokens_replay_or_conflict(running, pcs):
    call = cluster_input(clientToken="token-0001")
    first = pcs.create_cluster(**call)["cluster"]
    running.settle()
    assert pcs.create_cluster(**call)["cluster"] == first
    assert len(pcs.list_clusters()["clusters"]) == 1
    assert code(pcs.create_cluster, **{**call, "size": "LARGE"}) == "ConflictException"


def test_accounts_and_regions_are_apart(running, pcs, cluster):
    assert client(running.url, region="eu-west-1").list_clusters()["clusters"] == []
    other = client(running.url, key="999999999999")
    assert other.list_clusters()["clusters"] == []
    assert code(other.get_cluster, clusterIdentifier=cluster) == "AccessDeniedException"
    assert pcs.get_cluster(clusterIdentifier=cluster)["cluster"]["arn"].split(":")[4] == ACCOUNT


def test_only_one_of_many_callers_creates_a_queue(running, pcs, cluster):
    def create(_):
        try:
            client(running.url).create_queue(clusterIdentifier=cluster, queueName="work")
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        return "created"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(create, range(8)))
    assert outcomes == ["ConflictException"] * 7 + ["created"]


# ---- the wire ----

def raw(url, action, body, headers=None, region="us-east-1"):
    """Sends a signed awsJson request of any body; returns status and parsed body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = AWSRequest("POST", f"{url}/", data=data, headers={
        "X-Amz-Target": f"AWSParallelComputingService.{action}", "Content-Type": "application/x-amz-json-1.0",
        **(headers or {})})
    SigV4Auth(Credentials(KEY, SECRET), "pcs", region).add_auth(request)
    prepared = urllib.request.Request(f"{url}/", data, dict(request.headers.items()))
    try:
        with urllib.request.urlopen(prepared) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            body = json.load(error)
            assert error.headers["x-amzn-errortype"] == body["__type"]
            return error.code, body


def test_timestamps_are_iso_8601_strings(running, pcs, cluster):
    _, answer = raw(running.url, "GetCluster", {"clusterIdentifier": cluster})
    created = answer["cluster"]["createdAt"]
    assert created.endswith("Z")
    assert datetime.datetime.fromisoformat(created[:26] + "+00:00").year >= 2024


def test_the_agent_of_a_node_can_register(running, pcs, cluster, group):
    """The namespaced target and the content type that PCS's own agent is known to send."""
    headers = {"X-Amz-Target": "com.amazon.aws.pcs.service.AWSParallelComputingService"
                               ".RegisterComputeNodeGroupInstance",
               "Content-Type": "application/json; charset=UTF-8", "Content-Encoding": "amz-1.0"}
    status, answer = raw(running.url, "-", {"clusterIdentifier": cluster, "bootstrapId": "b"}, headers)
    assert status == 200 and answer["computeNodeGroupId"] == group


def test_malformed_requests(running):
    assert raw(running.url, "ListClusters", b"{")[1]["__type"] == "SerializationException"
    assert raw(running.url, "Nonsense", {})[1]["__type"] == "UnknownOperationException"
    status, answer = raw(running.url, "ListClusters", b"{" + b" " * 1024 * 1024 + b"}")
    assert (status, answer["__type"]) == (413, "RequestEntityTooLargeException")
    last = running.control("calls")["calls"][-1]
    assert (last["action"], last["status"], last["body"]) == ("ListClusters", 413, None)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{running.url}/")
    with caught.value as error:
        assert error.code == 404


# ---- the control plane ----

def test_the_state_can_be_taken_and_given_back(running, pcs, cluster, group):
    state = running.control("state")
    running.control("reset", {})
    assert pcs.list_clusters()["clusters"] == []
    running.control("state", state, "PUT")
    assert pcs.get_compute_node_group(clusterIdentifier="demo", computeNodeGroupIdentifier=group)
    for broken in ({}, {**state, "format": 99}, {**state, "accounts": []}):
        with pytest.raises(urllib.error.HTTPError) as caught:
            running.control("state", broken, "PUT")
        with caught.value as error:
            assert error.code == 400
            assert json.load(error)["message"].startswith("not a state of this emulator: ")
    assert pcs.get_cluster(clusterIdentifier="demo")["cluster"]["id"] == cluster


def test_faults_strike_and_sdks_recover(running, pcs):
    running.control("fault", {"action": "ListClusters", "times": 1, "effect": "throttle"})
    answer = refused(pcs.list_clusters)
    assert answer["Error"]["Code"] == "ThrottlingException" and answer["retryAfterSeconds"] >= 0
    patient = client(running.url, attempts=3)
    for effect in ("throttle", "dropBefore", {"error": {"status": 500, "code": "InternalServerException",
                                                        "message": "try again"}}):
        running.control("fault", {"action": "ListClusters", "times": 1, "effect": effect})
        assert patient.list_clusters()["clusters"] == []


def test_a_lost_answer_is_made_good_by_the_client_token(running, pcs):
    """boto3 retries with the token it made, so the cluster exists once."""
    running.control("fault", {"action": "CreateCluster", "effect": "dropAfter"})
    made = client(running.url, attempts=3).create_cluster(**cluster_input())["cluster"]
    assert [cluster["id"] for cluster in pcs.list_clusters()["clusters"]] == [made["id"]]
    calls = [call for call in running.control("calls")["calls"] if call["action"] == "CreateCluster"]
    assert [call["status"] for call in calls[-2:]] == [None, 200]
    assert calls[-1]["accessKeyId"] == KEY and calls[-1]["body"]["clusterName"] == "demo"


def test_delays_and_garbage(running, pcs):
    running.control("fault", {"action": "ListClusters", "effect": {"delay": {"seconds": 0.4}}})
    begun = time.monotonic()
    pcs.list_clusters()
    assert time.monotonic() - begun >= 0.4
    running.control("fault", {"action": "ListClusters", "effect": {"garbage": {"body": "<html>"}}})
    with pytest.raises(json.JSONDecodeError):
        raw(running.url, "ListClusters", {})
    assert raw(running.url, "ListClusters", {}) == (200, {"clusters": []})


def test_forced_failures_and_suspension(running, pcs):
    made = pcs.create_cluster(**cluster_input())["cluster"]
    running.control("fail", {"region": "us-east-1", "arn": made["arn"], "code": "InvalidInput", "message": "no"})
    shown = pcs.get_cluster(clusterIdentifier="demo")["cluster"]
    assert shown["status"] == "CREATE_FAILED"
    assert shown["errorInfo"] == [{"code": "InvalidInput", "message": "no"}]
    pcs.delete_cluster(clusterIdentifier="demo")
    running.settle()
    again = pcs.create_cluster(**cluster_input())["cluster"]["id"]
    running.settle()
    running.control("suspend", {"id": again})
    running.settle()
    assert pcs.get_cluster(clusterIdentifier=again)["cluster"]["status"] == "SUSPENDED"
    with pytest.raises(pcs.exceptions.ConflictException):
        pcs.create_queue(clusterIdentifier=again, queueName="work")


def test_every_answer_survives_a_kill(tmp_path):
    flags = ("--transition-seconds", "3600", "--data-dir", str(tmp_path))
    with emulator(*flags) as started:
        made = client(started.url).create_cluster(**cluster_input())["cluster"]
        started.settle()
        queues = [client(started.url).create_queue(clusterIdentifier="demo", queueName=f"queue{n}")["queue"]
                  for n in range(3)]
    # Leaving the block killed the process with SIGKILL.
    with emulator(*flags) as started:
        pcs = client(started.url)
        assert pcs.get_cluster(clusterIdentifier="demo")["cluster"]["id"] == made["id"]
        assert pcs.get_cluster(clusterIdentifier="demo")["cluster"]["status"] == "ACTIVE"
        listed = pcs.list_queues(clusterIdentifier="demo")["queues"]
        assert [queue["id"] for queue in listed] == [queue["id"] for queue in queues]
        assert {queue["status"] for queue in listed} == {"CREATING"}


def test_a_torn_state_file_stops_the_start(tmp_path):
    (tmp_path / "pcs-state.json").write_text('{"format":1,')
    command = [*program(), "--port", "0", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 2
    assert "pcs-state.json" in done.stderr and done.stdout == ""


def test_two_emulators_do_not_share_a_folder(tmp_path):
    with emulator("--data-dir", str(tmp_path)):
        command = [*program(), "--port", "0", "--data-dir", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 2
        assert "is in use by another program" in done.stderr and done.stdout == ""
    # The one that was killed left nothing locked.
    with emulator("--data-dir", str(tmp_path)) as started:
        assert client(started.url).list_clusters()["clusters"] == []
