"""The published policies of a deployer (docs/iam) are enough to make, change and delete the stack.

What is enough comes from AWS (providers.py, roads.py); an IAM that nobody here wrote says what the policies allow. That
they allow no more is in test_deployer_limits.py.
"""

import json
import re

import botocore.session
import pytest

from conftest import made
from deployer import (ALWAYS, OPTIONS, OWN_BUCKET, answers, document, optional, parameter_of, policies, refused, section,
                      together)
from policies import actions, several, statements
from providers import DEPLOYER, NOT_USED, USED_WITH, requests, said, schemas
from roads import ROADS, sams_bucket
from scenarios import SCENARIOS
from simulator import Request, reference

TABLE_KEY = ["CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
             "ReEncryptFrom", "ReEncryptTo"]


def as_documented(parameters):
    """The parameters with which the documents' example values are right."""
    written = json.dumps(optional())
    return all(value in written for name, value in parameters.items()
               if f"OnlyWith{name}\"" in written and value.startswith("arn:aws:iam:"))


HERE = [name for name, parameters in SCENARIOS.items() if as_documented(parameters)]


def options(name):
    return frozenset(filter(None, (parameter_of(statement["Sid"]) for statement in optional()
                                   if SCENARIOS[name].get(parameter_of(statement["Sid"])))))


@pytest.mark.parametrize("names", [
    [name for name in HERE if options(name) == wanted] for wanted in sorted({options(name) for name in HERE}, key=sorted)
], ids=lambda names: names[0])
def test_they_are_enough_for_every_resource(names):
    """One test for all parameter sets whose deployer has the same policies: most of what they ask is the same."""
    asked = set()
    for name in names:
        found = set(requests(made(name)[1]))
        assert len(found) > 150, name
        asked |= found
    assert refused(sorted(asked, key=Request.told), policies(SCENARIOS[names[0]])) == []


@pytest.mark.parametrize("road", ROADS)
def test_they_are_enough_for_every_road(road):
    assert refused(ROADS[road], policies({}, own_bucket="package" in road or "release" in road)) == []


def test_the_bucket_of_sam_is_made_as_its_providers_say():
    asked = {request.action for request in sams_bucket()}
    assert {"s3:CreateBucket", "s3:TagResource", "s3:ListTagsForResource", "s3:GetBucketTagging", "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration", "s3:PutBucketVersioning"} <= asked


def test_every_action_is_needed():
    """By a resource in some parameter set, or on some road. What nobody asks for is not to be had."""
    asked = {request.action for name in SCENARIOS for request in requests(made(name)[1])}
    asked |= {request.action for road in ROADS.values() for request in road}
    # "DynamoDB encryption at rest: usage notes", "Using service-linked roles for API Gateway".
    asked |= {f"kms:{action}" for action in TABLE_KEY} | {"iam:CreateServiceLinkedRole"}
    # How AWS waits for a function that was made or changed.
    waiters = botocore.session.get_session().get_waiter_model("lambda")
    asked |= {f"lambda:{waiters.get_waiter(name).operation}" for name in ("FunctionActive", "FunctionUpdated")}
    held = actions({name: document(name) for name in ALWAYS} | {OPTIONS: {"Statement": optional()}})
    assert held - asked == set()


def test_the_parameter_sets_that_they_are_tried_with_are_nearly_all():
    # The longest ARNs that there can be are not those of the example.
    assert set(SCENARIOS) - set(HERE) == {"everything"}
    given = {name for scenario in HERE for name in SCENARIOS[scenario]}
    assert {parameter_of(statement["Sid"]) for statement in statements(document(OPTIONS))} - {None} <= given


@pytest.mark.parametrize("sid", sorted({statement["Sid"] for statement in optional()}))
def test_each_option_is_needed(sid):
    """Without it something is refused that the parameter asks for; there would be no reason to take it."""
    if sid == OWN_BUCKET:
        upload = Request(DEPLOYER, "s3:PutObject", "arn:aws:s3:::amzn-s3-demo-bucket/pcs-api/0123456789abcdef")
        found = [answers([upload], policies({}, own_bucket))[upload] for own_bucket in (False, True)]
        assert found == ["ImplicitlyDenied", "Allowed"]
        return
    parameter = parameter_of(sid)
    name = next(name for name in HERE if parameter in SCENARIOS[name])
    held = together([statement for statement in statements(policies(SCENARIOS[name])[OPTIONS]) if statement["Sid"] != sid])
    assert refused(sorted(set(requests(made(name)[1])), key=Request.told), held)


