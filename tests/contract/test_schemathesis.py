"""Schemathesis against the running product: requests made out of the contract, right ones and wrong ones.

No answer may be a failure of the server, of a status that the contract does not have, or of another shape than it says.
What is reported and is no fault stands in schemathesis_accepted.yaml, with the reason.
"""

import base64
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from answers import CONTRACT, METHODS, contract

HERE = pathlib.Path(__file__).parent
ACCEPTED = yaml.safe_load((HERE / "schemathesis_accepted.yaml").read_text())
# The same requests in every run. The coverage phase is complete; of the other, so many for each operation.
SEED, EXAMPLES = 1, 5

schemathesis = pytest.importorskip("schemathesis", reason="Schemathesis has an environment of its own (scripts/test)")


def run(url, report):
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [program, f"--config-file={HERE / 'schemathesis.toml'}", "run", CONTRACT, "--url", url,
               "--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED, "--continue-on-failure",
               "--no-shrink", "--checks", "all", "--exclude-checks", ",".join(ACCEPTED["checks"]),
               "--report", "ndjson", "--report-ndjson-path", report]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_signing", "PYTHONPATH": str(HERE),
                   "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_STORAGE_DIRECTORY": str(report.with_suffix(".db"))}
    done = subprocess.run([str(part) for part in command], env=environment, cwd=report.parent, capture_output=True,
                          text=True, timeout=3600, check=False)
    # 1: there are reports. Anything else: it did not run.
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]


def scenarios(report):
    for line in report.read_text().splitlines():
        event = json.loads(line)
        if "ScenarioFinished" in event:
            yield event["ScenarioFinished"]["recorder"]


def reports(report):
    """(operation, check, what it says, status, body) of everything that was reported."""
    for recorder in scenarios(report):
        for case, checks in recorder["checks"].items():
            for check in checks:
                if check["status"] == "success":
                    continue
                said = check["failure_info"]["failure"]
                answer = (recorder["interactions"].get(case) or {}).get("response") or {}
                content = base64.b64decode((answer.get("content") or {}).get("$base64", "")).decode()
                text = f"{said['title']}: {said['message']}"
                yield recorder["label"], check["name"], text, answer.get("status_code"), content


def is_accepted(check, said, status, content):
    if check == "negative_data_rejection":
        return any(re.search(rule["fault"], said) for rule in ACCEPTED["taken"])
    if check != "positive_data_acceptance":
        return False
    # What a dry run answers to a request that passes.
    if status == 412:
        return True
    sentences = [fault["message"] for fault in json.loads(content).get("fieldErrors", [])]
    rules = [rule["sentence"] for rule in ACCEPTED["refused"]]
    return bool(sentences) and all(any(re.match(rule, sentence) for rule in rules) for sentence in sentences)


def test_no_request_gets_an_answer_that_the_contract_does_not_have(url, tmp_path):
    report = tmp_path / "report.ndjson"
    run(url, report)
    tested = {recorder["label"] for recorder in scenarios(report)}
    assert len(tested) == sum(method in METHODS for path in contract()["paths"].values() for method in path)
    left = [found for found in reports(report) if not is_accepted(*found[1:])]
    for operation, check, said, status, content in left[:50]:
        print(f"{operation} {check} {said}\n    {status} {content[:500]}")
    assert left == []
