"""Every modelled error of every PCS operation, raised by boto3 as its own exception with its members.

An error comes from what the emulator is, wherever a caller can bring it about, and from an ordered fault where none can
(throttling, AWS's own failures, conflicts of a read). The run writes docs/emulator-coverage.md: which test produced
which outcome of which operation. The list of outcomes is botocore's, so a new operation or error leaves a hole that
fails this file. Run it whole:

    PCS_EMULATOR_BIN=target/debug/pcs-emulator pytest tests/contract/test_emulator_errors.py
"""

import inspect

import boto3
import botocore
import botocore.exceptions
import pytest

from pcs_life import (PROFILE, ROOT, UNSEEN_PROFILE, UNSEEN_PROFILES, client, cluster_input, conforms, emulator,
                      group_input)

TABLE = ROOT / "docs" / "emulator-coverage.md"
SERVICE = boto3.client("pcs", region_name="us-east-1").meta.service_model
OPERATIONS = sorted(SERVICE.operation_names)
MODELLED = {name: sorted(shape.name for shape in SERVICE.operation_model(name).error_shapes) for name in OPERATIONS}
ERRORS = sorted({error for errors in MODELLED.values() for error in errors})

VALIDATION, CONFLICT, QUOTA = "ValidationException", "ConflictException", "ServiceQuotaExceededException"
ABSENT, DENIED = "ResourceNotFoundException", "AccessDeniedException"

HEADING = """\
# What of PCS the emulator is shown to answer

Written by `tests/contract/test_emulator_errors.py`, which fails when it is out of date. Rows and columns are the
operations and errors of botocore's model. A cell names the test that had boto3 meet that outcome, as
`test_success[<operation>]` or `<test>[<operation>-<error>]`. *Behaviour* is what the emulator does by itself, *fault*
an error ordered on its control plane. A dash is an error that PCS does not model there.
"""

TEXT_HEADING = """\
## What the API model says in text only

PCS's shapes allow it, the text beside them does not. Each is refused with `ValidationException` and its field, in
`test_refused_by_text[<refused>-<operation>]`, by CreateComputeNodeGroup and UpdateComputeNodeGroup.
"""

UNSEEN_HEADING = """\
## What is said of an instance profile that PCS does not see yet

AWS documents the first. The others are EC2's and Auto Scaling's, whom PCS asks, by `test_refused_unseen_profile`; with
`fails-later` the call is taken and the group ends in `CREATE_FAILED`
(`test_a_profile_that_is_not_seen_may_fail_later`).
"""

# Operation and outcome -> the test that produced it, filled by the tests.
PRODUCED = {}
# Refused by text and operation -> the field that the answer named, filled by the tests.
PRODUCED_BY_TEXT = {}
# Switch -> error and message, filled by the tests.
PRODUCED_UNSEEN = {}


def produced(operation, outcome):
    PRODUCED[operation, outcome] = inspect.stack()[1].function


@pytest.fixture(scope="module")
def running():
    with emulator("--transition-seconds", "3600") as started:
        yield started


@pytest.fixture
def world(running):
    running.control("reset", {})
    return World(running)


class World:
    """An ACTIVE cluster `demo` with a group `nodes` and a queue `work` of it."""

    def __init__(self, running):
        self.running, self.pcs = running, client(running.url)
        cluster = self.pcs.create_cluster(**cluster_input())["cluster"]
        self.cluster, self.arn = cluster["id"], cluster["arn"]
        running.settle()
        self.group = self.pcs.create_compute_node_group(**group_input("demo"))["computeNodeGroup"]["id"]
        running.settle()
        groups = [{"computeNodeGroupId": self.group}]
        self.queue = self.pcs.create_queue(clusterIdentifier="demo", queueName="work",
                                           computeNodeGroupConfigurations=groups)["queue"]["id"]
        running.settle()

    def call(self, operation, parameters):
        return getattr(self.pcs, botocore.xform_name(operation))(**parameters)

    def in_cluster(self, **more):
        return {"clusterIdentifier": "demo", **more}

    def in_group(self, **more):
        return self.in_cluster(computeNodeGroupIdentifier="nodes", **more)

    def in_queue(self, **more):
        return self.in_cluster(queueIdentifier="work", **more)

    def spare_group(self):
        """A second group, in no queue."""
        self.pcs.create_compute_node_group(**group_input("demo", "spare"))
        self.running.settle()
        return self.in_cluster(computeNodeGroupIdentifier="spare")


