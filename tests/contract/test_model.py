"""The contract against the PCS service model that AWS publishes with botocore.

The model is the only independent statement of what PCS accepts and returns. model_comparison.py walks both; here it is
run, and shown to notice what it should.
"""

import copy
import pathlib

import botocore.loaders
import pytest
import yaml

from differences import DELIBERATE
from model_comparison import PROBES, patterned, stale, unexplained

CONTRACT = pathlib.Path(__file__).parents[2] / "openapi" / "pcs-api.yaml"


@pytest.fixture(scope="module")
def model():
    return botocore.loaders.Loader().load_service_model("pcs", "service-2")


@pytest.fixture(scope="module")
def contract():
    return yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))


def test_contract_equals_model(model, contract):
    lines = unexplained(model, contract)
    print("\n".join(lines))
    assert not lines, f"{len(lines)} differences between contract and model, listed above"


def test_deliberate_differences_are_real(model, contract):
    outdated = stale(model, contract)
    assert not outdated, f"differences.py explains differences that do not exist: {outdated}"


def test_deliberate_differences_have_reasons():
    assert all(reason.strip() for reason in DELIBERATE.values())


def test_probes_belong_to_patterns(model):
    assert set(PROBES) == patterned(model)


def schema_of(contract, name):
    return contract["components"]["schemas"][name]


def drop(node, *keys):
    for key in keys[:-1]:
        node = node[key]
    del node[keys[-1]]


# Each row: how to spoil the contract, and the line that must report it.
SPOILED_CONTRACTS = {
    "operation dropped": (
        lambda c: drop(c, "paths", "/v1/clusters", "post"),
        "CreateCluster: operation is in the model only",
    ),
    "operation renamed": (
        lambda c: c["paths"]["/v1/clusters"]["post"].update(operationId="MakeCluster"),
        "MakeCluster: operation is in the contract only",
    ),
    "mutation called a read": (
        lambda c: c["paths"]["/v1/clusters"]["post"].update({"x-pcs-mutation": False}),
        "CreateCluster: x-pcs-mutation contradicts the readonly trait of the model",
    ),
    "body member dropped": (
        lambda c: drop(schema_of(c, "CreateComputeNodeGroupRequest"), "properties", "sshKeyName"),
        "CreateComputeNodeGroupRequest.sshKeyName: missing; the model has string 1..255 (KeyPairName), optional",
    ),
    "nested member dropped": (
        lambda c: drop(schema_of(c, "NodeLifecycleScript"), "properties", "onError"),
        "NodeLifecycleScript.onError: missing; the model has string of TERMINATE, STOP_SEQUENCE, CONTINUE (OnError), "
        "optional",
    ),
    "output member dropped": (
        lambda c: drop(schema_of(c, "Cluster"), "properties", "errorInfo"),
        "Cluster.errorInfo: missing; the model has list of ErrorInfo (ErrorInfoList), optional",
    ),
    "member added": (
        lambda c: schema_of(c, "SpotOptions")["properties"].update(maxPrice={"type": "string"}),
        "SpotOptions: member maxPrice is in the contract only",
    ),
    "query parameter dropped": (
        lambda c: c["paths"]["/v1/clusters"]["get"]["parameters"].pop(0),
        "ListClustersRequest.nextToken: missing; the model has string, optional",
    ),
    "parameter no longer required": (
        lambda c: c["components"]["parameters"]["ResourceArnQuery"].update(required=False),
        "TagResource: input: member resourceArn is required in the model, optional in the contract",
    ),
    "member required": (
        lambda c: schema_of(c, "CreateComputeNodeGroupRequest")["required"].append("customLaunchTemplate"),
        "CreateComputeNodeGroup: input: member customLaunchTemplate is optional in the model, required in the contract",
    ),
    "nested member no longer required": (
        lambda c: schema_of(c, "ScalingConfigurationRequest")["required"].remove("maxInstanceCount"),
        "ScalingConfigurationRequest: member maxInstanceCount is required in the model, optional in the contract",
    ),
    "type changed": (
        lambda c: schema_of(c, "Endpoint")["properties"]["port"].update(type="integer"),
        "Endpoint.port: type is 'string' by the model, 'integer' in the contract",
    ),
    "time stamp without format": (
        lambda c: drop(schema_of(c, "Queue"), "properties", "createdAt", "format"),
        "Queue.createdAt: format is 'date-time' by the model, None in the contract",
    ),
    "enum value dropped": (
        lambda c: schema_of(c, "PurchaseOption")["enum"].remove("CAPACITY_BLOCK"),
        "PurchaseOption: enum value CAPACITY_BLOCK is in the model only",
    ),
    "string longer": (
        lambda c: schema_of(c, "ClusterName").update(maxLength=41),
        "ClusterName: maxLength is 40 by the model, 41 in the contract",
    ),
    "string length unbounded": (
        lambda c: drop(schema_of(c, "SBClientToken"), "minLength"),
        "SBClientToken: minLength is 8 by the model, None in the contract",
    ),
    "integer range": (
        lambda c: schema_of(c, "MaxResults").update(maximum=1000),
        "MaxResults: maximum is 100 by the model, 1000 in the contract",
    ),
    "lower bound": (
        lambda c: schema_of(c, "AccountingRequestDefaultPurgeTimeInDaysInteger").update(minimum=0),
        "AccountingRequestDefaultPurgeTimeInDaysInteger: minimum is -1 by the model, 0 in the contract",
    ),
    "bound of our own": (
        lambda c: schema_of(c, "SecurityGroupIdList").update(maxItems=5),
        "SecurityGroupIdList: maxItems is None by the model, 5 in the contract",
    ),
    "item bound": (
        lambda c: drop(schema_of(c, "TagKeys"), "maxItems"),
        "TagKeys: maxItems is 200 by the model, None in the contract",
    ),
    "map bound": (
        lambda c: schema_of(c, "RequestTagMap").update(minProperties=0),
        "RequestTagMap: minProperties is 1 by the model, 0 in the contract",
    ),
    "map key bound": (
        lambda c: schema_of(c, "RequestTagMap")["x-pcs-map-key"].update(maxLength=127),
        "RequestTagMap: x-pcs-map-key is ",
    ),
    "map value": (
        lambda c: schema_of(c, "RequestTagMap").update(additionalProperties={"type": "string"}),
        "RequestTagMap{}: schema is TagValue by the model, inline in the contract",
    ),
    "map turned structure": (
        lambda c: schema_of(c, "GresCustomSettingMap").update(additionalProperties=False),
        "GresCustomSettingMap: is a map by the model, not in the contract",
    ),
    "pattern dropped": (
        lambda c: drop(schema_of(c, "SubnetId"), "pattern"),
        "SubnetId: pattern is ",
    ),
    "pattern without its end": (
        lambda c: schema_of(c, "SubnetId").update(pattern=r"^subnet-\w{8,17}"),
        r"SubnetId: pattern: 'subnet-0123456789abcdef0\n' is refused by the model, accepted by the contract",
    ),
    "pattern anchored on one branch only": (
        lambda c: schema_of(c, "ClusterIdentifier").update(pattern="^pcs_[a-zA-Z0-9]+|[A-Za-z][A-Za-z0-9-]{2,40}$"),
        "ClusterIdentifier: pattern: 'pcs_a-b' is refused by the model, accepted by the contract",
    ),
    "pattern class widened": (
        lambda c: schema_of(c, "QueueName").update(pattern="^(?!pcs_)[A-Za-z][A-Za-z0-9_-]+$"),
        "QueueName: pattern: 'my_queue' is refused by the model, accepted by the contract",
    ),
    "pattern tightened": (
        lambda c: schema_of(c, "ScriptSourceChecksumString").update(pattern="^[a-f0-9]{64}$"),
        "ScriptSourceChecksumString: pattern: 'A9",
    ),
    "secret not marked": (
        lambda c: drop(schema_of(c, "SharedSecret"), "x-pcs-sensitive"),
        "SharedSecret: x-pcs-sensitive is True by the model, None in the contract",
    ),
    "quota status not documented": (
        lambda c: drop(c, "paths", "/v1/clusters", "post", "responses", "402"),
        "CreateCluster: ServiceQuotaExceededException is modelled, status 402 is not documented",
    ),
    "wrong schema referenced": (
        lambda c: schema_of(c, "CreateClusterRequest")["properties"].update(
            networking={"$ref": "#/components/schemas/Networking"}
        ),
        "CreateClusterRequest.networking: schema is NetworkingRequest by the model, Networking in the contract",
    ),
    "response without content": (
        lambda c: drop(c, "paths", "/v1/clusters", "get", "responses", "200", "content"),
        "ListClusters: output: ListClustersResponse has members in the model, no content in the contract",
    ),
}