def test_an_option_is_kept_until_its_parameter_is_cleared():
    """Removing asks for what making asked for: the page says to keep the statement."""
    assert "Keep it for the update that clears the parameter too" in section("Who may deploy")
    for statement in optional():
        name = next((name for name in HERE if parameter_of(statement["Sid"]) in SCENARIOS[name]), None)
        removing = [action for action in several(statement["Action"]) if re.search("(?i)delete|detach|disassociate", action)]
        if name and removing:
            without = together([other for other in statements(policies(SCENARIOS[name])[OPTIONS]) if other != statement])
            asked = [request for request in requests(made(name)[1]) if request.action in removing]
            assert refused(asked, without), statement["Sid"]


def test_what_is_said_to_be_unused_is_still_named_by_the_providers():
    for kind, unused in NOT_USED.items():
        assert unused <= said(kind), (kind, unused - said(kind))
    for kinds in USED_WITH.values():
        for kind, used in kinds.items():
            assert used <= said(kind) and not used & NOT_USED[kind], kind


def test_providers_of_tagged_resources_name_what_tagging_takes():
    """Or the test above would not see it."""
    tagged = {kind for kind, schema in schemas().items() if schema.get("tagging", {}).get("taggable")}
    assert {"AWS::Lambda::Function", "AWS::IAM::Role", "AWS::KMS::Key"} <= tagged
    assert {"lambda:ListTags", "iam:ListRoleTags", "kms:ListResourceTags"} <= {
        action for kind in tagged for action in said(kind)}


def test_they_fit_into_managed_policies():
    for name in [*ALWAYS, OPTIONS]:
        assert len(re.sub(r"\s", "", json.dumps(document(name)))) <= 6144


def test_their_actions_exist():
    for name in [*ALWAYS, OPTIONS]:
        for statement in statements(document(name)):
            assert (name == OPTIONS) == statement["Sid"].startswith("OnlyWith"), statement["Sid"]
            for action in several(statement["Action"]):
                service, operation = action.split(":")
                known = reference(service).get(operation.lower())
                assert known and known["name"] == operation, action
                if statement["Resource"] == "*" and not statement["Sid"].startswith("SigningKey"):
                    # DescribeLogGroups and DescribeResourcePolicies list, whatever the reference says of them.
                    assert known["resourceTypes"] == [] or operation.startswith(("Describe", "GetTemplate")), action


def test_api_gateway_may_make_its_service_linked_role():
    """"Using service-linked roles for API Gateway" in its Developer Guide: the first custom domain or account setting
    makes it. No provider names it."""
    role = "arn:aws:iam::123456789012:role/aws-service-role/{0}/AWSServiceRoleFor{1}"
    gateway, other = "ops.apigateway.amazonaws.com", "spot.amazonaws.com"
    asked = [Request(DEPLOYER, "iam:CreateServiceLinkedRole", role.format(service, kind), (("iam:AWSServiceName", service),))
             for service, kind in ((gateway, "APIGateway"), (other, "EC2Spot"))]
    assert list(answers(asked, policies({})).values()) == ["Allowed", "ImplicitlyDenied"]


def test_the_key_of_the_table_is_used_through_dynamodb_only():
    """"DynamoDB encryption at rest: usage notes" and "Authorization to use a customer managed key"."""
    key = SCENARIOS["encrypted"]["KmsKeyArn"]
    held = policies(SCENARIOS["encrypted"])
    found = {}
    for via in ("dynamodb.us-east-1.amazonaws.com", "ec2.us-east-1.amazonaws.com", None):
        context = (("kms:ViaService", via),) if via else ()
        found[via] = len(refused([Request(DEPLOYER, f"kms:{each}", key, context) for each in TABLE_KEY], held))
    assert list(found.values()) == [0, len(TABLE_KEY), len(TABLE_KEY)]
