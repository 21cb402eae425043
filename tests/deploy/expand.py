"""The template as CloudFormation gets it: the deployed contract in its place, SAM's transform applied.

SAM's translator is AWS's own, the one that runs in CloudFormation. What runs there before it, AWS::Include, is done
by scripts/release_template.py, which makes the templates of a release with the same translator.
"""

import pathlib
import sys

from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import release_template  # noqa: E402

TEMPLATE = ROOT / "template.yaml"
CONTRACT = ROOT / "openapi" / "pcs-api.yaml"
DEPLOYED_CONTRACT = ROOT / "openapi" / "pcs-api.deployed.yaml"


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
    return release_template.expand(document, deployed_contract(), parameters, region)