@pytest.mark.parametrize("name", SPOILED_CONTRACTS)
def test_comparison_notices_a_spoiled_contract(name, model, contract):
    spoil, expected = SPOILED_CONTRACTS[name]
    spoiled = copy.deepcopy(contract)
    spoil(spoiled)
    lines = unexplained(model, spoiled)
    assert any(line.startswith(expected) for line in lines), lines


# Each row: what a later version of PCS may bring, and the line that must report it.
LATER_MODELS = {
    "operation": (
        lambda m: m["operations"].update(RebootCluster=m["operations"]["UpdateCluster"]),
        "RebootCluster: operation is in the model only",
    ),
    "output member": (
        lambda m: m["shapes"]["Queue"]["members"].update(priority={"shape": "Integer"}),
        "Queue.priority: missing; the model has integer, optional",
    ),
    "input member": (
        lambda m: m["shapes"]["CreateQueueRequest"]["members"].update(priority={"shape": "Integer"}),
        "CreateQueueRequest.priority: missing; the model has integer, optional",
    ),
    "status": (
        lambda m: m["shapes"]["QueueStatus"]["enum"].append("DRAINING"),
        "QueueStatus: enum value DRAINING is in the model only",
    ),
    "a kind of shape that nothing here had": (
        lambda m: m["shapes"]["TagValue"].update(type="boolean"),
        "TagValue: is a boolean by the model, which model_comparison.py cannot compare yet",
    ),
    "pattern on a new shape": (
        lambda m: m["shapes"]["TagKey"].update(pattern="[a-z]+"),
        "TagKey: pattern is '^[a-z]+$' by the model, None in the contract",
    ),
    "member of an empty answer": (
        lambda m: m["shapes"]["TagResourceResponse"]["members"].update(tags={"shape": "ResponseTagMap"}),
        "TagResource: output: TagResourceResponse has members in the model, no content in the contract",
    ),
    "error": (
        lambda m: m["operations"]["UpdateCluster"]["errors"].append({"shape": "ServiceQuotaExceededException"}),
        "UpdateCluster: ServiceQuotaExceededException is modelled, status 402 is not documented",
    ),
}


@pytest.mark.parametrize("name", LATER_MODELS)
def test_comparison_notices_a_later_model(name, model, contract):
    change, expected = LATER_MODELS[name]
    later = copy.deepcopy(model)
    change(later)
    lines = unexplained(later, contract)
    assert any(line.startswith(expected) for line in lines), lines
