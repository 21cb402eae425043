"""One life, lived by boto3 and by the AWS CLI exactly as `crates/pcs-emulator/tests/life.json` tells it.

The Rust SDK lives the same file (crates/pcs-emulator/tests/it/sdk.rs). Afterwards the calls that the emulator heard are
compared with the file too: same order, same parameters, same outcomes, whoever the client was. `newest-life.json` beside
it has the members that only the newest model knows, so boto3 alone lives it.

    pip install awscli    # an environment of its own: awscli pins an older botocore
    AWS_CLI=/path/to/aws PCS_EMULATOR_BIN=target/debug/pcs-emulator pytest tests/contract/test_emulator_life.py
"""

import json
import os
import re
import shutil
import subprocess

import botocore
import botocore.exceptions

from pcs_life import KEY, ROOT, SECRET, client, emulator

TESTS = ROOT / "crates" / "pcs-emulator" / "tests"
LIFE = json.loads((TESTS / "life.json").read_text())
NEWEST_LIFE = json.loads((TESTS / "newest-life.json").read_text())


def test_a_life_as_boto3_lives_it():
    with emulator("--transition-seconds", "60") as started:
        Life(started, Boto(started.url)).run()


def test_a_life_with_job_submit_plugins_and_health_checks():
    with emulator("--transition-seconds", "60") as started:
        Life(started, Boto(started.url), NEWEST_LIFE).run()


def test_a_life_as_the_aws_cli_lives_it(tmp_path):
    aws = os.environ.get("AWS_CLI") or shutil.which("aws")
    assert aws, "no AWS CLI: set AWS_CLI"
    with emulator("--transition-seconds", "60") as started:
        Life(started, Cli(aws, started.url, tmp_path)).run()


class Refused(Exception):
    """The code of the error that PCS answered with."""


class Boto:
    def __init__(self, url):
        self.pcs = client(url)

    def call(self, action, body):
        try:
            answer = getattr(self.pcs, botocore.xform_name(action))(**body)
        except botocore.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            assert type(error) is getattr(self.pcs.exceptions, code), f"{code} is not typed"
            raise Refused(code) from error
        answer.pop("ResponseMetadata")
        return answer

    def pages(self, action, body, size, member):
        paginator = self.pcs.get_paginator(botocore.xform_name(action))
        pages = paginator.paginate(**body, PaginationConfig={"PageSize": size})
        return [entry for page in pages for entry in page[member]]


class Cli:
    def __init__(self, aws, url, home):
        self.aws = aws
        # Nothing of the person's own configuration may reach the run.
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "AWS_ENDPOINT_URL_PCS": url,
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "", "AWS_DEFAULT_OUTPUT": "json", "AWS_EC2_METADATA_DISABLED": "true"}

    def call(self, action, body, *more):
        command = [self.aws, "pcs", botocore.xform_name(action, "-"), "--cli-input-json", json.dumps(body), *more]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            code = re.search(r"An error occurred \((\w+)\) when calling the (\w+) operation", done.stderr)
            assert code and code[2] == action, done.stderr
            raise Refused(code[1])
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def pages(self, action, body, size, member):
        return self.call(action, body, "--page-size", str(size))[member]


class Life:
    """The steps of the file, with the ids that PCS gives out in the place of their names."""

    def __init__(self, running, session, steps=LIFE):
        self.running, self.session, self.steps, self.names = running, session, steps, {}

    def run(self):
        for step in self.steps:
            if "advance" in step:
                self.running.control("advance", {"seconds": step["advance"]})
            elif "paginate" in step:
                body = self.filled(step["body"])
                found = self.session.pages(step["paginate"], body, step["pageSize"], step["member"])
                assert [entry["name"] for entry in found] == step["finds"]
            else:
                self.call(step)
        assert self.heard() == told(self.steps)

    def call(self, step):
        try:
            answer = self.session.call(step["action"], self.filled(step["body"]))
        except Refused as refused:
            assert str(refused) == step.get("error"), step
            return
        assert "error" not in step, f"{step} was answered {answer}"
        for path, value in step.get("shows", {}).items():
            assert at(answer, path) == value, f"{path} of {answer}"
        for path in step.get("hides", ()):
            parent, _, name = path.rpartition(".")
            assert name not in at(answer, parent), f"{path} of {answer}"
        for name, path in step.get("names", {}).items():
            self.names[name] = at(answer, path)

    def filled(self, body):
        text = json.dumps(body)
        for name, value in self.names.items():
            text = text.replace(f'"<{name}>"', json.dumps(value))
        assert "<" not in text, text
        return json.loads(text)

    def heard(self):
        calls = []
        for call in self.running.control("calls")["calls"]:
            body = call["body"]
            token = body.pop("clientToken", None)
            changes = call["action"].startswith(("Create", "Update", "Delete"))
            assert (token is not None) == changes, "clients fill in client tokens"
            if "nextToken" in body:
                body["nextToken"] = "<token>"
            text = json.dumps(body)
            for name, value in self.names.items():
                text = text.replace(json.dumps(value), f'"<{name}>"')
            calls.append((call["action"], json.loads(text), call["status"] == 200))
        return calls


def at(answer, path):
    for name in path.split("."):
        answer = answer[name]
    return answer


def told(steps):
    """The calls the file consists of; a list of several pages is several calls."""
    calls = []
    for step in steps:
        if "action" in step:
            calls.append((step["action"], step["body"], "error" not in step))
        elif "paginate" in step:
            pages = max(1, -(-len(step["finds"]) // step["pageSize"]))
            first = {**step["body"], "maxResults": step["pageSize"]}
            calls.append((step["paginate"], first, True))
            calls += [(step["paginate"], {**first, "nextToken": "<token>"}, True)] * (pages - 1)
    return calls
