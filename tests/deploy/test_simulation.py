"""IAM and the gateway agree: what the gateway refuses, the policies of the template refuse too, as far as IAM can see
it. And what the function and its callers need is allowed. An IAM that nobody here wrote judges (simulator.py).

What is expected comes from the cases that the Rust tests hold the gateway to, written by hand: tests/it/*.json.
"""

import json
import re

import pytest

import expand as expansion
from conftest import made
from policies import actions, documents, of_identities, of_the_function, several, statements
from scenarios import BOUNDARY
from simulator import Request, reference, results

ACCOUNT = "123456789012"
FUNCTION = f"arn:aws:sts::{ACCOUNT}:assumed-role/PcsApiFunction-5f1d3c60/function"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-pcs/pcs-api/AWSPCS-0123456789abcdef0123456789abcdef"
PROFILE = ROLE.replace(":role/", ":instance-profile/")
ALLOWED_POLICY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
REFUSED_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"


def cases(name):
    return json.loads((expansion.ROOT / "tests" / "it" / name).read_text())


def function_asks(name, requests, resource_policy_=None):
    """What IAM says to the function of the parameter set `name`."""
    identity = of_the_function(made(name)[1])
    return results(((request, identity) for request in requests), resource_policy_)


def asks(action, resource, **context):
    keys = tuple((key.replace("__", ":"), value) for key, value in context.items())
    return Request(FUNCTION, action, resource, keys)


def attach(policy, boundary=None, role=ROLE):
    context = {"iam__PolicyARN": policy} | ({"iam__PermissionsBoundary": boundary} if boundary else {})
    return asks("iam:AttachRolePolicy", role, **context)


# --- the allowlist ---


def shown_to_iam(arn):
    """Whether the case can reach IAM's condition. IAM itself refuses to attach what cannot be a policy's ARN, and the
    simulator, unlike IAM, does not compare the literal `arn`."""
    form = r"arn:[a-z-]+:iam::(\d{12}|aws):policy/([\w+=,.@-]+/)*[\w+=,.@-]{1,128}"
    return re.fullmatch(form, arn, re.ASCII) is not None


def test_policies_that_the_gateway_refuses_cannot_be_attached():
    allowed, refused = set(), set()
    for entry in cases("allowlist_cases.json")["patterns"]:
        allowed.update(entry["passes"])
        refused.update(arn for _, arn in entry["refused"])
        allowed.update(arn for _, arn in entry.get("passesAnotherPattern", []))
    assert not allowed & refused
    allowed, refused = ({arn for arn in arns if shown_to_iam(arn)} for arns in (allowed, refused))
    assert len(allowed) > 20 and len(refused) > 100
    asked = [*sorted(allowed), *sorted(refused)]
    answers = function_asks("iam-admin", [attach(arn) for arn in asked])
    wrong = [arn for arn, answer in zip(asked, answers) if (answer == "Allowed") != (arn in allowed)]
    assert not wrong


@pytest.mark.parametrize("name, allowed, refused", [
    ("strict", ["AmazonS3ReadOnlyAccess", "AWSPCSComputeNodePolicy"],
     ["service-role/AWSBatchServiceRole", "service-role/AmazonEC2SpotFleetTaggingRole", "AWSBatchFullAccess",
      "EC2InstanceProfileForImageBuilder", "service-role/AWSLambdaBasicExecutionRole"]),
    ("more-policies", ["AmazonFSxReadOnlyAccess", "AmazonS3ReadOnlyAccess"], ["AmazonFSxFullAccess"]),
])
def test_the_list_follows_the_parameters(name, allowed, refused):
    asked = [f"arn:aws:iam::aws:policy/{policy}" for policy in [*allowed, *refused]]
    answers = function_asks(name, [attach(arn) for arn in asked])
    assert answers == ["Allowed"] * len(allowed) + ["ImplicitlyDenied"] * len(refused)


# --- the permissions boundary ---


