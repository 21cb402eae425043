"""Where the contract differs from the PCS service model on purpose.

Keys are lines exactly as `model_comparison.compare` returns them, values say why the difference is wanted. A line that no
longer describes a real difference fails the test as well, so this list cannot outlive its reasons.
"""

OPERATIONS = (
    "CreateCluster",
    "CreateComputeNodeGroup",
    "CreateQueue",
    "DeleteCluster",
    "DeleteComputeNodeGroup",
    "DeleteQueue",
    "GetCluster",
    "GetComputeNodeGroup",
    "GetQueue",
    "ListClusters",
    "ListComputeNodeGroups",
    "ListQueues",
    "ListTagsForResource",
    "RegisterComputeNodeGroupInstance",
    "TagResource",
    "UntagResource",
    "UpdateCluster",
    "UpdateComputeNodeGroup",
    "UpdateQueue",
)

MUTATIONS = tuple(name for name in OPERATIONS if not name.startswith(("Get", "List")))

DELIBERATE = {
    # PCS is reached at a regional endpoint, so its requests carry no Region; this API serves several Regions from one.
    **{
        f"{name}: input: member region is in the contract only": "chooses the PCS endpoint"
        for name in OPERATIONS
    },
    # PCS has no dry run. This API validates, decides and records, and stops before the call.
    **{
        f"{name}: input: member dryrun is in the contract only": "asks for a decision without the call"
        for name in MUTATIONS
    },
    # The gateway makes the instance profile itself when a request asks for it; PCS is then sent the profile's ARN.
    **{
        f"{name}: input: member iam is in the contract only": "has the role and its instance profile made"
        for name in ("CreateComputeNodeGroup", "UpdateComputeNodeGroup")
    },
    "CreateComputeNodeGroup: input: member iamInstanceProfileArn is required in the model, "
    "optional in the contract": "`iam` can stand in its place; the gateway asks for exactly one of them",
    # What the gateway answers by itself.
    "GetGuardrails: operation is in the contract only": "shows the guardrails in force",
    "ListAuditEvents: operation is in the contract only": "finds recorded calls",
    "GetAuditEvent: operation is in the contract only": "shows all that was recorded of one call",
    # ResourceNotFoundException of PCS becomes 404 on every operation that names a cluster, modelled or not.
    "RegisterComputeNodeGroupInstance: status 404 is documented, "
    "ResourceNotFoundException is not modelled": "the operation names a cluster",
}