def instances(most):
    return {"scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": most}}


def setting(name):
    return {"slurmConfiguration": {"slurmCustomSettings": [{"parameterName": name, "parameterValue": "1"}]}}


def twice(operation, parameters):
    """The parameters of a call that has been made once already and is under way."""
    def made(world):
        given = parameters(world)
        world.call(operation, given)
        return given
    return made


def second_creating(world):
    world.call("CreateCluster", cluster_input("second"))
    return cluster_input("third")


def full_of_queues(world):
    for number in range(9):
        world.call("CreateQueue", world.in_cluster(queueName=f"queue{number}"))
    return world.in_cluster(queueName="more")


def full_of_tags(world):
    world.call("TagResource", {"resourceArn": world.arn, "tags": {f"key{n}": "" for n in range(200)}})
    return {"resourceArn": world.arn, "tags": {"more": ""}}


FOREIGN_PROFILE = PROFILE.replace("123456789012", "999999999999")
NO_ARN = "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_nosuch0000"
NOT_ISSUED = "pcs_donotexist"

# Operation -> parameters with which it succeeds.
SUCCESS = {
    "CreateCluster": lambda w: cluster_input("other", tags={"team": "hpc"}),
    "GetCluster": World.in_cluster,
    "ListClusters": lambda w: {},
    "UpdateCluster": lambda w: w.in_cluster(scheduler={"version": "26.05"}),
    "DeleteCluster": lambda w: (w.call("CreateCluster", cluster_input("other")), w.running.settle(),
                                {"clusterIdentifier": "other"})[-1],
    "CreateComputeNodeGroup": lambda w: group_input("demo", "more"),
    "GetComputeNodeGroup": World.in_group,
    "ListComputeNodeGroups": World.in_cluster,
    "UpdateComputeNodeGroup": lambda w: w.in_group(**instances(5)),
    "DeleteComputeNodeGroup": World.spare_group,
    "CreateQueue": lambda w: w.in_cluster(queueName="more"),
    "GetQueue": World.in_queue,
    "ListQueues": World.in_cluster,
    "UpdateQueue": lambda w: w.in_queue(computeNodeGroupConfigurations=[]),
    "DeleteQueue": World.in_queue,
    "ListTagsForResource": lambda w: {"resourceArn": w.arn},
    "TagResource": lambda w: {"resourceArn": w.arn, "tags": {"a": "b"}},
    "UntagResource": lambda w: {"resourceArn": w.arn, "tagKeys": ["a"]},
    "RegisterComputeNodeGroupInstance": lambda w: w.in_cluster(bootstrapId="i-1"),
}

