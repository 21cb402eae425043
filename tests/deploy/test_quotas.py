"""What is made stays within the quotas of IAM, Lambda, API Gateway, CloudFormation and Systems Manager: for every
parameter set, and for the longest values that the template takes, in every partition, under the longest stack name."""

import functools
import json
import re

import botocore.session
import pytest

import expand as expansion
from conftest import made
from intrinsics import Stack
from policies import documents, statements
from scenarios import everything

SESSION = botocore.session.get_session()
PARTITIONS = SESSION.get_available_partitions()
# CloudFormation User Guide, "Quotas".
LONGEST_STACK_NAME = "s" * 128
API_ROLES = ["ApiUserRole", "ApiReadOnlyRole", "ApiAuditorRole"]


def in_full(text):
    """CloudFormation ends the names that it makes with 12 or 13 characters; here they are seven."""
    return text.replace("-EXAMPLE", "-1A2B3C4D5E6F7")


def written(document):
    """IAM counts characters without white space."""
    return len(re.sub(r"\s", "", in_full(json.dumps(document, separators=(",", ":")))))


def policies_that_are_too_long(stack):
    inline, sizes = {}, []
    for name, document in documents(stack).items():
        if name.endswith("(trust)"):
            sizes.append((name, written(document), 2048))
        elif "/" in name:
            role = name.split("/")[0]
            inline[role] = inline.get(role, 0) + written(document)
        elif name.endswith("(key)"):
            sizes.append((name, len(json.dumps(document)), 32768))
        elif name.endswith(("(resource policy)", "(queue)")):
            sizes.append((name, len(json.dumps(document)), 8192))
        else:
            sizes.append((name, written(document), 6144))
    sizes += [(role, size, 10240) for role, size in inline.items()]
    return [(name, size, quota) for name, size, quota in sizes if size > quota]


def environment(stack):
    """How Lambda measures variables: what it says where they are too long is the size of this JSON."""
    variables = stack.resources()["PcsApiFunction"]["Properties"]["Environment"]["Variables"]
    return len(in_full(json.dumps({name: str(value) for name, value in variables.items()}, separators=(",", ":"))))


def allowlist(stack):
    return len(stack.resources()["AllowedPolicies"]["Properties"]["Value"])


# --- every parameter set ---


def test_policies_fit(stack):
    assert policies_that_are_too_long(stack) == []


def test_the_rest_fits(stack, expanded):
    resources = stack.resources()
    for resource in resources.values():
        properties = resource.get("Properties", {})
        assert len(properties.get("ManagedPolicyArns", [])) <= 10
        assert len(properties.get("RoleName", "")) <= 64
        assert len(properties.get("ManagedPolicyName", "")) <= 128
    assert environment(stack) <= 4096 and allowlist(stack) <= 4096
    assert len(resources) <= 500 and len(expanded["Parameters"]) <= 200 and len(expanded["Outputs"]) <= 200
    assert len(json.dumps(expanded)) <= 1_000_000
    assert len(expanded["Description"]) <= 1024
    for variable in resources["PcsApiprodStage"]["Properties"]["Variables"].values():
        assert re.fullmatch(r"[A-Za-z0-9\-._~:/?#&=,]+", variable), "what API Gateway takes in a stage variable"


# --- the longest of all ---


def longest_region(partition):
    """The longest name of a Region there, and what the parameter `Region` can be in it."""
    allowed = [region for region in expansion.template()["Parameters"]["Region"]["AllowedValues"]
               if region != "*" and SESSION.get_partition_for_region(region) == partition]
    known = SESSION.get_available_regions("lambda", partition)
    return max([*allowed, *known], key=len), max(allowed, key=len, default="*")


@functools.cache
def longest(partition, words=()):
    """The stack with the longest values; `words` are parameters besides."""
    document = expansion.template()
    region, scope = longest_region(partition)
    parameters = everything(partition, region, scope) | dict(words)
    values = {**expansion.parameter_defaults(document), **parameters}
    stack = Stack(expansion.expand(document, values, region), values, region=region, partition=partition,
                  name=LONGEST_STACK_NAME)
    assert stack.wrong_parameters() == [] and stack.broken_rules() == []
    return stack


def longest_words():
    """Of the parameters that become a variable as they are, the longest value that is listed."""
    document = expansion.template()
    variables = document["Resources"]["PcsApiFunction"]["Properties"]["Environment"]["Variables"].values()
    names = {value["Ref"] for value in variables if isinstance(value, dict) and "Ref" in value} & set(document["Parameters"])
    listed = {name: max(document["Parameters"][name]["AllowedValues"], key=len)
              for name in names - {"Region"} if "AllowedValues" in document["Parameters"][name]}
    assert {"EnableIamAdminAccess", "LifecycleScripts", "LogLevel", "UseFipsEndpoints"} <= set(listed)
    listed["AuditRetentionDays"] = str(document["Parameters"]["AuditRetentionDays"]["MaxValue"])
    return tuple(sorted(listed.items()))


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_longest_policies_fit(partition):
    assert policies_that_are_too_long(longest(partition)) == []


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_longest_variables_fit(partition):
    stack = longest(partition, longest_words())
    assert environment(stack) <= 4096, environment(stack)
    assert allowlist(stack) <= 4096


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_longest_trust_fits_with_accounts_as_iam_shows_them(partition):
    """IAM turns an account's ID into the ARN of its root, and does not say which of them it measures."""
    for role in API_ROLES:
        document = documents(longest(partition))[f"{role} (trust)"]
        statement, = statements(document)
        own, *others = statement["Principal"]["AWS"]
        shown = [own, *(f"arn:{partition}:iam::{account}:root" for account in others)]
        assert written(document) <= written(
            {**document, "Statement": [{**statement, "Principal": {"AWS": shown}}]}) < 2048, role


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_longest_set_is_as_long_as_can_be(template, partition):
    """Or what is above would prove little."""
    parameters = longest(partition).parameters
    for name in ("AdditionalIamPolicies", "AllowedInlineActions", "ApiRolesTrustedAccounts", "ApiRolesTrustedPrincipals"):
        assert len(parameters[name]) == template["Parameters"][name]["MaxLength"], name
    for name in ("PermissionsBoundaryPolicy", "ApiRolesPermissionsBoundaryPolicy"):
        assert Stack(template, {name: parameters[name] + "N"}).wrong_parameters() == [name]
    assert Stack(template, {"AuditSigningKey": parameters["AuditSigningKey"] + "0"}).wrong_parameters() == ["AuditSigningKey"]
    assert len(parameters["IAMRoleAndPolicyPrefix"]) == template["Parameters"]["IAMRoleAndPolicyPrefix"]["MaxLength"]


def test_the_partitions_are_those_in_which_the_template_takes_a_region():
    regions = set(expansion.template()["Parameters"]["Region"]["AllowedValues"]) - {"*"}
    assert {SESSION.get_partition_for_region(region) for region in regions} | {"aws-cn"} == set(PARTITIONS)
    assert made("everything")[1].parameters["ApiRolesTrustedAccounts"].count(",") == 9
