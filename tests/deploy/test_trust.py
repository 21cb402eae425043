"""Who may assume the roles of the API, by an IAM that nobody here wrote: the trust policies decide together with what the
principal's own policies allow. The parameters only narrow: nobody gets a role that their own policies do not allow."""

import dataclasses

import pytest

from conftest import made
from policies import documents
from scenarios import ORGANIZATION
from simulator import Request, results

ROLES = ["ApiUserRole", "ApiReadOnlyRole", "ApiAuditorRole"]
ALL, USER_ROLE, NONE = frozenset(ROLES), frozenset(["ApiUserRole"]), frozenset()
HERE, THERE, ELSEWHERE = "123456789012", "999999999999", "111111111111"
SSO = "aws-reserved/sso.amazonaws.com"


@dataclasses.dataclass(frozen=True)
class Caller:
    """A session of a role or a user: who it is to IAM, and its aws:PrincipalArn, which for a session is the role's ARN with
    its path ("AWS global condition context keys", IAM User Guide)."""

    account: str
    kind: str
    name: str

    def principal(self):
        if self.kind == "user":
            return f"arn:aws:iam::{self.account}:user/{self.name}"
        return f"arn:aws:sts::{self.account}:assumed-role/{self.name.rsplit('/', 1)[-1]}/session"

    def context(self):
        return {"aws:PrincipalArn": f"arn:aws:iam::{self.account}:{self.kind}/{self.name}"}


PORTAL = Caller(HERE, "role", "hpc/Portal")
NAMESAKE = Caller(HERE, "role", "other/Portal")
# "Referencing permission sets in resource policies", IAM Identity Center User Guide: the path has the Region, but for
# us-east-1.
HPC, HPC_OF_US_EAST_1 = (Caller(HERE, "role", f"{SSO}/{region}AWSReservedSSO_Hpc_0123456789abcdef")
                         for region in ("eu-west-1/", ""))
FINANCE = Caller(HERE, "role", f"{SSO}/eu-west-1/AWSReservedSSO_Finance_0123456789abcdef")
# Of a permission set's name, at another path.
IMPOSTOR = Caller(HERE, "role", "AWSReservedSSO_Hpc_0123456789abcdef")
JANE = Caller(HERE, "user", "hpc/jane")
SOMEBODY = Caller(HERE, "user", "somebody")
NEIGHBOUR, OTHER_NEIGHBOUR = Caller(THERE, "role", "Pipeline-1"), Caller(THERE, "role", "Pipeline-22")
STRANGER = Caller(ELSEWHERE, "role", "Pipeline-1")
MEMBER, GUEST = {"aws:PrincipalOrgID": ORGANIZATION}, {"aws:PrincipalOrgID": "o-z9y8x7w6v5"}
WITH_MFA, WITHOUT_MFA = {"aws:MultiFactorAuthPresent": "true"}, {"aws:MultiFactorAuthPresent": "false"}

