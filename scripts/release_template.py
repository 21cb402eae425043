#!/usr/bin/env python3
"""Writes the templates of a release: template.yaml as plain CloudFormation, without transform, include and macro.

    scripts/release_template.py --version VERSION --output FOLDER [--bucket BUCKET]

pcs-api.yaml         the function's code comes from a zip in PackageBucket
pcs-api-image.yaml   the function's code is the container image ImageUri

Such a template can be created with `aws cloudformation create-stack --template-url`, with CAPABILITY_NAMED_IAM alone, and
by StackSets with service-managed permissions, which take no macros. AWS's own translator writes the resources, as it does
in CloudFormation. Two things are written here instead, because there they happen anew in each deployment:

- where the code is: parameters in place of what `sam package` would put in;
- the API's deployments. API Gateway serves a snapshot of an API, and SAM makes a new one in each deployment of the stack
  (AlwaysDeploy). A plain template cannot; it has one resource for each state that conditions tell apart, and the stage
  takes the one that is true, so that an update that closes the API is served at once. RedeployApi is for what is told
  apart by values.

Needs Python 3.11 or later with scripts/requirements-release.txt.
"""

import argparse
import copy
import functools
import hashlib
import json
import logging
import pathlib
import re

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[1]
# It reports missing telemetry of its own, on every expansion.
logging.getLogger("samtranslator").setLevel(logging.ERROR)
# Where `sam package` would have put the function's package.
CODE = "s3://packages/pcs-api.zip"
# The translator asks for a Region; tests hold what it writes against what it writes for others.
ANY_REGION = "us-east-1"

# What API Gateway's snapshot depends on, as far as conditions tell it: for each question its answers, a word for names
# and the condition. The last answer is the one that is left.
QUESTIONS = [
    [("Roles", {"Condition": "CreatesApiUserRole"}), ("Anyone", None)],
    [("Private", {"Condition": "IsPrivate"}), ("Domain", {"Condition": "HasCustomDomain"}), ("Public", None)],
    [("Legacy", {"Fn::Not": [{"Condition": "HasEnhancedTls"}]}), ("Strict", {"Condition": "IsStrict"}), ("Basic", None)],
    [("B", {"Fn::Equals": [{"Ref": "RedeployApi"}, "B"]}), ("A", None)],
]


def expand(document, contract, parameters, region=ANY_REGION):
    """Plain CloudFormation, intrinsic functions included, as SAM's transform makes it of template.yaml.

    document: template.yaml with the short forms of functions written out. contract: what is put in by AWS::Include.
    parameters: values, which SAM puts in where a property of one of its own resources is a parameter."""
    document = copy.deepcopy(document)
    function = document["Resources"]["PcsApiFunction"]["Properties"]
    assert function["CodeUri"] == "."
    function["CodeUri"] = CODE
    api = document["Resources"]["PcsApi"]["Properties"]
    include = {"Name": "AWS::Include", "Parameters": {"Location": "openapi/pcs-api.deployed.yaml"}}
    assert api["DefinitionBody"] == {"Fn::Transform": include}
    api["DefinitionBody"] = copy.deepcopy(contract)
    # {}: no managed policy has to be looked up in an account.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=region))
    # Plain dicts and strings in place of the translator's own.
    return json.loads(json.dumps(translator.translate(document, dict(parameters))))


def with_parameters_kept(document, contract, region=ANY_REGION):
    """As `expand`, but every parameter is still one: the translator puts in defaults, so it is shown none."""
    bare = copy.deepcopy(document)
    for parameter in bare["Parameters"].values():
        parameter.pop("Default", None)
    expanded = expand(bare, contract, {}, region)
    expanded["Parameters"] = copy.deepcopy(document["Parameters"])
    expanded["Resources"]["PcsApiFunction"].pop("Metadata", None)
    return expanded


def deployments(template, version):
    """Puts a deployment for each state of the API in place of SAM's one."""
    resources = template["Resources"]
    sams, = [name for name, resource in resources.items() if resource["Type"] == "AWS::ApiGateway::Deployment"]
    stage = resources["PcsApiprodStage"]["Properties"]
    assert stage["DeploymentId"] == {"Ref": sams}
    properties = {**resources.pop(sams)["Properties"], "Description": f"PCS API {version}"}
    assert sams not in json.dumps(resources, sort_keys=True).replace(json.dumps(stage["DeploymentId"]), "")

    template["Parameters"]["RedeployApi"] = {
        "Description": "Change it, from A to B or back, in an update that gives VpcEndpointId another endpoint or changes "
                       "IAMRoleAndPolicyPrefix: API Gateway then serves the API as it is after the update. Until then it "
                       "refuses all calls. Other changes need it not.",
        "Type": "String", "Default": "A", "AllowedValues": ["A", "B"],
    }
    # A release with another definition of the API has other deployments.
    definition = hashlib.sha256(json.dumps(resources["PcsApi"], sort_keys=True).encode()).hexdigest()[:10]
    conditions = template["Conditions"]
    for answers in QUESTIONS:
        before = []
        for word, condition in answers:
            not_before = [{"Fn::Not": [{"Condition": f"Serves{other}"}]} for other in before]
            alone = [*not_before, *([condition] if condition else [])]
            conditions[f"Serves{word}"] = {"Fn::And": alone} if len(alone) > 1 else alone[0]
            before.append(word)

    def served(words, questions):
        """The deployment that the stage has where these words are true."""
        if questions:
            # A private API is never strict.
            *answers, last = [word for word, _ in questions[0] if not (word == "Strict" and "Private" in words)]
            chosen = served([*words, last], questions[1:])
            for word in reversed(answers):
                chosen = {"Fn::If": [f"Serves{word}", served([*words, word], questions[1:]), chosen]}
            return chosen
        state = "".join(words)
        conditions[f"Serves{state}"] = {"Fn::And": [{"Condition": f"Serves{word}"} for word in words]}
        name = f"PcsApiDeployment{definition}{state}"
        resources[name] = {"Type": "AWS::ApiGateway::Deployment", "Condition": f"Serves{state}",
                           "Properties": copy.deepcopy(properties)}
        return {"Ref": name}

    stage["DeploymentId"] = served([], QUESTIONS)


