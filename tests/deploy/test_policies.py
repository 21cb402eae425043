"""What may be done, and by whom: the policies that come out for every parameter set, statement by statement.

The whole of them is in golden/, to be read. Here is what must be true of any of them.
"""

import itertools
import json
import pathlib
import re

import botocore.session
import pytest

import expand as expansion
from conftest import made
from intrinsics import Stack
from policies import actions, documents, of_identities, of_the_function, several, statements
from scenarios import BOUNDARY, CONTRADICTIONS, PARTITIONS, SCENARIOS

VALUES = pathlib.Path(__file__).parent / "data" / "parameter-values.json"

# Every statement of an identity's policy with the resource "*", and why it cannot be narrower. "none": IAM knows no
# resource for any of its actions, which test_simulation.py holds against the Service Authorization Reference.
STARS = {
    "ClustersWithoutAName": "none",
    "PcsLooksAtTheNetworkAndInstances": "none, but for GetSecurityGroupsForVpc, which names a VPC of any account",
    "PcsStartsInstances": "images, subnets, key pairs and launch templates may belong to other accounts; PCS's guide "
                          "asks for \"*\"; PassRole limits what instances can do",
    "Trace": "none",
    "FindOwnRolesAndProfiles": "none",
}
# Ways to become more than the policies say (IAM User Guide on permissions boundaries, and what is published on
# escalation by IAM actions), and to change a record.
NEVER = {
    "iam:AcquireRole", "iam:AddUserToGroup", "iam:AttachUserPolicy", "iam:CreateAccessKey", "iam:CreatePolicy",
    "iam:CreatePolicyVersion", "iam:CreateUser", "iam:DeletePolicyVersion", "iam:DeleteRolePermissionsBoundary",
    "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:PutUserPolicy", "iam:SetDefaultPolicyVersion", "iam:UntagRole",
    "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "sts:AssumeRole", "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:DeleteTable",
    "dynamodb:UpdateItem", "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive", "dynamodb:TransactWriteItems",
    "kms:CreateGrant", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "logs:DeleteLogStream", "logs:CreateLogGroup",
}
PUBLISHED = json.loads((expansion.ROOT / "tests/deploy/data/pcs-minimum-permissions.json").read_text())


# --- form ---


def test_statements_say_what_they_allow(stack):
    for name, document in documents(stack).items():
        assert document["Version"] == "2012-10-17"
        for statement in statements(document):
            assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement), (name, statement)
            for action in several(statement["Action"]):
                wild = (name, action) == ("AuditTrailKey (key)", "kms:*")
                assert wild or re.fullmatch(r"[a-z-]+[0-9]?:[A-Za-z]+", action), (name, action)
            for operator in statement.get("Condition", {}):
                assert not operator.endswith("IfExists"), "it lets a request pass that lacks the key"
            assert statement.get("Condition") != {}, (name, "an empty condition is no condition")


def test_every_star_has_a_reason(stack):
    for name, document in of_identities(stack).items():
        for statement in statements(document):
            for resource in several(statement["Resource"]):
                if resource == "*":
                    assert STARS.get(statement["Sid"]), (name, statement["Sid"])
                    continue
                partition, service, region, account = resource.split(":", 5)[1:5]
                assert partition == stack.pseudo["AWS::Partition"], resource
                own = (account == stack.pseudo["AWS::AccountId"]
                       or resource.endswith(":iam::aws:policy/*") and statement["Sid"] == "ReadPolicies")
                assert own, resource
                assert region in ("", stack.pseudo["AWS::Region"], stack.parameters["Region"]), resource


def test_whoever_is_anybody_is_denied(stack):
    for name, document in documents(stack).items():
        for statement in statements(document):
            if statement.get("Principal") == "*":
                assert statement["Effect"] == "Deny", (name, statement)


