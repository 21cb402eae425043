"""Both sides of every switch of the PCS emulator, through the program's own flags.

What AWS does not document has a default and a switch (the table in crates/pcs-emulator/README.md); whoever builds on
PCS can test both worlds only if both are there. The last test holds the flags tried here against `--help`.
"""

import json
import re
import subprocess
import time

import boto3
import botocore.exceptions
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from pcs_life import (KEY, PROFILE, SECRET, UNSEEN_PROFILE, UNSEEN_PROFILES, client, cluster_input, emulator, group_input,
                      program)

# Flags given to an emulator by some test of this file.
TRIED = set()
SLOW = ("--transition-seconds", "3600")


def started(*flags):
    TRIED.update(flag for flag in (*SLOW, *flags) if flag.startswith("--"))
    return emulator(*SLOW, *flags)


def code(call, /, **parameters):
    """The error code, or None for a success."""
    try:
        call(**parameters)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return None


def with_demo(running):
    pcs = client(running.url)
    pcs.create_cluster(**cluster_input())
    running.settle()
    return pcs


@pytest.mark.parametrize(("flags", "statuses"), [
    ((), [400, 400, 400, 400, 400]),
    (("--http-statuses", "documented"), [400, 400, 400, 400, 400]),
    (("--http-statuses", "smithy"), [403, 404, 409, 402, 429]),
])
def test_statuses(flags, statuses):
    with started(*flags) as running:
        pcs = client(running.url)
        pcs.create_cluster(**cluster_input())
        running.control("fault", {"action": "ListQueues", "effect": "throttle"})
        calls = [(pcs.get_cluster, {"clusterIdentifier": "pcs_donotexist"}),
                 (pcs.get_cluster, {"clusterIdentifier": "nobody"}),
                 (pcs.create_cluster, cluster_input()),
                 (pcs.create_cluster, cluster_input("other")),
                 (pcs.list_queues, {"clusterIdentifier": "demo"})]
        found = []
        for call, parameters in calls:
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                call(**parameters)
            found.append(caught.value.response["ResponseMetadata"]["HTTPStatusCode"])
        assert found == statuses


DENIED, ABSENT = "AccessDeniedException", "ResourceNotFoundException"


@pytest.mark.parametrize("flags", [(), *(("--unseen-profiles", value) for value in UNSEEN_PROFILES)])
def test_words_for_a_profile_that_is_not_seen(flags):
    expected, words = UNSEEN_PROFILES[flags[1] if flags else "denied"]
    with started("--instance-profile", PROFILE, *flags) as running:
        pcs = with_demo(running)
        pcs.create_compute_node_group(**group_input("demo"))
        running.settle()
        group = {"clusterIdentifier": "demo", "computeNodeGroupIdentifier": "nodes"}
        for call, parameters in [
                (pcs.create_compute_node_group, group_input("demo", "more", iamInstanceProfileArn=UNSEEN_PROFILE)),
                (pcs.update_compute_node_group, {**group, "iamInstanceProfileArn": UNSEEN_PROFILE})]:
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                call(**parameters)
            error = caught.value.response["Error"]
            assert (error["Code"], error["Message"]) == (expected, words)
        # One of another account is never "not seen yet".
        foreign = f"arn:aws:iam::999999999999:{UNSEEN_PROFILE.split(':')[5]}"
        assert code(pcs.create_compute_node_group,
                    **group_input("demo", "more", iamInstanceProfileArn=foreign)) == DENIED


def test_a_profile_that_is_not_seen_may_fail_later():
    with started("--instance-profile", PROFILE, "--unseen-profiles", "fails-later") as running:
        pcs = with_demo(running)
        pcs.create_compute_node_group(**group_input("demo", iamInstanceProfileArn=UNSEEN_PROFILE))
        running.settle()
        found = pcs.get_compute_node_group(clusterIdentifier="demo", computeNodeGroupIdentifier="nodes")
        found = found["computeNodeGroup"]
        assert found["status"] == "CREATE_FAILED" and found["iamInstanceProfileArn"] == UNSEEN_PROFILE
        assert "iamInstanceProfile" in found["errorInfo"][0]["message"]


@pytest.mark.parametrize(("flags", "cluster", "queue"), [
    ((), DENIED, ABSENT),
    (("--unknown-ids", "cluster-denied"), DENIED, ABSENT),
    (("--unknown-ids", "denied"), DENIED, DENIED),
    (("--unknown-ids", "not-found"), ABSENT, ABSENT),
])
def test_ids_never_issued(flags, cluster, queue):
    with started(*flags) as running:
        pcs = with_demo(running)
        assert code(pcs.get_cluster, clusterIdentifier="pcs_donotexist") == cluster
        assert code(pcs.get_queue, clusterIdentifier="demo", queueIdentifier="pcs_donotexist") == queue
        # A name is no id, whatever the switch.
        assert code(pcs.get_cluster, clusterIdentifier="nobody") == ABSENT