# Operation -> error -> parameters that bring it about.
BEHAVIOUR = {
    "CreateCluster": {
        VALIDATION: lambda w: cluster_input("not a name"),
        CONFLICT: lambda w: cluster_input("demo"),
        QUOTA: second_creating,
    },
    "GetCluster": {
        VALIDATION: lambda w: {"clusterIdentifier": "-"},
        ABSENT: lambda w: {"clusterIdentifier": "nobody"},
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED},
    },
    "ListClusters": {VALIDATION: lambda w: {"maxResults": 101}},
    "UpdateCluster": {
        VALIDATION: lambda w: w.in_cluster(scheduler={"version": "24.11"}),
        CONFLICT: twice("UpdateCluster", lambda w: w.in_cluster(slurmConfiguration={
            "scaleDownIdleTimeInSeconds": 60})),
        ABSENT: lambda w: {"clusterIdentifier": "nobody"},
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED},
    },
    "DeleteCluster": {
        VALIDATION: lambda w: {"clusterIdentifier": "-"},
        CONFLICT: World.in_cluster,
        ABSENT: lambda w: {"clusterIdentifier": "nobody"},
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED},
    },
    "CreateComputeNodeGroup": {
        VALIDATION: lambda w: group_input("demo", "more", purchaseOption="BARTER"),
        CONFLICT: lambda w: group_input("demo", "nodes"),
        QUOTA: lambda w: group_input("demo", "more", **instances(31)),
        ABSENT: lambda w: group_input("nobody"),
        DENIED: lambda w: group_input("demo", "more", iamInstanceProfileArn=FOREIGN_PROFILE),
    },
    "GetComputeNodeGroup": {
        VALIDATION: lambda w: w.in_cluster(computeNodeGroupIdentifier="-"),
        ABSENT: lambda w: w.in_cluster(computeNodeGroupIdentifier="nobody"),
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED, "computeNodeGroupIdentifier": "nodes"},
    },
    "ListComputeNodeGroups": {
        VALIDATION: lambda w: w.in_cluster(maxResults=101),
        ABSENT: lambda w: {"clusterIdentifier": "nobody"},
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED},
    },
    "UpdateComputeNodeGroup": {
        VALIDATION: lambda w: w.in_group(**setting("Nonsense")),
        CONFLICT: twice("UpdateComputeNodeGroup", lambda w: w.in_group(**instances(5))),
        QUOTA: lambda w: w.in_group(**instances(33)),
        ABSENT: lambda w: w.in_cluster(computeNodeGroupIdentifier="nobody"),
        DENIED: lambda w: w.in_group(iamInstanceProfileArn=FOREIGN_PROFILE),
    },
    "DeleteComputeNodeGroup": {
        VALIDATION: lambda w: w.in_cluster(computeNodeGroupIdentifier="-"),
        CONFLICT: World.in_group,
        ABSENT: lambda w: w.in_cluster(computeNodeGroupIdentifier="nobody"),
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED, "computeNodeGroupIdentifier": "nodes"},
    },
    "CreateQueue": {
        VALIDATION: lambda w: w.in_cluster(queueName="more", **setting("Nonsense")),
        CONFLICT: lambda w: w.in_cluster(queueName="work"),
        QUOTA: full_of_queues,
        ABSENT: lambda w: {"clusterIdentifier": "nobody", "queueName": "more"},
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED, "queueName": "more"},
    },
    "GetQueue": {
        VALIDATION: lambda w: w.in_cluster(queueIdentifier="-"),
        ABSENT: lambda w: w.in_cluster(queueIdentifier="nobody"),
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED, "queueIdentifier": "work"},
    },
    "ListQueues": {
        VALIDATION: lambda w: w.in_cluster(maxResults=101),
        ABSENT: lambda w: {"clusterIdentifier": "nobody"},
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED},
    },
    "UpdateQueue": {
        VALIDATION: lambda w: w.in_queue(**setting("Nonsense")),
        CONFLICT: twice("UpdateQueue", World.in_queue),
        ABSENT: lambda w: w.in_cluster(queueIdentifier="nobody"),
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED, "queueIdentifier": "work"},
    },
    "DeleteQueue": {
        VALIDATION: lambda w: w.in_cluster(queueIdentifier="-"),
        CONFLICT: twice("DeleteQueue", World.in_queue),
        ABSENT: lambda w: w.in_cluster(queueIdentifier="nobody"),
        DENIED: lambda w: {"clusterIdentifier": NOT_ISSUED, "queueIdentifier": "work"},
    },
    "ListTagsForResource": {ABSENT: lambda w: {"resourceArn": NO_ARN}},
    "TagResource": {ABSENT: lambda w: {"resourceArn": NO_ARN, "tags": {"a": "b"}}, QUOTA: full_of_tags},
    "UntagResource": {ABSENT: lambda w: {"resourceArn": NO_ARN, "tagKeys": ["a"]}},
    "RegisterComputeNodeGroupInstance": {DENIED: lambda w: {"clusterIdentifier": "nobody", "bootstrapId": "i-1"}},
}

HEALTH, ON_START = "instanceHealthChecks", "instanceHealthChecks.deepHealthChecks.onStart"
MONITORING = {"healthMonitoring": {"mode": "STANDARD"}}
GPU, NO_GPU = "p5.48xlarge", "c6i.xlarge"