def from_a_bucket(template, version, bucket):
    """The function's code is a zip of the release, wherever its files were put."""
    template["Parameters"] |= {
        "PackageBucket": {
            "Description": "Name of the Amazon S3 bucket that has the release's zips. It has to be in this stack's Region.",
            "Type": "String", "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            **({"Default": bucket} if bucket else {}),
        },
        "PackageKey": {
            "Description": "Key of the zip in PackageBucket. Empty, it is the one of this release for the Architecture, "
                           f"below pcs-api/{version}/.",
            "Type": "String", "Default": "", "MaxLength": 1024,
        },
    }
    template["Conditions"]["HasPackageKey"] = {"Fn::Not": [{"Fn::Equals": [{"Ref": "PackageKey"}, ""]}]}
    released = {"Fn::Sub": f"pcs-api/{version}/pcs-api-{version}-${{Architecture}}.zip"}
    template["Resources"]["PcsApiFunction"]["Properties"]["Code"] = {
        "S3Bucket": {"Ref": "PackageBucket"},
        "S3Key": {"Fn::If": ["HasPackageKey", {"Ref": "PackageKey"}, released]},
    }
    label("The package", ["PackageBucket", "PackageKey"], template)


def from_an_image(template):
    """The function's code is a container image. Lambda patches no image, so there is no runtime to manage."""
    template["Parameters"]["ImageUri"] = {
        "Description": "URI of the container image in Amazon ECR, in this stack's Region, for the Architecture.",
        "Type": "String",
        "AllowedPattern": r"^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})$",
    }
    function = template["Resources"]["PcsApiFunction"]["Properties"]
    for name in ("Handler", "Runtime", "RuntimeManagementConfig"):
        del function[name]
    function |= {"PackageType": "Image", "Code": {"ImageUri": {"Ref": "ImageUri"}}}
    label("The package", ["ImageUri"], template)


def label(text, parameters, template):
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    groups.insert(0, {"Label": {"default": text}, "Parameters": parameters})
    groups[2]["Parameters"].append("RedeployApi")


def release(version, bucket=None, image=False):
    """The template of a release, as CloudFormation reads it."""
    template = with_parameters_kept(read("template.yaml"), read("openapi/pcs-api.deployed.yaml"))
    template["Description"] = f"PCS API {version}: " + template["Description"].removeprefix("PCS API: ")
    deployments(template, version)
    if image:
        from_an_image(template)
    else:
        from_a_bucket(template, version, bucket)
    return template


@functools.cache
def _read(path):
    return yaml_parse((ROOT / path).read_text())


def read(path):
    """A file of the checkout, with the short forms of intrinsic functions written out."""
    return copy.deepcopy(_read(path))


class Plain(yaml.SafeDumper):
    """Every value in full: CloudFormation knows no anchors."""

    def ignore_aliases(self, data):
        return True


def text(template, version):
    head = (f"# PCS API {version}, as plain CloudFormation. Made by scripts/release of template.yaml, which is the file to\n"
            "# read: it has the comments. docs/deploy.md says how to deploy this one.\n")
    return head + yaml.dump(template, Dumper=Plain, sort_keys=False, width=4096)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--version", required=True)
    parser.add_argument("--output", required=True, type=pathlib.Path)
    parser.add_argument("--bucket", help="default of PackageBucket; without it the parameter has to be given")
    given = parser.parse_args()
    if not re.fullmatch(r"\d+\.\d+\.\d+", given.version):
        parser.error("--version is three numbers such as 0.2.0")
    if given.bucket and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", given.bucket):
        parser.error("--bucket is the name of an S3 bucket, without s3://")
    zip_, image = release(given.version, given.bucket), release(given.version, image=True)
    (given.output / "pcs-api.yaml").write_text(text(zip_, given.version))
    (given.output / "pcs-api-image.yaml").write_text(text(image, given.version))


if __name__ == "__main__":
    main()
