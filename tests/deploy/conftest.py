"""What several test files share: the template, and what it comes to for each parameter set."""

import functools
import json
import os
import subprocess

import pytest

import expand as expansion
from intrinsics import Stack
from scenarios import PARTITIONS, SCENARIOS


@functools.cache
def made(name):
    """The expanded template, and the stack that CloudFormation makes of it, for the parameter set `name`."""
    parameters, place = PARTITIONS[name] if name in PARTITIONS else (SCENARIOS[name], {})
    document = expansion.template()
    values = {**expansion.parameter_defaults(document), **parameters}
    expanded = expansion.expand(document, values, place.get("region", "us-east-1"))
    return expanded, Stack(expanded, values, **place)


@pytest.fixture(scope="session")
def template():
    return expansion.template()


@pytest.fixture(scope="session")
def contract():
    return expansion.contract()


@pytest.fixture(scope="session", params=[*SCENARIOS, *PARTITIONS])
def scenario(request):
    return request.param


@pytest.fixture(scope="session")
def expanded(scenario):
    return made(scenario)[0]


@pytest.fixture(scope="session")
def stack(scenario):
    return made(scenario)[1]


@pytest.fixture(scope="session")
def local():
    """Where a running `pcs-local` listens. PCS_LOCAL_BIN names the program; without it cargo builds one."""
    root = expansion.ROOT
    binary = os.environ.get("PCS_LOCAL_BIN")
    program = [binary] if binary else [
        "cargo", "run", "--quiet", "--manifest-path", str(root / "Cargo.toml"), "--package", "pcs-local", "--"]
    ports = ("--port", "0", "--pcs-port", "0", "--iam-port", "0", "--dynamodb-port", "0", "--page-port", "0")
    with subprocess.Popen([*program, *ports], stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("READY "), f"{program} printed {line!r}"
            yield json.loads(line.removeprefix("READY "))
        finally:
            process.kill()
