"""Parameter sets that the template is expanded for: each documented parameter at both ends, and all at once.

Values are as long as CloudFormation lets them be where a quota could depend on them.
"""

BOUNDARY = "arn:aws:iam::123456789012:policy/hpc/NodeBoundary"
OWN_ROLE = "arn:aws:iam::123456789012:role/platform/PcsApiFunction"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f"
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f"
SIGNING_KEY = "arn:aws:kms:us-east-1:123456789012:key/7a8b9c0d-1e2f-4c5d-9e6f-0f8d2c1b3a4e"
WEB_ACL = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/pcs-api/0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f"
TOPIC = "arn:aws:sns:us-east-1:123456789012:operations"
# A role, the sessions of an IAM Identity Center permission set, users below a path, a role of another account.
TRUSTED = ",".join([
    "arn:aws:iam::123456789012:role/hpc/Portal",
    "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_Hpc_*",
    "arn:aws:iam::123456789012:user/hpc/*",
    "arn:aws:iam::999999999999:role/Pipeline-?",
])
TRUSTED_ACCOUNTS = "999999999999,888888888888"
ORGANIZATION = "o-a1b2c3d4e5"


def several_of(form, length):
    """As many values as fit into `length` characters, the last one so much longer that they fill them."""
    values = []
    while len(",".join([*values, form.format(len(values))])) <= length:
        values.append(form.format(len(values)))
    return ",".join(values).ljust(length, "x")


def everything(partition="aws", region="us-east-1", scope="ap-southeast-2"):
    """All parameters at once for a stack in `region`, those of free length as long as they can be."""
    here = f"{region}:123456789012"
    # As long as the parameters take it: 512 characters of path and name, 128 of the name.
    policy = f"arn:{partition}:iam::123456789012:policy/" + "boundaries/" * 35 + "N" * 127
    key, signing = (arn.replace("arn:aws:kms:us-east-1:123456789012", f"arn:{partition}:kms:{here}")
                    for arn in (KMS_KEY, SIGNING_KEY))
    return {
        "Region": scope, "ParallelClusterFunctionAdditionalPolicies": policy,
        "CustomDomainName": "pcs.example.com",
        "CustomDomainCertificate": f"arn:{partition}:acm:{here}:certificate/0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f",
        "CustomDomainHostedZoneId": "Z0123456789ABCDEFGHIJ", "EnableIamAdminAccess": "true",
        "PermissionsBoundaryPolicy": policy, "IAMRoleAndPolicyPrefix": "team-blue-",
        "AdditionalIamPolicies": several_of(
            f"arn:{partition}:iam::123456789012:policy/hpc/project-{{:03}}-*", 1500),
        "EnableInstanceRegistration": "true", "ApiRolesPermissionsBoundaryPolicy": policy, "KmsKeyArn": key,
        "WebAclArn": f"arn:{partition}:wafv2:{here}:regional/webacl/pcs-api/0f8d2c1b-3a4e-4c5d-9e6f-7a8b9c0d1e2f",
        "AuditSigningKey": signing, "AlarmTopicArn": f"arn:{partition}:sns:{here}:operations",
        "LifecycleScripts": "CHECKSUM_OUTSIDE_S3", "AllowedInlineActions": several_of("s3:GetObject{:03}*", 400),
        "ReservedConcurrency": "99999", "ApiRolesTrustedAccounts": several_of("{:012}", 129),
        # As short as they can be, so that there are as many quotation marks as there can be.
        "ApiRolesTrustedPrincipals": several_of(f"arn:{partition}:iam::{{:012}}:role/*", 1000),
        "ApiRolesPrincipalOrgId": "o-" + "a" * 32, "ApiRolesRequireMfa": "true",
    }


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
    "legacy-tls": {
        "CustomDomainName": "pcs.example.com", "CustomDomainCertificate": CERTIFICATE, "TlsSecurityPolicy": "TLS_1_2",
    },
    "legacy-tls-private": {"VpcEndpointId": "vpce-0123456789abcdef0", "TlsSecurityPolicy": "TLS_1_2"},
    "basic-access": {
        "CustomDomainName": "pcs.example.com", "CustomDomainCertificate": CERTIFICATE, "EndpointAccessMode": "BASIC",
    },
    "reserved": {"ReservedConcurrency": "20"},
    "fips": {"UseFipsEndpoints": "true", "Region": "us-east-1"},
    "trusted-accounts": {"ApiRolesTrustedAccounts": TRUSTED_ACCOUNTS},
    "trusted-principals": {"ApiRolesTrustedPrincipals": TRUSTED},
    "trusted-organization": {"ApiRolesPrincipalOrgId": ORGANIZATION},
    "trusted-with-mfa": {
        "ApiRolesTrustedAccounts": TRUSTED_ACCOUNTS, "ApiRolesTrustedPrincipals": TRUSTED,
        "ApiRolesPrincipalOrgId": ORGANIZATION, "ApiRolesRequireMfa": "true",
    },
    "inline-actions": {"AllowedInlineActions": "s3:Get*,logs:PutLogEvents"},
    "iam-admin": {"EnableIamAdminAccess": "true", "AcceptUnboundedNodeRoles": "true"},
    "iam-admin-boundary": {"EnableIamAdminAccess": "true", "PermissionsBoundaryPolicy": BOUNDARY},
    "boundary-only": {"PermissionsBoundaryPolicy": BOUNDARY},
    "iam-admin-own-role": {
        "EnableIamAdminAccess": "true", "PermissionsBoundaryPolicy": BOUNDARY, "ParallelClusterFunctionRole": OWN_ROLE,
    },
    "no-user-role": {"CreateApiUserRole": "false"},
    "private-no-user-role": {"CreateApiUserRole": "false", "VpcEndpointId": "vpce-0123456789abcdef0"},
    "prefix": {"IAMRoleAndPolicyPrefix": "team-blue-"},
    "strict": {"AdditionalIamPoliciesPreset": "strict", "EnableIamAdminAccess": "true"},
    "more-policies": {
        "AdditionalIamPolicies": "arn:aws:iam::123456789012:policy/hpc/*,arn:aws:iam::aws:policy/AmazonFSxReadOnlyAccess",
        "EnableIamAdminAccess": "true", "AcceptUnboundedNodeRoles": "true",
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
    "everything": everything(),
}