@pytest.mark.parametrize(("flags", "expected"), [
    ((), ABSENT),
    (("--deleted-ids", "not-found"), ABSENT),
    (("--deleted-ids", "as-unknown"), DENIED),
])
def test_ids_of_what_is_gone(flags, expected):
    with started(*flags) as running:
        pcs = with_demo(running)
        gone = pcs.get_cluster(clusterIdentifier="demo")["cluster"]["id"]
        pcs.delete_cluster(clusterIdentifier=gone)
        running.settle()
        assert code(pcs.get_cluster, clusterIdentifier=gone) == expected


@pytest.mark.parametrize(("flags", "expected"), [
    ((), "ConflictException"),
    (("--token-reuse", "conflict"), "ConflictException"),
    (("--token-reuse", "validation"), "ValidationException"),
])
def test_a_client_token_with_other_parameters(flags, expected):
    with started(*flags) as running:
        pcs = client(running.url)
        pcs.create_cluster(**cluster_input(clientToken="token-0001"))
        assert code(pcs.create_cluster, **cluster_input(clientToken="token-0001", size="LARGE")) == expected
        assert code(pcs.create_cluster, **cluster_input(clientToken="token-0001")) is None


@pytest.mark.parametrize(("flags", "expected"), [
    ((), ABSENT), (("--unknown-names", "not-found"), ABSENT), (("--unknown-names", "denied"), DENIED)])
def test_names_nobody_has(flags, expected):
    with started(*flags) as running:
        pcs = with_demo(running)
        assert code(pcs.get_cluster, clusterIdentifier="nobody") == expected
        assert code(pcs.get_queue, clusterIdentifier="demo", queueIdentifier="nobody") == expected
        assert code(pcs.create_compute_node_group, **group_input("nobody")) == expected


@pytest.mark.parametrize(("flags", "seconds"), [((), 24 * 3600), (("--token-life-seconds", "600"), 600)])
def test_client_tokens_are_forgotten(flags, seconds):
    with started(*flags) as running:
        pcs = client(running.url)
        call = cluster_input(clientToken="token-0001")
        pcs.create_cluster(**call)
        running.control("advance", {"seconds": seconds - 60})
        assert code(pcs.create_cluster, **call) is None
        running.control("advance", {"seconds": 120})
        assert code(pcs.create_cluster, **call) == "ConflictException", "the name exists"


@pytest.mark.parametrize(("flags", "words"), [
    ((), ("cluster", "computenodegroup", "queue")),
    (("--resource-types", "arn"), ("cluster", "computenodegroup", "queue")),
    (("--resource-types", "model"), ("Cluster", "ComputeNodeGroup", "Queue")),
])
def test_resource_types_of_errors(flags, words):
    with started(*flags) as running:
        pcs = with_demo(running)
        calls = [(pcs.get_cluster, {"clusterIdentifier": "nobody"}),
                 (pcs.get_compute_node_group, {"clusterIdentifier": "demo", "computeNodeGroupIdentifier": "nobody"}),
                 (pcs.get_queue, {"clusterIdentifier": "demo", "queueIdentifier": "nobody"})]
        for (call, parameters), word in zip(calls, words):
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                call(**parameters)
            assert caught.value.response["resourceType"] == word


@pytest.mark.parametrize(("flags", "merged"), [
    ((), False), (("--queue-update", "replace"), False), (("--queue-update", "merge"), True)])
def test_the_groups_of_an_updated_queue(flags, merged):
    with started(*flags) as running:
        pcs = with_demo(running)
        groups = [pcs.create_compute_node_group(**group_input("demo", name))["computeNodeGroup"]["id"]
                  for name in ("first", "second")]
        running.settle()
        first, second = ({"computeNodeGroupId": group} for group in groups)
        pcs.create_queue(clusterIdentifier="demo", queueName="work", computeNodeGroupConfigurations=[first])
        running.settle()
        updated = pcs.update_queue(clusterIdentifier="demo", queueIdentifier="work",
                                   computeNodeGroupConfigurations=[second])["queue"]
        assert updated["computeNodeGroupConfigurations"] == ([first, second] if merged else [second])


def plugin(name, key="limit.star"):
    return {"name": name, "type": "STARLARK", "scriptSource": {"scriptLocation": f"s3://scripts/{key}"}}


