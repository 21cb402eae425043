"""Who may assume the roles of the API, by an IAM that nobody here wrote: the trust policies decide, with sts:AssumeRole on the
principal's own side."""

import pytest

from conftest import made
from policies import documents
from scenarios import ORGANIZATION, TRUSTED
from simulator import Request, results

ROLES = ["ApiUserRole", "ApiReadOnlyRole", "ApiAuditorRole"]
MAY_ASSUME = {"own": {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}}
PORTAL, OTHER_ACCOUNT = TRUSTED.split(",")
SOMEBODY = "arn:aws:iam::123456789012:user/somebody"
NEIGHBOUR = OTHER_ACCOUNT.replace(":root", ":role/Pipeline")
STRANGER = "arn:aws:iam::111111111111:role/Pipeline"
MEMBER, GUEST = {"aws:PrincipalOrgID": ORGANIZATION}, {"aws:PrincipalOrgID": "o-z9y8x7w6v5"}
WITH_MFA, WITHOUT_MFA = {"aws:MultiFactorAuthPresent": "true"}, {"aws:MultiFactorAuthPresent": "false"}


def may(name, role, principal, context, identity=None):
    stack = made(name)[1]
    request = Request(principal, "sts:AssumeRole", stack.attribute(role, "Arn"), tuple(context.items()))
    trust = documents(stack)[f"{role} (trust)"]
    return results([(request, MAY_ASSUME if identity is None else identity)], trust) == ["Allowed"]


# Parameter set, principal, condition keys, whether it may.
CASES = [
    ("default", SOMEBODY, {}, True),
    ("default", NEIGHBOUR, {}, False),
    ("trusted-principals", PORTAL, {}, True),
    ("trusted-principals", NEIGHBOUR, {}, True),
    ("trusted-principals", SOMEBODY, {}, False),
    ("trusted-principals", STRANGER, {}, False),
    ("trusted-organization", SOMEBODY, MEMBER, True),
    ("trusted-organization", SOMEBODY, GUEST, False),
    # An account outside any organization: the key is not there.
    ("trusted-organization", SOMEBODY, {}, False),
    ("trusted-with-mfa", PORTAL, MEMBER | WITH_MFA, True),
    ("trusted-with-mfa", NEIGHBOUR, MEMBER | WITH_MFA, True),
    ("trusted-with-mfa", PORTAL, MEMBER | WITHOUT_MFA, False),
    # A session of a role that another role assumed, or of an identity provider.
    ("trusted-with-mfa", PORTAL, MEMBER, False),
    ("trusted-with-mfa", PORTAL, GUEST | WITH_MFA, False),
    ("trusted-with-mfa", SOMEBODY, MEMBER | WITH_MFA, False),
]


@pytest.mark.parametrize("role", ROLES)
def test_all_that_is_asked_has_to_be_met(role):
    told = [(name, principal, context, may(name, role, principal, context)) for name, principal, context, _ in CASES]
    assert told == CASES


@pytest.mark.parametrize("role", ROLES)
def test_the_account_alone_lets_nobody_in_whose_own_policies_do_not(role):
    assert not may("default", role, SOMEBODY, {}, identity={})
