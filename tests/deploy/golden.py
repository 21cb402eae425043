"""What reviewers read: the whole stack for the default parameters, and for every other parameter set what differs.

`python tests/deploy/golden.py` writes the files anew. Read what changed before you commit it: tests compare, but only a
reader can say that a new permission is right.
"""

import difflib
import pathlib
import re

import yaml

from conftest import made
from scenarios import PARTITIONS, SCENARIOS

FOLDER = pathlib.Path(__file__).parent / "golden"
FIRST = "default"


class Plain(yaml.SafeDumper):
    """Every value in full, wherever it occurs."""

    def ignore_aliases(self, data):
        return True


def text(name):
    """Resources and outputs as they come out. Without the alarms and the dashboard, which grant nothing: test_alarms.py
    has them all."""
    stack = made(name)[1]
    resources = {}
    for key, resource in stack.resources().items():
        if resource["Type"].startswith("AWS::CloudWatch::"):
            continue
        # The deployment's id is another one every time, on purpose.
        key = re.sub(r"Deployment[0-9a-f]{10}$", "Deployment", key)
        resources[key] = shown({part: value for part, value in resource.items() if part != "Metadata"})
    return yaml.dump({"Resources": resources, "Outputs": stack.outputs()}, Dumper=Plain, sort_keys=False, width=110)


def shown(resource):
    """One resource, shortened where it would be long and says nothing new."""
    properties = resource["Properties"]
    if resource["Type"] == "AWS::ApiGateway::RestApi":
        body = properties["Body"]
        properties["Body"] = {"(the contract and)": {
            part: body[part] for part in ("servers", "x-amazon-apigateway-policy")}}
    elif resource["Type"] == "AWS::ApiGateway::Deployment":
        del properties["Description"]
    elif resource["Type"] == "AWS::DynamoDB::Table":
        for index in properties["GlobalSecondaryIndexes"][2:]:
            index["Projection"] = "(as in the one before)"
    elif resource["Type"] == "AWS::Lambda::Function":
        # As the resource AllowedPolicies has it; test_allowlist.py compares.
        variables = properties["Environment"]["Variables"]
        variables["PCS_API_ADDITIONAL_IAM_POLICIES"] = "(AllowedPolicies)"
    elif resource["Type"] == "AWS::SSM::Parameter":
        properties["Value"] = properties["Value"].split(",")
    return resource


def files():
    """Path -> contents."""
    first = text(FIRST)
    made_ = {FOLDER / f"{FIRST}.yaml": first}
    for name in [*SCENARIOS, *PARTITIONS]:
        if name != FIRST:
            parameters = PARTITIONS[name][0] if name in PARTITIONS else SCENARIOS[name]
            head = "".join(f"# {key}={value}\n" for key, value in parameters.items())
            lines = difflib.unified_diff(first.splitlines(), text(name).splitlines(), FIRST, name, n=4, lineterm="")
            # Line numbers would change with every line above.
            lines = [re.sub(r"^@@ .* @@$", "@@", line) for line in lines]
            made_[FOLDER / f"{name}.diff"] = head + "\n".join(lines) + "\n"
    return made_


if __name__ == "__main__":
    for old in FOLDER.iterdir():
        old.unlink()
    for path, contents in files().items():
        path.write_text(contents)