def with_plugin(name):
    return cluster_input(slurmConfiguration={"jobSubmitPlugins": [plugin(name)]})


@pytest.mark.parametrize(("flags", "merged"), [
    ((), False), (("--plugin-update", "replace"), False), (("--plugin-update", "merge"), True)])
def test_the_plugin_of_an_updated_cluster(flags, merged):
    with started(*flags) as running:
        pcs = client(running.url)
        pcs.create_cluster(**with_plugin("first"))

        def update(*plugins):
            running.settle()
            return {"clusterIdentifier": "demo", "slurmConfiguration": {"jobSubmitPlugins": list(plugins)}}

        def shown():
            return pcs.get_cluster(clusterIdentifier="demo")["cluster"]["slurmConfiguration"].get("jobSubmitPlugins")

        changed, other = plugin("first", "stricter.star"), plugin("second")
        pcs.update_cluster(**update(changed))
        assert shown() == [changed]
        assert code(pcs.update_cluster, **update(other)) == ("ValidationException" if merged else None)
        assert shown() == [changed if merged else other]
        pcs.update_cluster(**update())
        assert shown() == ([changed] if merged else None)


@pytest.mark.parametrize(("flags", "accepted"), [
    ((), False), (("--plugin-names", "pattern"), False), (("--plugin-names", "spaces"), True)])
def test_spaces_in_the_name_of_a_plugin(flags, accepted, tmp_path):
    # The text of the model allows what its pattern does not, so the model cannot judge these answers.
    with started("--record", str(tmp_path / "calls.jsonl"), *flags) as running:
        pcs = boto3.client("pcs", endpoint_url=running.url, region_name="us-east-1", aws_access_key_id=KEY,
                           aws_secret_access_key=SECRET)
        for name in (" limit gpus", "limit.gpus", "l" * 65):
            assert code(pcs.create_cluster, **with_plugin(name)) == "ValidationException"
        assert code(pcs.create_cluster, **with_plugin("limit gpus")) == (None if accepted else "ValidationException")
        if accepted:
            made = pcs.get_cluster(clusterIdentifier="demo")["cluster"]
            assert made["slurmConfiguration"]["jobSubmitPlugins"] == [plugin("limit gpus")]


@pytest.mark.parametrize(("flags", "accepted"), [
    ((), False), (("--empty-settings", "refused"), False), (("--empty-settings", "accepted"), True)])
def test_an_empty_list_of_settings_for_a_new_cluster(flags, accepted):
    with started(*flags) as running:
        pcs = client(running.url)
        empty = {"slurmConfiguration": {"slurmCustomSettings": []}}
        if accepted:
            pcs.create_cluster(**cluster_input(**empty))
        else:
            with pytest.raises(pcs.exceptions.ValidationException) as caught:
                pcs.create_cluster(**cluster_input(**empty))
            fields = [field["name"] for field in caught.value.response["fieldList"]]
            assert fields == ["slurmConfiguration.slurmCustomSettings"]
            pcs.create_cluster(**cluster_input())
        running.settle()
        # An update takes one, whatever the switch: it removes the settings.
        prolog = [{"parameterName": "Prolog", "parameterValue": "/p.sh"}]
        pcs.update_cluster(clusterIdentifier="demo", slurmConfiguration={"slurmCustomSettings": prolog})
        running.settle()
        updated = pcs.update_cluster(clusterIdentifier="demo", **empty)["cluster"]
        assert "slurmCustomSettings" not in updated["slurmConfiguration"]


@pytest.mark.parametrize(("flags", "accepted"), [
    ((), False), (("--group-names", "refused"), False), (("--group-names", "accepted"), True)])
def test_groups_of_a_queue_by_name(flags, accepted):
    with started(*flags) as running:
        pcs = with_demo(running)
        group = pcs.create_compute_node_group(**group_input("demo"))["computeNodeGroup"]["id"]
        running.settle()
        call = {"clusterIdentifier": "demo", "queueName": "work",
                "computeNodeGroupConfigurations": [{"computeNodeGroupId": "nodes"}]}
        assert code(pcs.create_queue, **call) == (None if accepted else ABSENT)
        if accepted:
            queue = pcs.get_queue(clusterIdentifier="demo", queueIdentifier="work")["queue"]
            assert queue["computeNodeGroupConfigurations"] == [{"computeNodeGroupId": group}]


@pytest.mark.parametrize(("flags", "shown"), [
    ((), False), (("--unset-defaults", "omitted"), False), (("--unset-defaults", "shown"), True)])
