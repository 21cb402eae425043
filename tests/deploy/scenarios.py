"""Parameter sets that the template is expanded for: each documented parameter at both ends, and all at once.

Values are as long as CloudFormation lets them be where a quota could depend on them.
"""

BOUNDARY = "arn:aws:iam::123456789012:policy/hpc/NodeBoundary"
LONG_BOUNDARY = "arn:aws:iam::123456789012:policy/" + "boundaries/" * 34 + "N" * 128
OWN_ROLE = "arn:aws:iam::123456789012:role/platform/PcsApiFunction"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f"
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f"
SIGNING_KEY = "arn:aws:kms:us-east-1:123456789012:key/7a8b9c0d-1e2f-4c5d-9e6f-0f8d2c1b3a4e"
WEB_ACL = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/pcs-api/0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f"
TOPIC = "arn:aws:sns:us-east-1:123456789012:operations"


def patterns_of(length):
    """As many patterns as fit into `length` characters."""
    pattern = "arn:aws:iam::123456789012:policy/hpc/project-{:03}-*"
    patterns = []
    while len(",".join([*patterns, pattern.format(len(patterns))])) <= length:
        patterns.append(pattern.format(len(patterns)))
    return ",".join(patterns)


SCENARIOS = {
    "default": {},
    "one-region": {"Region": "us-east-1"},
    "own-function-role": {"ParallelClusterFunctionRole": OWN_ROLE},
    "function-policy": {"ParallelClusterFunctionAdditionalPolicies": "arn:aws:iam::123456789012:policy/More"},
    "custom-domain": {"CustomDomainName": "pcs.example.com", "CustomDomainCertificate": CERTIFICATE},
    "custom-domain-hosted-zone": {
        "CustomDomainName": "pcs.example.com", "CustomDomainCertificate": CERTIFICATE,
        "CustomDomainHostedZoneId": "Z0123456789ABCDEFGHIJ",
    },
    "private": {"VpcEndpointId": "vpce-0123456789abcdef0"},
    "iam-admin": {"EnableIamAdminAccess": "true"},
    "iam-admin-boundary": {"EnableIamAdminAccess": "true", "PermissionsBoundaryPolicy": BOUNDARY},
    "boundary-only": {"PermissionsBoundaryPolicy": BOUNDARY},
    "iam-admin-own-role": {"EnableIamAdminAccess": "true", "ParallelClusterFunctionRole": OWN_ROLE},
    "no-user-role": {"CreateApiUserRole": "false"},
    "private-no-user-role": {"CreateApiUserRole": "false", "VpcEndpointId": "vpce-0123456789abcdef0"},
    "prefix": {"IAMRoleAndPolicyPrefix": "team-blue-"},
    "strict": {"AdditionalIamPoliciesPreset": "strict", "EnableIamAdminAccess": "true"},
    "more-policies": {
        "AdditionalIamPolicies": "arn:aws:iam::123456789012:policy/hpc/*,arn:aws:iam::aws:policy/AmazonFSxReadOnlyAccess",
        "EnableIamAdminAccess": "true",
    },
    "encrypted": {"KmsKeyArn": KMS_KEY},
    "own-signing-key": {"AuditSigningKey": SIGNING_KEY},
    "not-signed": {"AuditSigningKey": ""},
    "instance-registration": {"EnableInstanceRegistration": "true"},
    "guarded": {
        "WebAclArn": WEB_ACL, "AlarmTopicArn": TOPIC, "ApiRolesPermissionsBoundaryPolicy": BOUNDARY,
        "CreateApiGatewayLogsRole": "false", "LifecycleScripts": "CHECKSUM", "Architecture": "x86_64",
        "LogLevel": "WARN", "LogRetentionDays": "365", "AuditRetentionDays": "3653",
        "ThrottlingRateLimit": "20.5", "ThrottlingBurstLimit": "5",
    },
    "everything": {
        "Region": "ap-southeast-2", "ParallelClusterFunctionAdditionalPolicies": LONG_BOUNDARY,
        "CustomDomainName": "pcs.example.com", "CustomDomainCertificate": CERTIFICATE,
        "CustomDomainHostedZoneId": "Z0123456789ABCDEFGHIJ", "EnableIamAdminAccess": "true",
        "PermissionsBoundaryPolicy": LONG_BOUNDARY, "IAMRoleAndPolicyPrefix": "team-blue-",
        "AdditionalIamPolicies": patterns_of(1500), "EnableInstanceRegistration": "true",
        "ApiRolesPermissionsBoundaryPolicy": LONG_BOUNDARY, "KmsKeyArn": KMS_KEY, "WebAclArn": WEB_ACL,
        "AuditSigningKey": SIGNING_KEY, "AlarmTopicArn": TOPIC, "LifecycleScripts": "CHECKSUM_OUTSIDE_S3",
    },
}

# The same in another partition; ARNs in parameters would be of that partition too, so there are none.
PARTITIONS = {
    "govcloud": ({"EnableIamAdminAccess": "true", "Region": "us-gov-west-1"},
                 {"partition": "aws-us-gov", "region": "us-gov-west-1"}),
}

# What CloudFormation refuses, and the beginning of the sentence with which it does.
CONTRADICTIONS = [
    ({"CustomDomainCertificate": CERTIFICATE}, ["CustomDomainCertificate is given without CustomDomainName."]),
    ({"CustomDomainName": "pcs.example.com"}, ["CustomDomainName is given without CustomDomainCertificate."]),
    ({"CustomDomainHostedZoneId": "Z0123456789ABCDEFGHIJ"},
     ["CustomDomainHostedZoneId is given without CustomDomainName."]),
    ({"CustomDomainHostedZoneId": "Z0123456789ABCDEFGHIJ", "CustomDomainCertificate": CERTIFICATE},
     ["CustomDomainCertificate is given without CustomDomainName.",
      "CustomDomainHostedZoneId is given without CustomDomainName."]),
    ({"CustomDomainName": "pcs.example.com", "CustomDomainHostedZoneId": "Z0123456789ABCDEFGHIJ"},
     ["CustomDomainName is given without CustomDomainCertificate."]),
    ({"CustomDomainName": "pcs.example.com", "CustomDomainCertificate": CERTIFICATE,
      "VpcEndpointId": "vpce-0123456789abcdef0"}, ["VpcEndpointId and CustomDomainName are both given."]),
    ({"ParallelClusterFunctionRole": OWN_ROLE,
      "ParallelClusterFunctionAdditionalPolicies": "arn:aws:iam::123456789012:policy/More"},
     ["ParallelClusterFunctionAdditionalPolicies is for the role that this stack creates."]),
]
