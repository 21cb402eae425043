"""What a deployer has who follows docs/deploy.md ("Who may deploy"), and what an IAM that nobody here wrote answers to it."""

import fnmatch
import functools
import json
import re

import expand as expansion
from conftest import made
from policies import several, statements
from scenarios import SCENARIOS
from simulator import results

FOLDER = expansion.ROOT / "docs" / "iam"
PAGE = (expansion.ROOT / "docs" / "deploy.md").read_text()
ALWAYS = ["deployer-api", "deployer-records"]
OPTIONS = "deployer-options"
# For a road, not for a parameter.
OWN_BUCKET = "OnlyWithYourOwnBucket"
# What the statements for the fence name, to be replaced by the boundary's ARN.
EXAMPLE_BOUNDARY = "arn:aws:iam::123456789012:policy/ApiRolesBoundary"
# The key policy that AWS gives a key by default: IAM decides.
DELEGATES = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"}]}


@functools.cache
def document(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


@functools.cache
def parameter_of(sid):
    """`OnlyWithCustomDomainHostedZoneIdChanges` is for CustomDomainHostedZoneId."""
    names = [name for name in expansion.template()["Parameters"] if sid.removeprefix("OnlyWith").startswith(name)]
    assert names or sid == OWN_BUCKET, f"{sid} is for no parameter"
    return max(names, key=len, default=None)


def optional(effect="Allow"):
    return [statement for statement in statements(document(OPTIONS)) if statement["Effect"] == effect]


def together(options):
    found = {name: document(name) for name in ALWAYS}
    return found | ({OPTIONS: {"Version": "2012-10-17", "Statement": options}} if options else {})


def policies(parameters, own_bucket=False):
    """What a deployer has who took the statements of the parameters that are given."""
    return together([statement for statement in optional()
                     if parameters.get(parameter_of(statement["Sid"])) or own_bucket and statement["Sid"] == OWN_BUCKET])


def most():
    """What a deployer has who took everything."""
    return together(optional())


def section(heading):
    """A section of docs/deploy.md."""
    return re.split(r"^##+ ", PAGE.split(f"# {heading}\n")[1], maxsplit=1, flags=re.M)[0]


def fenced(boundary, parameters):
    """Those policies after the steps of docs/deploy.md, "A fence around the deployer"."""
    conditioned, removed, taken = (re.findall(r"`(\w+)(?:\.\.\.)?`", step) for step in re.findall(
        r"^[2-4]\. (?:Add .*? to `Condition` of|Take out|Take the two statements) (.*)$",
        section("A fence around the deployer"), re.M))
    (key, value), = re.findall(r'`"StringEquals": \{"([\w:]+)": "(\w+)"\}`', PAGE)
    assert value == "ARN" and len(taken) == 1
    held = json.loads(json.dumps(policies(parameters)))
    for name, policy in held.items():
        policy["Statement"] = [statement for statement in policy["Statement"] if statement["Sid"] not in removed]
        for statement in policy["Statement"]:
            if statement["Sid"] in conditioned:
                statement.setdefault("Condition", {})["StringEquals"] = {key: boundary}
    denied = [statement for statement in optional("Deny") if statement["Sid"].startswith(taken[0])]
    assert len(denied) == 2 and EXAMPLE_BOUNDARY in json.dumps(denied)
    return held | {"fence": {"Version": "2012-10-17", "Statement": json.loads(
        json.dumps(denied).replace(EXAMPLE_BOUNDARY, boundary))}}


def documented_key_policy():
    """Of docs/deploy.md, "A key of your own"."""
    text = re.search(r"^```json\n(.*?)^```$", section("A key of your own"), re.M | re.S)[1]
    return {"Version": "2012-10-17", "Statement": json.loads(
        text.replace("REGION", "us-east-1").replace("ACCOUNT", "123456789012").replace("STACK", "pcs-api"))}


@functools.cache
def key_policies():
    stack = made("default")[1]
    return {SCENARIOS["encrypted"]["KmsKeyArn"]: documented_key_policy(),
            stack.attribute("AuditTrailKey", "Arn"): stack.resources()["AuditTrailKey"]["Properties"]["KeyPolicy"]}


# The Service Authorization Reference has two ARNs in one for the first, which the simulator takes for one. The transforms
# it does not know; they are in "Control CloudFormation access with IAM".
NOT_IN_THE_REFERENCE = re.compile(r"::/restapis/\w+/(deployments|stages)|:aws:transform/")


def matches(request, held):
    """Whether a statement without a condition has the action and the resource, in IAM's sense of * in both."""
    return any(
        request.action in several(statement["Action"]) and "Condition" not in statement
        and any(fnmatch.fnmatchcase(request.resource, pattern) for pattern in several(statement["Resource"]))
        for document_ in held.values() for statement in statements(document_))


def answers(asked, held):
    """IAM's answer to each request. KMS asks the key's own policy as well."""
    found, batches = {}, {}
    for request in asked:
        if NOT_IN_THE_REFERENCE.search(request.resource):
            found[request] = "Allowed" if matches(request, held) else "ImplicitlyDenied"
        else:
            key = request.resource if request.resource.startswith("arn:aws:kms:") else None
            batches.setdefault(key, []).append(request)
    for key, batch in batches.items():
        policy = key_policies().get(key, DELEGATES) if key else None
        found |= dict(zip(batch, results(((request, held) for request in batch), policy)))
    return found


def refused(asked, held):
    """What the policies do not allow."""
    return [request.told() for request, answer in answers(asked, held).items() if answer != "Allowed"]


def allowed(asked, held):
    return [request.told() for request, answer in answers(asked, held).items() if answer == "Allowed"]
