"""What several test files share: the template, and what it comes to for each parameter set."""

import contextlib
import functools
import json
import os
import pathlib
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


def running(name, binary, *flags):
    """What the program's READY line says, while it runs. Where `binary` names none, cargo builds one."""
    program = [binary] if binary else [
        "cargo", "run", "--quiet", "--manifest-path", str(expansion.ROOT / "Cargo.toml"), "--package", name, "--"]
    with subprocess.Popen([*program, *flags], stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("READY "), f"{program} printed {line!r}"
            yield json.loads(line.removeprefix("READY "))
        finally:
            process.kill()


@contextlib.contextmanager
def running_local(*flags):
    """Where a running `pcs-local` listens. PCS_LOCAL_BIN names the program."""
    ports = ("--port", "0", "--pcs-port", "0", "--iam-port", "0", "--dynamodb-port", "0", "--page-port", "0")
    yield from running("pcs-local", os.environ.get("PCS_LOCAL_BIN"), *ports, *flags)


@contextlib.contextmanager
def running_emulator(*flags):
    """Where a running `pcs-emulator` listens: built beside pcs-local, or by cargo."""
    local = os.environ.get("PCS_LOCAL_BIN")
    binary = str(pathlib.Path(local).with_name("pcs-emulator")) if local else None
    for addresses in running("pcs-emulator", binary, "--port", "0", *flags):
        yield addresses["pcs"]


@pytest.fixture(scope="session")
def local():
    with running_local() as addresses:
        yield addresses
