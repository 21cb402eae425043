"""The template as CloudFormation gets it: the deployed contract in its place, SAM's transform applied.

SAM's translator is AWS's own, the one that runs in CloudFormation. What runs there before it, AWS::Include, is done
here: it puts the deployed contract where the template asks for it.
"""

import copy
import logging
import pathlib

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# It reports missing telemetry of its own, on every expansion.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
CONTRACT = ROOT / "openapi" / "pcs-api.yaml"
DEPLOYED_CONTRACT = ROOT / "openapi" / "pcs-api.deployed.yaml"
# Where `sam package` would have put the function's package.
CODE = "s3://packages/pcs-api.zip"


def template():
    """template.yaml, with the short forms of intrinsic functions written out."""
    return yaml_parse(TEMPLATE.read_text())


def contract():
    """The whole contract: what is deployed has to say the same."""
    return yaml_parse(CONTRACT.read_text())


def deployed_contract():
    return yaml_parse(DEPLOYED_CONTRACT.read_text())


def parameter_defaults(document):
    return {name: str(parameter["Default"]) for name, parameter in document["Parameters"].items()}


def expand(document, parameters, region="us-east-1"):
    """Plain CloudFormation, intrinsic functions included, for these parameter values."""
    document = copy.deepcopy(document)
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            assert resource["Properties"]["CodeUri"] == "."
            resource["Properties"]["CodeUri"] = CODE
    api = document["Resources"]["PcsApi"]["Properties"]
    include = {"Name": "AWS::Include", "Parameters": {"Location": "openapi/pcs-api.deployed.yaml"}}
    assert api["DefinitionBody"] == {"Fn::Transform": include}
    api["DefinitionBody"] = deployed_contract()
    # {}: no managed policy has to be looked up in an account.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=region))
    return translator.translate(document, dict(parameters))
