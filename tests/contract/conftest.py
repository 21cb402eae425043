"""What several test files share: a running product, one per file."""

import json
import shlex
import subprocess

import pytest

# Their assertions say what they compared, like those of the tests.
pytest.register_assert_rewrite("answers", "browsers", "stack", "trail")

from stack import Stack, program


@pytest.fixture(scope="module")
def local():
    """`pcs-local`, with transitions of one second; see stack.py for what it checks on every call."""
    running = Stack("--transition-seconds", "1")
    yield running
    running.kill()


@pytest.fixture
def empty(local):
    """The same with no clusters in PCS."""
    local.settle()
    local.control("reset", {})
    return local


@pytest.fixture(scope="module")
def url():
    """Of an API with nothing between it and its emulators, for thousands of calls."""
    ports = [option for name in ("", "pcs-", "iam-", "dynamodb-", "page-") for option in (f"--{name}port", "0")]
    command = [*program(), *ports, "--transition-seconds", "0"]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = process.stdout.readline()
    assert line.startswith("READY "), f"{shlex.join(map(str, command))} printed {line!r}"
    yield json.loads(line.removeprefix("READY "))["gateway"]
    process.kill()
    process.wait()