def test_who_may_assume_the_roles(stack):
    account = f"arn:{stack.pseudo['AWS::Partition']}:iam::{stack.pseudo['AWS::AccountId']}:root"
    services = {"FunctionRole": "lambda.amazonaws.com", "ApiGatewayLogsRole": "apigateway.amazonaws.com"}
    for name, document in documents(stack).items():
        if name.endswith("(trust)"):
            role = name.removesuffix(" (trust)")
            statement, = statements(document)
            service = services.get(role)
            if service:
                assert statement["Action"] == "sts:AssumeRole"
                assert statement["Principal"] == {"Service": service} and "Condition" not in statement, name
                continue
            # "Monitor and control actions taken with assumed roles", IAM User Guide: whoever has a source identity
            # cannot assume a role whose trust policy does not allow the second.
            assert statement["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]
            parameters = stack.parameters
            others = parameters["ApiRolesTrustedAccounts"]
            assert statement["Principal"] == {"AWS": [account, *others.split(",")] if others else account}, name
            asked = {}
            if parameters["ApiRolesTrustedPrincipals"]:
                asked["ArnLike"] = {"aws:PrincipalArn": parameters["ApiRolesTrustedPrincipals"].split(",")}
            if parameters["ApiRolesPrincipalOrgId"]:
                asked["StringEquals"] = {"aws:PrincipalOrgID": parameters["ApiRolesPrincipalOrgId"]}
            if parameters["ApiRolesRequireMfa"] == "true":
                asked["Bool"] = {"aws:MultiFactorAuthPresent": "true"}
            assert statement.get("Condition", {}) == asked, name


# --- the function ---


def test_the_function_has_nothing_that_leads_further(stack):
    granted = actions(of_the_function(stack))
    assert not granted & NEVER
    services = {action.split(":")[0] for action in granted}
    assert services <= {"dynamodb", "ec2", "iam", "kms", "logs", "pcs", "secretsmanager", "sqs", "xray"}


def test_pcs_actions_are_those_of_the_contract(stack, contract):
    """The operations that reach PCS bear the names of its actions."""
    if not of_the_function(stack):
        return
    operations = {
        operation["operationId"]
        for item in contract["paths"].values() for method, operation in item.items()
        if method != "parameters" and operation.get("x-pcs-upstream") is not False
    }
    if stack.parameters["EnableInstanceRegistration"] == "false":
        operations.remove("RegisterComputeNodeGroupInstance")
    granted = {action for action in actions(of_the_function(stack)) if action.startswith("pcs:")}
    assert granted == {f"pcs:{name}" for name in operations}


def test_what_pcs_needs_is_what_is_published(stack):
    if not of_the_function(stack):
        return
    published = {action for needed in PUBLISHED["table"].values() for action in needed} | set(
        PUBLISHED["capacityBlocks"])
    for operation, needed in PUBLISHED["alsoNeeds"].items():
        if operation != "RegisterComputeNodeGroupInstance" or (
                stack.parameters["EnableInstanceRegistration"] == "true"):
            published |= set(needed)
    granted = actions({"Pcs": of_the_function(stack)["FunctionRole/Pcs"],
                       "Guardrails": of_the_function(stack)["FunctionRole/Guardrails"]})
    # Reading roles and policies is the gateway's own need.
    reads = {"iam:GetRole", "iam:GetRolePolicy", "iam:GetPolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"}
    assert granted - reads == published


def iam_calls():
    """The IAM actions that the function's source asks the SDK for, as IAM spells them."""
    source = "".join(file.read_text() for file in (expansion.ROOT / "src" / "iam").glob("*.rs"))
    kinds = "role|instance_profiles_for_role|instance_profile|policy|role_policy|role_policies|attached_role_policies|roles|instance_profiles"
    calls = re.findall(rf"\.((?:get|list|create|delete|put|attach|detach)_(?:{kinds})"
                       r"|add_role_to_instance_profile|remove_role_from_instance_profile)\(", source)
    return {"iam:" + "".join(part.title() for part in call.split("_")) for call in calls}


def test_iam_actions_are_those_that_the_function_calls():
    calls = iam_calls()
    assert {"iam:GetRole", "iam:CreateRole", "iam:ListRoles"} <= calls
    granted = {action for action in actions(of_the_function(made("iam-admin")[1])) if action.startswith("iam:")}
    # Tags are set while creating; PCS passes the role and makes its service-linked roles.
    assert granted == calls | {"iam:TagRole", "iam:TagInstanceProfile", "iam:PassRole", "iam:CreateServiceLinkedRole"}


def test_iam_is_written_to_only_with_iam_admin_access(stack):
    writes = {action for action in actions(of_the_function(stack)) if action.startswith("iam:")
              and not re.match(r"iam:(Get|List)", action)}
    admin = stack.parameters["EnableIamAdminAccess"] == "true"
    if not admin or stack.parameters["ParallelClusterFunctionRole"]:
        assert writes <= {"iam:PassRole", "iam:CreateServiceLinkedRole"}
        assert "NodeRolesPolicy" not in stack.resources()
        return
    own = f"arn:{stack.pseudo['AWS::Partition']}:iam::{stack.pseudo['AWS::AccountId']}"
    below = (f"{own}:role/aws-pcs/pcs-api/*", f"{own}:instance-profile/aws-pcs/pcs-api/*")
    boundary = stack.parameters["PermissionsBoundaryPolicy"]
    for statement in statements(of_the_function(stack)["NodeRolesPolicy"]):
        if statement["Sid"] != "FindOwnRolesAndProfiles":
            assert set(several(statement["Resource"])) <= set(below), statement
        condition = statement.get("Condition", {})
        if set(several(statement["Action"])) & {"iam:CreateRole", "iam:AttachRolePolicy"}:
            assert condition.get("StringEquals") == (
                {"iam:PermissionsBoundary": boundary} if boundary else None), statement["Sid"]
        if "iam:AttachRolePolicy" in several(statement["Action"]):
            assert several(statement["Action"]) == ["iam:AttachRolePolicy"]
            assert list(condition["ArnLike"]) == ["iam:PolicyARN"]


def test_a_boundary_alone_turns_nothing_on():
    plain, bounded = (of_the_function(made(name)[1]) for name in ("default", "boundary-only"))
    assert plain == bounded


def test_the_region_narrows_everything_that_has_one():
    documents_ = of_the_function(made("one-region")[1])
    for name, document in documents_.items():
        for statement in statements(document):
            for resource in several(statement["Resource"]):
                if resource == "*" and statement["Sid"] != "Trace":
                    assert statement["Condition"]["StringLike"] == {"aws:RequestedRegion": "us-east-1"}, name
                elif resource != "*" and resource.split(":")[2] != "iam":
                    assert resource.split(":")[3] == "us-east-1", resource


def test_roles_are_passed_to_instances_only(stack):
    for document in of_the_function(stack).values():
        for statement in statements(document):
            if "iam:PassRole" in several(statement["Action"]):
                assert several(statement["Action"]) == ["iam:PassRole"]
                assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
                own = f"arn:{stack.pseudo['AWS::Partition']}:iam::{stack.pseudo['AWS::AccountId']}:role"
                # The four of "Minimum permissions for AWS PCS", in this account only.
                assert statement["Resource"] == [
                    f"{own}/AWSPCS*", f"{own}/*/AWSPCS*", f"{own}/aws-pcs/*", f"{own}/*/aws-pcs/*"]


def test_actions_on_the_table_are_those_that_the_function_calls():
    source = "".join(file.read_text() for file in (expansion.ROOT / "src" / "audit").rglob("*.rs"))
    asked = r"\.((?:batch_|transact_)?(?:put|get|update|delete|write)_items?|query|scan|execute_statement)\(\)"
    calls = {"dynamodb:" + "".join(part.title() for part in call.split("_")) for call in re.findall(asked, source)}
    granted = {action for action in actions(of_the_function(made("everything")[1])) if action.startswith("dynamodb:")}
    assert granted == calls and calls


def test_the_audit_table_is_added_to_and_read(stack):
    documents_ = of_the_function(stack)
    if not documents_:
        return
    allowed = {}
    for statement in statements(documents_["FunctionRole/Records"]):
        for action in several(statement["Action"]):
            if action.startswith("dynamodb:"):
                allowed.setdefault(action, []).append(statement["Resource"])
    table = stack.attribute("AuditTable", "Arn")
    assert allowed == {"dynamodb:PutItem": [table], "dynamodb:Query": [table, f"{table}/index/*"]}


def test_the_function_signs_with_one_key_and_one_algorithm(stack):
    documents_ = of_the_function(stack)
    if not documents_:
        return
    signing = [statement for statement in statements(documents_["FunctionRole/Records"])
               if "kms:Sign" in several(statement["Action"])]
    asked = stack.parameters["AuditSigningKey"]
    key = stack.attribute("AuditTrailKey", "Arn") if asked == "create" else asked
    assert [(each["Action"], each["Resource"], each["Condition"]) for each in signing] == (
        [("kms:Sign", key, {"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256"}})] if key else [])