OTHER_BOUNDARIES = [
    None, "", BOUNDARY.lower(), BOUNDARY + "x", BOUNDARY.replace("hpc/", ""), BOUNDARY.replace(ACCOUNT, "999999999999"),
    BOUNDARY.replace("arn:aws:", "arn:aws-cn:"), BOUNDARY.replace("NodeBoundary", "*"), REFUSED_POLICY,
]


def with_boundary(action, boundary):
    context = {} if boundary is None else {"iam__PermissionsBoundary": boundary}
    if action == "iam:AttachRolePolicy":
        context["iam__PolicyARN"] = ALLOWED_POLICY
    return asks(action, ROLE, **context)


@pytest.mark.parametrize("action", ["iam:CreateRole", "iam:AttachRolePolicy"])
def test_roles_are_made_with_exactly_the_boundary(action):
    requests = [with_boundary(action, boundary) for boundary in [BOUNDARY, *OTHER_BOUNDARIES]]
    assert function_asks("iam-admin-boundary", requests) == ["Allowed"] + ["ImplicitlyDenied"] * len(OTHER_BOUNDARIES)


def test_the_boundary_does_not_excuse_a_policy():
    assert function_asks("iam-admin-boundary", [attach(REFUSED_POLICY, BOUNDARY)]) == ["ImplicitlyDenied"]


def test_without_a_boundary_none_is_asked_for():
    requests = [with_boundary(action, None) for action in ("iam:CreateRole", "iam:AttachRolePolicy")]
    assert function_asks("iam-admin", requests) == ["Allowed", "Allowed"]


@pytest.mark.parametrize("name", ["iam-admin", "iam-admin-boundary", "strict", "everything"])
def test_no_policy_of_the_functions_own_writing_gets_into_a_role(name):
    boundaries = [None, BOUNDARY, made(name)[1].parameters["PermissionsBoundaryPolicy"] or None]
    requests = [with_boundary("iam:PutRolePolicy", boundary) for boundary in boundaries]
    assert function_asks(name, requests) == ["ImplicitlyDenied"] * len(requests)


# --- which roles ---


WRITES = [
    ("iam:CreateRole", ROLE), ("iam:AttachRolePolicy", ROLE), ("iam:DetachRolePolicy", ROLE),
    ("iam:DeleteRole", ROLE), ("iam:DeleteRolePolicy", ROLE), ("iam:TagRole", ROLE),
    ("iam:CreateInstanceProfile", PROFILE), ("iam:DeleteInstanceProfile", PROFILE),
    ("iam:AddRoleToInstanceProfile", PROFILE), ("iam:RemoveRoleFromInstanceProfile", PROFILE),
    ("iam:TagInstanceProfile", PROFILE),
]
ELSEWHERE = [
    "AWSPCS-node", "aws-pcs/AWSPCS-node", "aws-pcs/pcs-api-2/AWSPCS-node", "team/aws-pcs/pcs-api/AWSPCS-node", "Admin",
    "aws-pcs/PCS-API/AWSPCS-node", "aws-service-role/pcs.amazonaws.com/AWSServiceRoleForPCS", "PcsApiFunction-5f1d3c60",
]


def write(action, resource):
    context = {}
    if action in ("iam:AttachRolePolicy", "iam:DetachRolePolicy"):
        context["iam__PolicyARN"] = ALLOWED_POLICY
    if action in ("iam:CreateRole", "iam:AttachRolePolicy"):
        context["iam__PermissionsBoundary"] = BOUNDARY
    return asks(action, resource, **context)


def test_only_roles_and_profiles_below_the_path_are_written_to():
    here = [write(action, resource) for action, resource in WRITES]
    there = [write(action, re.sub(r"(role|instance-profile)/.*", rf"\1/{name}", resource))
             for action, resource in WRITES for name in ELSEWHERE]
    there += [write(action, resource.replace(ACCOUNT, "999999999999")) for action, resource in WRITES]
    answers = function_asks("iam-admin-boundary", [*here, *there])
    assert answers == ["Allowed"] * len(here) + ["ImplicitlyDenied"] * len(there)