# The same in another partition; ARNs in parameters would be of that partition too, so there are none.
PARTITIONS = {
    "govcloud": ({"EnableIamAdminAccess": "true", "AcceptUnboundedNodeRoles": "true", "Region": "us-gov-west-1"},
                 {"partition": "aws-us-gov", "region": "us-gov-west-1"}),
}

# What CloudFormation refuses, and the beginning of the sentence with which it does.
CONTRADICTIONS = [
    ({"Region": "us-gov-west-1"}, ["Region is of another partition than this stack"]),
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
    ({"EnableIamAdminAccess": "true"}, ["EnableIamAdminAccess is true without a bound"]),
    # Neither is a bound: policies that callers may name besides, and a role of one's own for the function.
    ({"EnableIamAdminAccess": "true", "AdditionalIamPolicies": "arn:aws:iam::aws:policy/AmazonFSxReadOnlyAccess",
      "ParallelClusterFunctionRole": OWN_ROLE}, ["EnableIamAdminAccess is true without a bound"]),
    ({"CreateApiUserRole": "false", "ApiRolesTrustedAccounts": TRUSTED_ACCOUNTS}, ["ApiRolesTrustedAccounts, ApiRoles"]),
    ({"CreateApiUserRole": "false", "ApiRolesTrustedPrincipals": TRUSTED}, ["ApiRolesTrustedAccounts, ApiRoles"]),
    ({"CreateApiUserRole": "false", "ApiRolesPrincipalOrgId": ORGANIZATION}, ["ApiRolesTrustedAccounts, ApiRoles"]),
    ({"CreateApiUserRole": "false", "ApiRolesRequireMfa": "true"}, ["ApiRolesTrustedAccounts, ApiRoles"]),
    ({"UseFipsEndpoints": "true"}, ["UseFipsEndpoints is true, and PCS has FIPS endpoints in"]),
    ({"UseFipsEndpoints": "true", "Region": "eu-west-1"}, ["UseFipsEndpoints is true, and PCS has FIPS endpoints in"]),
]