def on_start(**members):
    return {"deepHealthChecks": {"onStart": members}}


# What only text refuses -> the cluster's version, the instance type, instanceHealthChecks, the field.
TEXT = {
    "empty instanceHealthChecks": ("26.05", GPU, {}, HEALTH),
    "empty healthMonitoring": ("26.05", GPU, {"healthMonitoring": {}}, f"{HEALTH}.healthMonitoring"),
    "healthMonitoring without mode": (
        "26.05", GPU, {"healthMonitoring": {"repairAction": "AUTO"}}, f"{HEALTH}.healthMonitoring.mode"),
    "repairAction with mode NONE": (
        "26.05", GPU, {"healthMonitoring": {"mode": "NONE", "repairAction": "REPLACE"}},
        f"{HEALTH}.healthMonitoring.repairAction"),
    "deepHealthChecks without onStart": ("26.05", GPU, {"deepHealthChecks": {}}, f"{HEALTH}.deepHealthChecks"),
    "empty onStart": ("26.05", GPU, on_start(), ON_START),
    "onStart without profile": ("26.05", GPU, on_start(repairAction="ISOLATE"), f"{ON_START}.profile"),
    "repairAction with profile NONE": (
        "26.05", GPU, on_start(profile="NONE", repairAction="AUTO"), f"{ON_START}.repairAction"),
    "instanceHealthChecks before Slurm 26.05": ("25.11", GPU, MONITORING, HEALTH),
    "a profile without NVIDIA GPUs": ("26.05", NO_GPU, on_start(profile="LONG"), f"{ON_START}.profile"),
}
WITH_HEALTH = ("CreateComputeNodeGroup", "UpdateComputeNodeGroup")


def cells(chosen):
    """(operation, error) for every modelled error that behaviour does or does not bring about."""
    return [pytest.param(operation, error, id=f"{operation}-{error}") for operation in OPERATIONS
            for error in MODELLED[operation] if (error in BEHAVIOUR[operation]) == chosen]


def raised(world, operation, error, parameters):
    """Calls, and checks the exception: its class, its members and nothing beside them."""
    with pytest.raises(getattr(world.pcs.exceptions, error)) as caught:
        world.call(operation, parameters)
    answer = caught.value.response
    assert caught.value.operation_name == operation
    assert answer["Error"]["Code"] == error and answer["Error"]["Message"] == answer["message"]
    shape = SERVICE.shape_for(error)
    members = {name: answer[name] for name in shape.members if name in answer}
    conforms(shape, members)
    beside = set(answer) - set(shape.members) - {"Error", "ResponseMetadata"}
    assert not beside, f"{beside} are not members of {error}"
    return members


def check_members(world, error, members, parameters):
    """The values of the members, as far as AWS says what they mean."""
    if error in (CONFLICT, ABSENT):
        known = {world.cluster, world.group, world.queue, *map(str, parameters.values())}
        assert members["resourceId"] in known | {""}
        assert members["resourceType"] in {"cluster", "computenodegroup", "queue"}
    elif error == QUOTA:
        assert members["serviceCode"] == "pcs"
    elif error == "ThrottlingException":
        assert members["retryAfterSeconds"] >= 0


@pytest.mark.parametrize("operation", OPERATIONS)
def test_success(world, operation):
    world.call(operation, SUCCESS[operation](world))
    produced(operation, "success")


@pytest.mark.parametrize(("operation", "error"), cells(True))
def test_refused_by_behaviour(world, operation, error):
    parameters = BEHAVIOUR[operation][error](world)
    members = raised(world, operation, error, parameters)
    check_members(world, error, members, parameters)
    if error == VALIDATION:
        assert members["reason"] == "fieldValidationFailed"
        assert members["fieldList"] and all(field["name"] and field["message"] for field in members["fieldList"])
    if error in (CONFLICT, ABSENT):
        assert members["resourceId"], "the resource is named"
    produced(operation, error)