# Parameter set -> caller, condition keys, the roles that the caller's own policies allow, those that it may assume.
CASES = {
    "default": [
        (SOMEBODY, {}, ALL, ALL),
        (SOMEBODY, {}, USER_ROLE, USER_ROLE),
        (SOMEBODY, {}, NONE, NONE),
        (PORTAL, {}, USER_ROLE, USER_ROLE),
        (PORTAL, {}, NONE, NONE),
        (NEIGHBOUR, {}, ALL, NONE),
    ],
    "trusted-principals": [
        # Named is not allowed: the role of this account that a trust policy names would need no policy of its own.
        *((caller, {}, NONE, NONE) for caller in (PORTAL, HPC, HPC_OF_US_EAST_1, JANE)),
        *((caller, {}, USER_ROLE, USER_ROLE) for caller in (PORTAL, HPC, HPC_OF_US_EAST_1, JANE)),
        (PORTAL, {}, ALL, ALL),
        *((caller, {}, ALL, NONE) for caller in (SOMEBODY, NAMESAKE, FINANCE, IMPOSTOR)),
        # Named, of an account that is not trusted.
        (NEIGHBOUR, {}, ALL, NONE),
    ],
    "trusted-accounts": [
        (NEIGHBOUR, {}, ALL, ALL),
        (NEIGHBOUR, {}, USER_ROLE, USER_ROLE),
        (NEIGHBOUR, {}, NONE, NONE),
        (SOMEBODY, {}, ALL, ALL),
        (SOMEBODY, {}, NONE, NONE),
        (STRANGER, {}, ALL, NONE),
    ],
    "trusted-organization": [
        (SOMEBODY, MEMBER, ALL, ALL),
        (SOMEBODY, MEMBER, NONE, NONE),
        (SOMEBODY, GUEST, ALL, NONE),
        # An account outside any organization: the key is not there.
        (SOMEBODY, {}, ALL, NONE),
        (NEIGHBOUR, MEMBER, ALL, NONE),
    ],
    # All four together.
    "trusted-with-mfa": [
        (JANE, MEMBER | WITH_MFA, ALL, ALL),
        (JANE, MEMBER | WITH_MFA, USER_ROLE, USER_ROLE),
        (JANE, MEMBER | WITH_MFA, NONE, NONE),
        (JANE, MEMBER | WITHOUT_MFA, ALL, NONE),
        # Long-term keys: the key is not there.
        (JANE, MEMBER, ALL, NONE),
        (JANE, GUEST | WITH_MFA, ALL, NONE),
        (JANE, WITH_MFA, ALL, NONE),
        (SOMEBODY, MEMBER | WITH_MFA, ALL, NONE),
        # Sessions of roles do not have the key: with MFA, patterns of roles let nobody in.
        *((caller, MEMBER, ALL, NONE) for caller in (PORTAL, HPC, NEIGHBOUR, OTHER_NEIGHBOUR)),
    ],
}


def own_policies(stack, roles):
    arns = [stack.attribute(role, "Arn") for role in ROLES if role in roles]
    return {"own": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"], "Resource": arns}]}} if arns else {}


# Whoever has a source identity needs the second too, in the trust policy as well ("Monitor and control actions taken with
# assumed roles", IAM User Guide).
@pytest.mark.parametrize("action", ["sts:AssumeRole", "sts:SetSourceIdentity"])
@pytest.mark.parametrize("name", CASES)
def test_own_policies_decide_and_the_trust_narrows(name, action):
    stack = made(name)[1]
    told = [set() for _ in CASES[name]]
    for role in ROLES:
        asked = []
        for caller, keys, allowed, _ in CASES[name]:
            source = {"sts:SourceIdentity": "jane"} if action == "sts:SetSourceIdentity" else {}
            context = caller.context() | keys | source
            asked.append((Request(caller.principal(), action, stack.attribute(role, "Arn"), tuple(context.items())),
                          own_policies(stack, allowed)))
        for roles, answer in zip(told, results(asked, documents(stack)[f"{role} (trust)"]), strict=True):
            if answer == "Allowed":
                roles.add(role)
    assert [(*case[:3], roles) for case, roles in zip(CASES[name], told, strict=True)] == CASES[name]


def test_a_pattern_of_another_account_needs_that_account():
    """Patterns and accounts combine: a role of a trusted account that no pattern takes is out."""
    stack = made("trusted-with-mfa")[1]
    trust = documents(stack)["ApiUserRole (trust)"]
    del trust["Statement"][0]["Condition"]["Bool"]
    asked = [(Request(caller.principal(), "sts:AssumeRole", stack.attribute("ApiUserRole", "Arn"),
                      tuple((caller.context() | MEMBER).items())), own_policies(stack, ALL))
             for caller in (PORTAL, NEIGHBOUR, OTHER_NEIGHBOUR, STRANGER)]
    assert results(asked, trust) == ["Allowed", "Allowed", "ImplicitlyDenied", "ImplicitlyDenied"]


def test_a_principal_that_is_named_would_need_no_policy_of_its_own():
    """Why the trust names accounts. The simulator knows it, so that what is above would show it."""
    stack = made("trusted-principals")[1]
    trust = documents(stack)["ApiAuditorRole (trust)"]
    trust["Statement"][0]["Principal"] = {"AWS": PORTAL.context()["aws:PrincipalArn"]}
    asked = Request(PORTAL.principal(), "sts:AssumeRole", stack.attribute("ApiAuditorRole", "Arn"),
                    tuple(PORTAL.context().items()))
    assert results([(asked, {})], trust) == ["Allowed"]
