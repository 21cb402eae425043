"""Asks an IAM that nobody here wrote: npm's @cloud-copilot/iam-simulate, with the actions, resource types and condition
keys of AWS's Service Authorization Reference. It runs as a program of its own, because it is AGPL.

IAM_SIMULATOR names the folder that scripts/test installed it into.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parent / "simulator" / "simulate.mjs"


@dataclasses.dataclass(frozen=True)
class Request:
    """Who wants to do what, on what, and what IAM knows of it besides."""

    principal: str
    action: str
    resource: str
    context: tuple = ()

    def told(self):
        return f"{self.principal} {self.action} {self.resource} {dict(self.context)}"


def folder():
    found = os.environ.get("IAM_SIMULATOR")
    if not found:
        assert not shutil.which("npm"), "npm is there: set IAM_SIMULATOR, or run scripts/test, which does"
        pytest.skip("NOT CHECKED: there is no npm to install the IAM simulator with")
    return found


def results(asked, resource_policy=None):
    """IAM's answer to each (request, identity policies): Allowed, ImplicitlyDenied or ExplicitlyDenied."""
    asked = list(asked)
    simulations = []
    for request, identity in asked:
        # AWS's managed policies belong to every account.
        account = (request.resource.split(":") + [""] * 5)[4].replace("aws", "")
        simulation = {
            "request": {
                "principal": request.principal,
                "action": request.action,
                "resource": {"resource": request.resource, "accountId": account or "123456789012"},
                "contextVariables": dict(request.context),
            },
            "identityPolicies": [{"name": name, "policy": document} for name, document in identity.items()],
        }
        if resource_policy:
            simulation["resourcePolicy"] = resource_policy
        simulations.append(simulation)
    done = subprocess.run(["node", str(SCRIPT)], input=json.dumps(simulations), capture_output=True, text=True,
                          check=False, env={**os.environ, "IAM_SIMULATOR": folder()})
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == len(asked)
    for (request, _), answer in zip(asked, answers):
        # An unknown action, a resource that the action does not take, a key that it does not know.
        assert "error" not in answer, (request.told(), answer)
        assert answer["ignored"] == [], (request.told(), answer)
    return [answer["result"] for answer in answers]


def reference(service):
    """Actions of a service in the Service Authorization Reference, by lower-case name."""
    data = pathlib.Path(folder()) / "node_modules" / "@cloud-copilot" / "iam-data" / "data" / "actions"
    return json.loads((data / f"{service}.json").read_text())
