"""The C library that is in the function finds AWS's endpoints by name. That wants a machine by itself (lonely.py):
everywhere else the tests name endpoints by their address.
"""

import json
import os
import pathlib
import platform
import subprocess
import sys
import zipfile

import pytest

import expand as expansion
from conftest import made

APART = ["unshare", "--map-root-user", "--net", "--mount"]
LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
}
DYNAMODB = "dynamodb.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    package = os.environ.get("PCS_API_PACKAGE")
    if not package:
        pytest.skip("NOT CHECKED: PCS_API_PACKAGE names no package")
    if not package.endswith({"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "?") + ".zip"):
        pytest.skip("NOT CHECKED: the package is for another processor")
    try:
        subprocess.run([*APART, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("NOT CHECKED: a network of its own cannot be had here (unshare)")
    folder = tmp_path_factory.mktemp("bootstrap")
    with zipfile.ZipFile(package) as archive:
        bootstrap = pathlib.Path(archive.extract("bootstrap", folder))
    bootstrap.chmod(0o755)
    return bootstrap


@pytest.fixture
def start(binary, tmp_path):
    def start(kind, settings=""):
        resolver = tmp_path / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\n" + settings)
        function = made("default")[1].resources()["PcsApiFunction"]["Properties"]
        variables = {name: str(value) for name, value in function["Environment"]["Variables"].items()}
        event = json.loads((expansion.ROOT / "events" / "list-clusters.json").read_text())
        told = {"variables": {**LAMBDA, **variables}, "event": event}
        lonely = pathlib.Path(__file__).with_name("lonely.py")
        run = subprocess.run([*APART, sys.executable, lonely, binary, kind, resolver], input=json.dumps(told),
                             capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        happened = json.loads(run.stdout)
        # Whoever answered there was not DynamoDB, so that nothing was on record and nobody else was asked.
        assert happened["status"] == 503
        assert all(connection == ["127.0.0.3", True] for connection in happened["connections"])
        return happened["questions"], happened["connections"]

    return start


def test_by_one_question(start):
    questions, connections = start("plain")
    assert [DYNAMODB, "udp"] in questions and connections


def test_by_an_answer_that_no_datagram_holds(start):
    # RFC 7766, 5: cut short, and asked for again over TCP.
    questions, connections = start("truncated")
    assert [DYNAMODB, "udp"] in questions and [DYNAMODB, "tcp"] in questions and connections


def test_behind_a_search_list(start):
    # resolv.conf(5): a name with fewer dots than `ndots` is looked for in the list first. As in a VPC with its own names.
    questions, connections = start("plain", "search corp.example ec2.internal\noptions ndots:5\n")
    assert [f"{DYNAMODB}.corp.example", "udp"] in questions and [DYNAMODB, "udp"] in questions and connections


def test_a_name_that_nobody_has_is_a_failure_and_no_crash(start):
    questions, connections = start("missing")
    assert [DYNAMODB, "udp"] in questions and not connections