def test_defaults_of_what_was_never_set(flags, shown):
    with started(*flags) as running:
        pcs = with_demo(running)
        cluster = pcs.get_cluster(clusterIdentifier="demo")["cluster"]
        slurm = cluster["slurmConfiguration"]
        group = pcs.create_compute_node_group(**group_input("demo"))["computeNodeGroup"]
        spot = pcs.create_compute_node_group(**group_input("demo", "spot", purchaseOption="SPOT"))["computeNodeGroup"]
        found = [cluster["networking"].get("networkType"), slurm.get("scaleDownIdleTimeInSeconds"),
                 slurm.get("accounting"), slurm.get("slurmRest"), group.get("purchaseOption"),
                 group.get("launchTemplateMode"), spot.get("spotOptions"), group.get("spotOptions")]
        documented = ["IPV4", 600, {"mode": "NONE", "defaultPurgeTimeInDays": -1}, {"mode": "NONE"}, "ONDEMAND",
                      "CUSTOM", {"allocationStrategy": "price-capacity-optimized"}, None]
        assert found == (documented if shown else [None] * 8)


@pytest.mark.parametrize(("flags", "reverse"), [
    ((), False), (("--list-order", "oldest-first"), False), (("--list-order", "newest-first"), True)])
def test_the_order_of_lists(flags, reverse):
    with started(*flags) as running:
        pcs = with_demo(running)
        names = [f"queue{number}" for number in range(5)]
        for name in names:
            pcs.create_queue(clusterIdentifier="demo", queueName=name)
        pages = pcs.get_paginator("list_queues").paginate(clusterIdentifier="demo", PaginationConfig={"PageSize": 2})
        found = [queue["name"] for page in pages for queue in page["queues"]]
        assert found == (names[::-1] if reverse else names)


@pytest.mark.parametrize(("flags", "creatable"), [
    ((), {"24.11", "25.05", "25.11", "26.05"}),
    (("--creatable-versions", "25.05,25.11"), {"25.05", "25.11"}),
])
def test_versions_that_can_be_created(flags, creatable):
    with started(*flags) as running:
        pcs = client(running.url)
        for version in ("24.05", "24.11", "25.05", "25.11", "26.05"):
            running.control("reset", {})
            call = {**cluster_input(), "scheduler": {"type": "SLURM", "version": version}}
            assert code(pcs.create_cluster, **call) == (None if version in creatable else "ValidationException")


@pytest.mark.parametrize(("flags", "most"), [((), 5), (("--clusters-per-region", "2"), 2)])
def test_clusters_in_a_region(flags, most):
    with started(*flags) as running:
        pcs = client(running.url)
        for number in range(most):
            pcs.create_cluster(**cluster_input(f"demo{number}"))
            running.settle()
        assert code(pcs.create_cluster, **cluster_input("more")) == "ServiceQuotaExceededException"


@pytest.mark.parametrize(("flags", "groups", "queues"), [
    ((), 10, 10),
    (("--node-groups-per-cluster", "3", "--queues-per-cluster", "2"), 3, 2),
    (("--node-groups-per-cluster", "12", "--queues-per-cluster", "12"), 12, 12),
])
def test_groups_and_queues_in_a_cluster(flags, groups, queues):
    with started(*flags) as running:
        pcs = with_demo(running)
        for number in range(groups):
            pcs.create_compute_node_group(**group_input("demo", f"nodes{number}"))
        for number in range(queues):
            pcs.create_queue(clusterIdentifier="demo", queueName=f"queue{number}")
        call = group_input("demo", "more")
        assert code(pcs.create_compute_node_group, **call) == "ServiceQuotaExceededException"
        call = {"clusterIdentifier": "demo", "queueName": "more"}
        assert code(pcs.create_queue, **call) == "ServiceQuotaExceededException"


@pytest.mark.parametrize(("flags", "expected"), [((), None), (("--instance-profile", PROFILE), DENIED)])
def test_instance_profiles(flags, expected):
    with started(*flags) as running:
        pcs = with_demo(running)
        assert code(pcs.create_compute_node_group, **group_input("demo")) is None
        other = group_input("demo", "other", iamInstanceProfileArn=f"{PROFILE}-other")
        assert code(pcs.create_compute_node_group, **other) == expected


def boto_unsigned(url):
    return boto3.client("pcs", endpoint_url=url, region_name="us-east-1",
                        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}))


def test_requests_without_a_signature():
    with started() as running:
        assert code(boto_unsigned(running.url).list_clusters) == "MissingAuthenticationToken"
    with started("--no-require-signature", "--default-region", "eu-west-1", "--account-id", "210987654321") as running:
        made = boto_unsigned(running.url).create_cluster(**cluster_input())["cluster"]
        assert made["arn"].split(":")[3:5] == ["eu-west-1", "210987654321"]