def test_only_the_function_signs(stack):
    if "AuditTrailKey" not in stack.resources():
        return
    key = stack.resources()["AuditTrailKey"]["Properties"]
    assert (key["KeySpec"], key["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    deny, = [each for each in statements(key["KeyPolicy"]) if each["Effect"] == "Deny"]
    function = stack.resources()["PcsApiFunction"]["Properties"]["Role"]
    assert deny["Action"] == "kms:Sign"
    assert deny["Condition"] == {"StringNotEquals": {"aws:PrincipalArn": function}}


# --- callers ---


def test_policies_go_to_the_roles_and_are_there_without_them(stack):
    with_roles = stack.parameters["CreateApiUserRole"] == "true"
    for kind in ("User", "ReadOnly", "Auditor"):
        policy = stack.resources()[f"Api{kind}Policy"]["Properties"]
        assert policy.get("Roles") == ([stack.ref(f"Api{kind}Role")] if with_roles else None)
        role = stack.resources().get(f"Api{kind}Role", {}).get("Properties", {})
        assert "Policies" not in role and "ManagedPolicyArns" not in role


def test_roles_of_the_api_have_their_boundary(stack):
    boundary = stack.parameters["ApiRolesPermissionsBoundaryPolicy"] or None
    for resource in stack.resources().values():
        if resource["Type"] == "AWS::IAM::Role":
            assert resource["Properties"].get("PermissionsBoundary") == boundary


# --- parameters and rules ---


def test_every_documented_parameter_is_tried_at_both_ends(template):
    for name, parameter in template["Parameters"].items():
        values = {sets.get(name, str(parameter["Default"])) for sets in SCENARIOS.values()}
        assert len(values) > 1, name


def test_partitions_differ_in_nothing_but_arns():
    for name in PARTITIONS:
        text = json.dumps(documents(made(name)[1]))
        assert "arn:aws:" not in text and "arn:aws-us-gov:" in text


@pytest.mark.parametrize("setting", [
    {"Region": "mars-1"}, {"Region": ""}, {"EnableIamAdminAccess": "yes"}, {"CreateApiUserRole": ""},
    {"PermissionsBoundaryPolicy": "NodeBoundary"},
    {"PermissionsBoundaryPolicy": "arn:aws:iam::123456789012:role/NodeBoundary"},
    {"PermissionsBoundaryPolicy": "x arn:aws:iam::123456789012:policy/NodeBoundary"},
    {"ParallelClusterFunctionRole": "PcsApiFunction"}, {"VpcEndpointId": "vpc-0123456789abcdef0"},
    {"IAMRoleAndPolicyPrefix": "eleven-char"}, {"IAMRoleAndPolicyPrefix": "a/"},
    {"CustomDomainName": "https://pcs.example.com"}, {"CustomDomainCertificate": "certificate"},
    {"CustomDomainHostedZoneId": "example.com"}, {"AdditionalIamPoliciesPreset": "open"},
    {"AdditionalIamPolicies": "*"}, {"AdditionalIamPolicies": "arn:aws:iam::*:policy/x"},
    {"AdditionalIamPolicies": "arn:aws:iam::aws:policy/x, arn:aws:iam::aws:policy/y"},
    {"AdditionalIamPolicies": "arn:aws:iam::aws:policy/x,"}, {"AuditRetentionDays": "0"},
    {"AuditRetentionDays": "3654"}, {"AuditSigningKey": "yes"}, {"LogRetentionDays": "31"},
    {"AllowedInlineActions": "*"}, {"AllowedInlineActions": "*:*"}, {"AllowedInlineActions": "s3*:GetObject"},
    {"AllowedInlineActions": "s3:GetObject, s3:PutObject"}, {"AllowedInlineActions": "s3:GetObject,"},
    {"AllowedInlineActions": "S3:GetObject"}, {"AllowedInlineActions": "s3"},
    {"AllowedInlineActions": "s3:" + "G" * 398}, {"AcceptUnboundedNodeRoles": "yes"},
    {"ApiRolesTrustedPrincipals": "*"}, {"ApiRolesTrustedPrincipals": "123456789012"},
    {"ApiRolesTrustedPrincipals": "arn:aws:iam::123456789012:root"},
    {"ApiRolesTrustedPrincipals": "arn:aws:iam::*:role/Portal"}, {"ApiRolesTrustedPrincipals": "arn:*"},
    {"ApiRolesTrustedPrincipals": "arn:aws:iam::123456789012:*"}, {"ApiRolesTrustedPrincipals": "arn:aws:iam::123456789012:role/"},
    {"ApiRolesTrustedPrincipals": "arn:aws:iam::123456789012:role/a, arn:aws:iam::123456789012:role/b"},
    {"ApiRolesTrustedPrincipals": "arn:aws:sts::123456789012:assumed-role/Portal/session"},
    {"ApiRolesTrustedAccounts": "*"}, {"ApiRolesTrustedAccounts": "12345678901"},
    {"ApiRolesTrustedAccounts": "arn:aws:iam::123456789012:root"}, {"ApiRolesTrustedAccounts": "123456789012,"},
    {"ApiRolesTrustedAccounts": "123456789012, 999999999999"},
    {"ApiRolesTrustedAccounts": ",".join(["123456789012"] * 11)},
    {"ApiRolesPrincipalOrgId": "r-a1b2"}, {"ApiRolesPrincipalOrgId": "o-*"}, {"ApiRolesRequireMfa": "TRUE"},
    {"TlsSecurityPolicy": "TLS_1_0"}, {"TlsSecurityPolicy": ""}, {"EndpointAccessMode": "strict"},
    {"ReservedConcurrency": "0"}, {"ReservedConcurrency": "-1"}, {"ReservedConcurrency": "some"},
    {"UseFipsEndpoints": "1"}, {"ThrottlingRateLimit": "0"}, {"Architecture": "arm"}, {"LogLevel": "info"},
    {"KmsKeyArn": "alias/mine"},
])
def test_a_value_of_another_form_is_refused(template, setting):
    assert Stack(template, setting).wrong_parameters() == list(setting)


def test_values_of_the_functions_variables_are_taken_as_the_function_takes_them(template):
    """src/config/tests.rs holds the function against the same values; n128 stands for a name of 128 characters."""
    told = json.loads(VALUES.read_text())
    for parameter, values in told.items():
        for verdict, wrong in (("accepted", []), ("refused", [parameter])):
            for value in values[verdict]:
                value = re.sub(r"n(\d{3})", lambda found: "n" * int(found[1]), value)
                assert Stack(template, {parameter: value}).wrong_parameters() == wrong, (parameter, value)
    passed = json.dumps(template["Resources"]["PcsApiFunction"]["Properties"]["Environment"])
    patterned = {name for name, parameter in template["Parameters"].items()
                 if "AllowedPattern" in parameter and f'"Ref": "{name}"' in passed}
    assert patterned <= set(told)


def test_regions_are_those_of_the_contract(template, contract):
    allowed = template["Parameters"]["Region"]["AllowedValues"]
    assert allowed == ["*", *contract["components"]["schemas"]["Region"]["enum"]]


@pytest.mark.parametrize("setting, sentences", CONTRADICTIONS, ids=lambda value: "+".join(value))
def test_contradictions_are_refused_with_a_sentence(template, setting, sentences):
    stack = Stack(template, setting)
    assert stack.wrong_parameters() == []
    told = stack.broken_rules()
    # CloudFormation's quota for what a rule says.
    assert all(len(text) <= 1024 for text in told)
    assert [text for text, beginning in zip(told, sentences, strict=True) if text.startswith(beginning)] == told


# As a boundary it takes nothing away: "AdministratorAccess", AWS Managed Policy Reference.
BOUNDS_NOTHING = [f"arn:{partition}:iam::aws:policy/AdministratorAccess"
                  for partition in botocore.session.get_session().get_available_partitions()]
BOUNDS = [BOUNDARY, "arn:aws:iam::123456789012:policy/AdministratorAccess", "arn:aws:iam::aws:policy/PowerUserAccess"]
UNBOUNDED = "EnableIamAdminAccess is true without a bound"


def settings_of_the_rule():
    """The whole truth table of what decides whether a node's role is bounded, and whether it is refused."""
    for admin, boundary, preset, accepted in itertools.product(
            ["true", "false"], ["", *BOUNDS_NOTHING, *BOUNDS], ["documented", "strict"], ["true", "false"]):
        refused = (admin, preset, accepted) == ("true", "documented", "false") and boundary not in BOUNDS
        yield {"EnableIamAdminAccess": admin, "PermissionsBoundaryPolicy": boundary,
               "AdditionalIamPoliciesPreset": preset, "AcceptUnboundedNodeRoles": accepted}, refused


def settings_beside(template, decisive):
    """Each other parameter at each value that is listed or tried, one at a time, and all combinations of switches."""
    others = {name: parameter for name, parameter in template["Parameters"].items() if name not in decisive}
    switches = [name for name, parameter in others.items() if parameter.get("AllowedValues") == ["true", "false"]]
    assert len(switches) > 4
    for values in itertools.product(["true", "false"], repeat=len(switches)):
        yield dict(zip(switches, values, strict=True))
    for name, parameter in others.items():
        tried = {sets[name] for sets in SCENARIOS.values() if name in sets}
        for value in tried | {str(value) for value in parameter.get("AllowedValues", [])}:
            yield {name: value}


def test_node_roles_are_bounded_or_it_is_accepted_by_name(template):
    assert len(BOUNDS_NOTHING) == 8
    for setting, refused in settings_of_the_rule():
        for beside in settings_beside(template, setting):
            told = Stack(template, beside | setting).broken_rules()
            assert any(text.startswith(UNBOUNDED) for text in told) == refused, (setting, beside)


def test_fips_endpoints_are_asked_for_where_pcs_has_them(template):
    """The table of "Endpoints and service quotas for AWS PCS" in its User Guide: rows with an endpoint pcs-fips."""
    documented = {"us-east-1", "us-east-2", "us-west-2", "us-gov-east-1", "us-gov-west-1"}
    settings = {region: {"UseFipsEndpoints": "true", "Region": region}
                for region in template["Parameters"]["Region"]["AllowedValues"]}
    taken = {region for region, setting in settings.items()
             if not any(text.startswith("UseFips") for text in Stack(template, setting).broken_rules())}
    assert taken == documented


def test_the_region_of_callers_is_of_the_stacks_partition(template):
    """botocore knows each Region's partition by its name. PCS is in no Region of China's, so no stack is there."""
    session = botocore.session.get_session()
    regions = template["Parameters"]["Region"]["AllowedValues"]
    for place, region in itertools.product(regions[1:], regions):
        told = Stack(template, {"Region": region}, region=place).broken_rules()
        same = region == "*" or session.get_partition_for_region(region) == session.get_partition_for_region(place)
        assert bool(told) != same, (place, region)


def test_the_console_shows_every_parameter_once(template):
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(template["Parameters"])