@pytest.mark.parametrize(("operation", "error"), cells(False))
def test_refused_by_fault(world, operation, error):
    parameters = SUCCESS[operation](world)
    effect = "throttle"
    if error != "ThrottlingException":
        status = 500 if error == "InternalServerException" else 400
        effect = {"error": {"status": status, "code": error, "message": "ordered"}}
    world.running.control("fault", {"action": operation, "effect": effect})
    members = raised(world, operation, error, parameters)
    check_members(world, error, members, parameters)
    produced(operation, error)
    # The fault is used up, and what it struck did not happen.
    world.call(operation, parameters)


@pytest.mark.parametrize("operation", WITH_HEALTH)
@pytest.mark.parametrize("refused", TEXT)
def test_refused_by_text(world, operation, refused):
    version, instance_type, checks, field = TEXT[refused]
    if version != "25.11":
        world.call("UpdateCluster", world.in_cluster(scheduler={"version": version}))
        world.running.settle()
    group = group_input("demo", "checked", instanceConfigs=[{"instanceType": instance_type}])
    if operation == "UpdateComputeNodeGroup":
        world.call("CreateComputeNodeGroup", group)
        world.running.settle()
        group = world.in_cluster(computeNodeGroupIdentifier="checked")
    members = raised(world, operation, VALIDATION, {**group, HEALTH: checks})
    assert [entry["name"] for entry in members["fieldList"]] == [field]
    PRODUCED_BY_TEXT[refused, operation] = field
    # Nothing else was wrong with the call.
    world.call(operation, group)


@pytest.mark.parametrize("unseen", UNSEEN_PROFILES)
def test_refused_unseen_profile(unseen):
    error, words = UNSEEN_PROFILES[unseen]
    with emulator("--instance-profile", PROFILE, "--unseen-profiles", unseen) as running:
        pcs = client(running.url)
        pcs.create_cluster(**cluster_input())
        running.settle()
        with pytest.raises(getattr(pcs.exceptions, error)) as caught:
            pcs.create_compute_node_group(**group_input("demo", iamInstanceProfileArn=UNSEEN_PROFILE))
        answer = caught.value.response
        assert answer["message"] == words
        shape = SERVICE.shape_for(error)
        conforms(shape, {name: answer[name] for name in shape.members if name in answer})
    PRODUCED_UNSEEN[unseen] = error, words


def test_the_coverage_table_is_whole_and_current():
    """Last: it shows what the tests above produced. An outdated table is written anew, for the next run to pass."""
    expected = {(operation, outcome) for operation in OPERATIONS for outcome in ["success", *MODELLED[operation]]}
    by_text = {(refused, operation) for refused in TEXT for operation in WITH_HEALTH}
    assert (set(PRODUCED), set(PRODUCED_BY_TEXT)) == (expected, by_text) and set(PRODUCED_UNSEEN) == set(UNSEEN_PROFILES), \
        "run this file as a whole; otherwise an outcome has no test"
    shown = table()
    if not TABLE.exists() or TABLE.read_text() != shown:
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(shown)
        pytest.fail(f"{TABLE.relative_to(ROOT)} was out of date and is written anew; commit it")


def table():
    columns = ["success", *ERRORS]
    lines = [*HEADING.splitlines(), "", f"| operation | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for operation in OPERATIONS:
        row = [PRODUCED.get((operation, column), "–") for column in columns]
        lines.append(f"| {operation} | {' | '.join(row)} |")
    totals = [sum(name == test for name in PRODUCED.values())
              for test in ("test_success", "test_refused_by_behaviour", "test_refused_by_fault")]
    lines += ["", f"{totals[0]} successes, {totals[1]} errors by behaviour, {totals[2]} by fault.", ""]
    lines += [*TEXT_HEADING.splitlines(), "", "| refused | field |", "|---|---|"]
    for refused in TEXT:
        [field] = {PRODUCED_BY_TEXT[refused, operation] for operation in WITH_HEALTH}
        lines.append(f"| {refused} | `{field}` |")
    lines += ["", *UNSEEN_HEADING.splitlines(), "", "| `--unseen-profiles` | error | message |", "|---|---|---|"]
    lines += [f"| `{unseen}` | {error} | {words} |" for unseen, (error, words) in PRODUCED_UNSEEN.items()]
    lines.append("")
    return "\n".join(lines)
