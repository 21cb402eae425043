"""Runs scripts/smoke within the tests, and reads what it printed. The fixtures are for test_smoke*.py, which import them.
"""

import functools
import importlib.machinery
import importlib.util
import json
import re
import sys

import boto3
import pytest

import expand as expansion
import smoke_world
from conftest import running_local
from smoke_world import NAME, REGION

SCRIPTS = expansion.ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))
import smoke_api  # noqa: E402
import smoke_calls  # noqa: E402
import smoke_checks  # noqa: E402

loader = importlib.machinery.SourceFileLoader("smoke", str(SCRIPTS / "smoke"))
smoke = importlib.util.module_from_spec(importlib.util.spec_from_loader("smoke", loader))
loader.exec_module(smoke)

NOT_ASKED = "the other questions of crates/pcs-emulator/README.md"
# What is not tried of a stack with default parameters.
NO_SUCH = {"the stage has the web ACL", "the audit table is encrypted with the key", NOT_ASKED}


@pytest.fixture(scope="module")
def addresses():
    with running_local("--sweep-seconds", "1") as found:
        yield found


@pytest.fixture(scope="module")
def account(addresses):
    with smoke_world.world(addresses) as world:
        wait_for_a_sweep(addresses["gateway"])
        yield world


@pytest.fixture
def world(account, monkeypatch):
    account.right()
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.aws_url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in smoke_world.ADMINISTRATOR.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield account
    account.right()


def wait_for_a_sweep(url):
    api = smoke_api.Api(url, REGION)
    while not [each for each in api.call(smoke_world.USER, "GET", "/v1/audit-events", {"operation": "Sweep"}).body[
            "auditEvents"] if each["stage"] == "COMPLETE"]:
        pass


class Told:
    def __init__(self, status, out):
        self.status, self.out = status, out
        # Continuations joined; title -> (word, reason).
        lines = re.findall(r"^(ok|FAILED|NOT TRIED) +(.*(?:\n {11}.*)*)", out, re.M)
        self.lines = {}
        for word, text in lines:
            title, _, reason = " ".join(text.split()).partition(": ")
            self.lines[title] = (word, reason)
        self.answers = [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def those(self, word):
        return {title for title, (found, _) in self.lines.items() if found == word}


@pytest.fixture
def asked(capsys):
    def run(*arguments):
        capsys.readouterr()
        status = smoke.main(list(arguments))
        return Told(status, capsys.readouterr().out)
    return run


def of_stack(asked, *arguments):
    return asked(NAME, "--region", REGION, *arguments)


@pytest.fixture
def quick(monkeypatch, clients):
    """Without the answers, and with clients that are there already."""
    monkeypatch.setattr(smoke, "answers", lambda report, calls: None)
    monkeypatch.setattr(smoke_calls, "RECORD_TRIES", 1)
    monkeypatch.setattr(smoke_checks.Deployment, "client", lambda deployment, service: clients(service))


@pytest.fixture(scope="module")
def clients(account):
    session = boto3.Session(*smoke_world.ADMINISTRATOR.values(), region_name=REGION)
    return functools.cache(lambda service: session.client(service, endpoint_url=account.aws_url, config=smoke.CONFIG))