@pytest.mark.parametrize("name", ["default", "boundary-only", "one-region"])
def test_without_iam_admin_access_iam_is_not_written_to(name):
    answers = function_asks(name, [write(action, resource) for action, resource in WRITES])
    assert answers == ["ImplicitlyDenied"] * len(WRITES)


def test_what_was_made_under_another_boundary_can_be_removed():
    requests = [asks("iam:DetachRolePolicy", ROLE, iam__PolicyARN=REFUSED_POLICY), asks("iam:DeleteRolePolicy", ROLE),
                asks("iam:DeleteRole", ROLE)]
    assert function_asks("iam-admin-boundary", requests) == ["Allowed"] * 3


def test_roles_whose_name_the_gateway_refuses_cannot_be_passed():
    """The group about names and paths in the guardrail cases, and what the gateway decided on each
    (tests/it/output/guardrails-matrix.txt, which the Rust tests compare)."""
    group, = [group for group in cases("guardrail_cases.json")["groups"]
              if group["group"] == "Name and path of the role"]
    matrix = (expansion.ROOT / "tests/it/output/guardrails-matrix.txt").read_text()
    section, = re.findall(r"^Name and path of the role\n(.*?)\n\n", matrix, re.M | re.S)
    requests, expected = [], []
    for case in group["cases"]:
        role = {"name": "AWSPCS-node", "path": "/", **case.get("role", {})}
        decision, = re.findall(rf"^(PERMIT|DENY) .*  {re.escape(case['case'])}$", section, re.M)
        expected.append("Allowed" if decision == "PERMIT" else "ImplicitlyDenied")
        arn = f"arn:aws:iam::{ACCOUNT}:role{role['path']}{role['name']}"
        requests.append(asks("iam:PassRole", arn, iam__PassedToService="ec2.amazonaws.com"))
    assert set(expected) == {"Allowed", "ImplicitlyDenied"}
    assert function_asks("default", requests) == expected


def test_roles_are_passed_to_instances_of_this_account_only():
    role = f"arn:aws:iam::{ACCOUNT}:role/AWSPCS-node"
    requests = [asks("iam:PassRole", role, iam__PassedToService=service) for service in (
        "ec2.amazonaws.com", "lambda.amazonaws.com", "ecs-tasks.amazonaws.com", "EC2.amazonaws.com", "ec2.amazonaws.com.cn")]
    requests.append(asks("iam:PassRole", role))
    requests.append(asks("iam:PassRole", role.replace(ACCOUNT, "999999999999"), iam__PassedToService="ec2.amazonaws.com"))
    assert function_asks("default", requests) == ["Allowed"] + ["ImplicitlyDenied"] * 6


# --- Regions, records, secrets ---


def cluster(region, below=""):
    return f"arn:aws:pcs:{region}:{ACCOUNT}:cluster/pcs_abc1234567{below}"