def test_signatures_are_verified_when_asked(tmp_path):
    """botocore signs, which shares no code with what verifies."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({KEY: SECRET, "AKIAI44QH8DHBEXAMPLE": "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"}))
    wrong = {"secret": "another"}
    unknown = {"key": "AKIANOBODYKNOWSEXAMP"}
    with started() as running:
        assert [code(client(running.url, **who).list_clusters) for who in ({}, wrong, unknown)] == [None] * 3
    with started("--verify-signatures", str(keys)) as running:
        found = [code(client(running.url, **who).list_clusters) for who in ({}, wrong, unknown)]
        assert found == [None, "InvalidSignatureException", "UnrecognizedClientException"]
        assert code(boto_unsigned(running.url).list_clusters) == "MissingAuthenticationToken"
        # Characters beyond ASCII, which only a hash of the very bytes gets right.
        made = client(running.url, region="eu-west-1").create_cluster(**cluster_input(tags={"é": "ü"}))
        assert made["cluster"]["arn"].split(":")[3] == "eu-west-1"
    keys.write_text("[]")
    assert "keys.json" in refused_start("--verify-signatures", str(keys))


def test_accounts_of_access_keys():
    with started() as running:
        assert account_of(running, KEY) == "123456789012"
        assert account_of(running, "210987654321") == "210987654321"
    with started("--account-id", "999999999999", "--account", f"{KEY}=210987654321") as running:
        assert account_of(running, KEY) == "210987654321"
        assert account_of(running, "AKIAI44QH8DHBEXAMPLE") == "999999999999"


def account_of(running, key):
    pcs = client(running.url, key=key)
    return pcs.create_cluster(**cluster_input())["cluster"]["arn"].split(":")[4]


def test_transitions_take_their_time():
    with started() as running:
        pcs = client(running.url)
        pcs.create_cluster(**cluster_input())
        assert pcs.get_cluster(clusterIdentifier="demo")["cluster"]["status"] == "CREATING"
    with started("--transition-seconds", "0.2") as running:
        pcs = client(running.url)
        pcs.create_cluster(**cluster_input())
        time.sleep(0.3)
        assert pcs.get_cluster(clusterIdentifier="demo")["cluster"]["status"] == "ACTIVE"


def test_state_is_kept_only_where_told(tmp_path):
    for flags, kept in ((("--data-dir", str(tmp_path / "state")), ["demo"]), ((), [])):
        with started(*flags) as running:
            client(running.url).create_cluster(**cluster_input())
        with started(*flags) as running:
            assert [c["name"] for c in client(running.url).list_clusters()["clusters"]] == kept


def test_answers_are_recorded_where_told(tmp_path):
    record = tmp_path / "calls.jsonl"
    with started("--record", str(record)) as running:
        client(running.url).list_clusters()
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(call["action"], call["status"], call["output"]) for call in calls] == [
        ("ListClusters", 200, {"clusters": []})]
    assert "record" in refused_start("--record", str(tmp_path))


def refused_start(*flags):
    TRIED.update(flag for flag in flags if flag.startswith("--"))
    done = subprocess.run([*program(), "--port", "0", *flags], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 2 and done.stdout == "", done
    return done.stderr


@pytest.mark.parametrize("flags", [
    ("--http-statuses", "teapot"), ("--port", "x"), ("--nonsense",), ("--account-id", "1"), ("--account", KEY),
    ("--host", "300.0.0.1"), ("--allow-host", "http://x"), ("--transition-seconds", "-1"), ("stray",)])
def test_what_is_no_setting_stops_the_start(flags):
    assert refused_start(*flags).startswith("pcs-emulator: ")


def test_a_region_that_is_not_enabled_knows_no_credentials():
    TRIED.add("--regions-not-enabled")
    with emulator("--regions-not-enabled", "af-south-1,eu-south-1") as running:
        assert client(running.url).list_clusters()["clusters"] == []
        for region in ("af-south-1", "eu-south-1"):
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                client(running.url, region=region).list_clusters()
            assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_the_address_is_as_told():
    TRIED.update(("--host", "--port"))
    with emulator("--host", "127.0.0.2") as running:
        assert running.url.startswith("http://127.0.0.2:")
        assert client(running.url).list_clusters()["clusters"] == []


def test_every_flag_is_tried():
    """Last: a new flag needs a test here."""
    done = subprocess.run([*program(), "--help"], capture_output=True, text=True, timeout=600, check=True)
    assert set(re.findall(r"--[a-z][a-z-]+", done.stdout)) - {"--help"} == TRIED - {"--nonsense"}