def test_the_region_scope_is_the_gateways():
    def requests(region):
        return [
            asks("pcs:GetCluster", cluster(region)),
            asks("pcs:UpdateComputeNodeGroup", cluster(region, "/computenodegroup/pcs_def2345678")),
            asks("pcs:ListClusters", "*", aws__RequestedRegion=region),
            asks("pcs:CreateCluster", "*", aws__RequestedRegion=region),
            asks("ec2:RunInstances", f"arn:aws:ec2:{region}:{ACCOUNT}:instance/i-0123456789abcdef0",
                 aws__RequestedRegion=region),
            asks("ec2:DescribeSubnets", "*", aws__RequestedRegion=region),
            asks("secretsmanager:CreateSecret",
                 f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:pcs!slurm-secret-pcs_abc1234567-a12ABC"),
        ]

    for region, expected in (("us-east-1", "Allowed"), ("eu-west-1", "ImplicitlyDenied")):
        assert set(function_asks("one-region", requests(region))) == {expected}
        assert set(function_asks("default", requests(region))) == {"Allowed"}


def test_other_accounts_clusters_are_out_of_reach():
    requests = [asks("pcs:DeleteCluster", cluster("us-east-1").replace(ACCOUNT, "999999999999"))]
    assert function_asks("default", requests) == ["ImplicitlyDenied"]


def test_instances_register_only_where_it_is_turned_on():
    requests = [asks("pcs:RegisterComputeNodeGroupInstance", cluster("us-east-1")),
                asks("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:pcs!slurm-x")]
    assert function_asks("default", requests) == ["ImplicitlyDenied"] * 2
    assert function_asks("instance-registration", requests) == ["Allowed"] * 2
    other = asks("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:database-x")
    assert function_asks("instance-registration", [other]) == ["ImplicitlyDenied"]


def test_records_are_added_and_never_changed():
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/pcs-api-AuditTable-EXAMPLE"
    allowed = [asks("dynamodb:PutItem", table), asks("dynamodb:Query", table),
               asks("dynamodb:Query", f"{table}/index/byTime")]
    refused = [asks(f"dynamodb:{action}", table) for action in (
        "UpdateItem", "DeleteItem", "BatchWriteItem", "Scan", "DeleteTable", "UpdateTable", "UpdateTimeToLive")]
    refused += [asks("dynamodb:PutItem", table + "2"), asks("dynamodb:Query", f"{table}2/index/byTime")]
    assert function_asks("default", [*allowed, *refused]) == ["Allowed"] * 3 + ["ImplicitlyDenied"] * len(refused)


def test_only_what_pcs_made_is_removed():
    instance = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0123456789abcdef0"
    requests = [asks("ec2:TerminateInstances", instance, **{"aws__ResourceTag/AWSPCSManaged": "true"}),
                asks("ec2:TerminateInstances", instance),
                asks("ec2:CreateTags", instance, ec2__CreateAction="RunInstances"),
                asks("ec2:CreateTags", instance)]
    assert function_asks("default", requests) == ["Allowed", "ImplicitlyDenied", "Allowed", "ImplicitlyDenied"]


KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def signs(principal, key=KEY, **context):
    keys = {"kms:" + name: value for name, value in context.items()}
    session = principal.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/session"
    return Request(session, "kms:Sign", key, (("aws:PrincipalArn", principal), *keys.items()))


def test_the_trail_is_signed_with_one_key_and_algorithm():
    role = f"arn:aws:iam::{ACCOUNT}:role/PcsApiFunction-5f1d3c60"
    requests = [signs(role, SigningAlgorithm="ECDSA_SHA_256"), signs(role, SigningAlgorithm="ECDSA_SHA_512"),
                signs(role), signs(role, KEY.replace("1234abcd", "5678abcd"), SigningAlgorithm="ECDSA_SHA_256")]
    key_policy = documents(made("default")[1])["AuditTrailKey (key)"]
    assert function_asks("default", requests, key_policy) == ["Allowed"] + ["ImplicitlyDenied"] * 3
    assert function_asks("not-signed", requests, key_policy) == ["ImplicitlyDenied"] * 4


def test_nobody_else_signs():
    administrator = {"everything": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"}]}}
    others = [signs(f"arn:aws:iam::{ACCOUNT}:role/{name}", SigningAlgorithm="ECDSA_SHA_256")
              for name in ("Administrator", "PcsApiAuditorRole-5f1d3c60", "PcsApiFunction-5f1d3c61")]
    key_policy = documents(made("default")[1])["AuditTrailKey (key)"]
    assert results([(each, administrator) for each in others], key_policy) == ["ExplicitlyDenied"] * 3


# --- callers ---


ROLES = {"User": "PcsApiUserRole", "ReadOnly": "PcsApiReadOnlyRole", "Auditor": "PcsApiAuditorRole"}


def operations(contract):
    for path, item in contract["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation


def method_arn(method, path, stage="prod"):
    """The ARN that API Gateway asks IAM about: the path as it was called."""
    called = re.sub(r"\{\w+\}", "pcs_abc1234567", path)
    return f"arn:aws:execute-api:us-east-1:{ACCOUNT}:a1b2c3d4e5/{stage}/{method}{called}"


def invoke(role, arn, **context):
    principal = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    keys = tuple((key.replace("__", ":"), value) for key, value in context.items())
    return Request(f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/someone", "execute-api:Invoke", arn,
                   (("aws:PrincipalArn", principal), ("aws:PrincipalAccount", ACCOUNT), *keys))


def resource_policy(stack):
    """API Gateway writes its own ARN for the short form."""
    policy = stack.resources()["PcsApi"]["Properties"]["Body"]["x-amazon-apigateway-policy"]
    return json.loads(json.dumps(policy).replace("execute-api:/*", method_arn("*", "").replace("prod/*", "*")))


def may(kind, method, path, operation):
    """Who may call what, by what the contract says of an operation."""
    if path.startswith("/v1/audit-events"):
        return kind == "Auditor"
    if path == "/v1/guardrails":
        return True
    if kind == "Auditor":
        return False
    return kind == "User" or not operation["x-pcs-mutation"] and method == "GET"


@pytest.mark.parametrize("kind", ROLES)
def test_each_role_calls_its_operations_and_no_other(contract, kind):
    stack = made("default")[1]
    policy = {"policy": of_identities(stack)[f"Api{kind}Policy"]}
    asked, expected = [], []
    for method, path, operation in operations(contract):
        asked.append((invoke(f"{ROLES[kind]}-5f1d3c60", method_arn(method, path)), policy))
        expected.append("Allowed" if may(kind, method, path, operation) else "ImplicitlyDenied")
    assert results(asked, resource_policy(stack)) == expected
    assert len(set(expected)) == 2


def test_every_operation_can_be_called_by_somebody(contract):
    for method, path, operation in operations(contract):
        assert any(may(kind, method, path, operation) for kind in ROLES), (method, path)


EVERYTHING = {"everything": {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "execute-api:*", "Resource": "*"}]}}
CLUSTERS = method_arn("GET", "/v1/clusters")


def test_nobody_else_gets_in():
    stack = made("default")[1]
    answers = results([
        (invoke("PcsApiUserRole-5f1d3c60", CLUSTERS), EVERYTHING),
        (invoke("Administrator", CLUSTERS), EVERYTHING),
        (invoke("PcsApiUserRole-5f1d3c61", CLUSTERS), EVERYTHING),
        (Request(f"arn:aws:iam::{ACCOUNT}:user/somebody", "execute-api:Invoke", CLUSTERS,
                 (("aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:user/somebody"),)), EVERYTHING),
        (Request(f"arn:aws:iam::{ACCOUNT}:user/somebody", "execute-api:Invoke", CLUSTERS), EVERYTHING),
    ], resource_policy(stack))
    assert answers == ["Allowed"] + ["ExplicitlyDenied"] * 4


def test_without_the_user_role_the_accounts_own_policies_decide():
    stack = made("no-user-role")[1]
    outsider = Request("arn:aws:sts::999999999999:assumed-role/Administrator/someone", "execute-api:Invoke", CLUSTERS, (
        ("aws:PrincipalArn", "arn:aws:iam::999999999999:role/Administrator"), ("aws:PrincipalAccount", "999999999999")))
    answers = results([
        (invoke("Team", CLUSTERS), EVERYTHING),
        (invoke("Team", CLUSTERS), {"policy": of_identities(stack)["ApiReadOnlyPolicy"]}),
        (invoke("Team", CLUSTERS), {}),
        (outsider, EVERYTHING),
    ], resource_policy(stack))
    assert answers == ["Allowed", "Allowed", "ImplicitlyDenied", "ExplicitlyDenied"]


@pytest.mark.parametrize("name, role", [("private", "PcsApiUserRole-5f1d3c60"), ("private-no-user-role", "Team")])
def test_a_private_api_answers_to_its_vpc_endpoint(name, role):
    stack = made(name)[1]
    answers = results([
        (invoke(role, CLUSTERS, aws__SourceVpce="vpce-0123456789abcdef0"), EVERYTHING),
        (invoke(role, CLUSTERS, aws__SourceVpce="vpce-0fedcba9876543210"), EVERYTHING),
        (invoke(role, CLUSTERS), EVERYTHING),
        (invoke(role, CLUSTERS, aws__SourceVpce="vpce-0123456789abcdef0"), {}),
    ], resource_policy(stack))
    assert answers == ["Allowed", "ExplicitlyDenied", "ExplicitlyDenied", "ImplicitlyDenied"]


def test_the_auditor_reads_the_table_and_verifies():
    stack = made("default")[1]
    policy = {"policy": of_identities(stack)["ApiAuditorPolicy"]}
    principal = f"arn:aws:sts::{ACCOUNT}:assumed-role/PcsApiAuditorRole-5f1d3c60/someone"

    def answers(actions_, resource, resource_policy_=None):
        return results(((Request(principal, action, resource), policy) for action in actions_), resource_policy_)

    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/pcs-api-AuditTable-EXAMPLE"
    reads = [f"dynamodb:{action}" for action in ("Query", "GetItem", "Scan", "DescribeTable")]
    writes = [f"dynamodb:{action}" for action in ("PutItem", "UpdateItem", "DeleteItem", "DeleteTable")]
    assert answers(reads, table) == ["Allowed"] * 4
    assert answers(writes, table) == ["ImplicitlyDenied"] * 4
    key_policy = documents(stack)["AuditTrailKey (key)"]
    assert answers(["kms:GetPublicKey", "kms:Verify"], KEY, key_policy) == ["Allowed"] * 2
    assert answers(["kms:Sign"], KEY, key_policy) == ["ExplicitlyDenied"]
    assert answers(["kms:ScheduleKeyDeletion"], KEY, key_policy) == ["ImplicitlyDenied"]


# --- the Service Authorization Reference ---


def test_actions_exist_and_a_star_stands_for_actions_without_a_resource():
    """STARS of test_policies.py says "none" where IAM knows no resource for an action."""
    from test_policies import STARS
    for name in ("everything", "default", "no-user-role"):
        for policy, document in of_identities(made(name)[1]).items():
            for statement in statements(document):
                for action in several(statement["Action"]):
                    service, operation = action.split(":")
                    known = reference(service).get(operation.lower())
                    assert known and known["name"] == operation, (policy, action)
                    if statement["Resource"] == "*" and STARS[statement["Sid"]] == "none":
                        assert known["resourceTypes"] == [], (policy, action)
                    if statement["Resource"] != "*":
                        assert known["resourceTypes"], (policy, action, "its resource has to be *")


def test_conditions_are_on_keys_that_the_actions_have():
    """A key that an action does not have would never match, and with it the statement."""
    for policy, document in of_identities(made("everything")[1]).items():
        for statement in statements(document):
            keys = {key for operands in statement.get("Condition", {}).values() for key in operands}
            for action in several(statement["Action"]):
                service, operation = action.split(":")
                known = reference(service)[operation.lower()]
                has = set(known["conditionKeys"]) | {
                    key for kind in known["resourceTypes"] for key in kind["conditionKeys"]}
                has = {key.split("/")[0].lower() for key in has}
                for key in keys - {"aws:RequestedRegion"}:
                    assert key.split("/")[0].lower() in has, (policy, action, key)


def test_the_policies_hold_what_is_granted():
    """The tests above read the function's policies; that there is one is what makes them say something."""
    assert len(actions(of_the_function(made("everything")[1]))) > 60
