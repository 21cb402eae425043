"""The folder that scripts/release made: whole, of one version, and enough for a machine without Rust.

PCS_API_RELEASE names the folder. What its templates say is tested by test_release_template.py.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest
import requests
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import expand as expansion
import release_template

RELEASE = expansion.ROOT / "scripts" / "release"
# AWS's documentation pair, which is the API user role on a laptop.
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def version_of_cargo():
    text = (expansion.ROOT / "Cargo.toml").read_text()
    return re.search(r'^\[workspace\.package\]\nversion = "(.*)"$', text, re.M)[1]


# --- one version ---


def test_one_version_everywhere():
    version = version_of_cargo()
    root = expansion.ROOT
    # What the record of a call says (gatewayVersion) is Cargo's: src/audit/record/row.rs takes CARGO_PKG_VERSION.
    assert 'env!("CARGO_PKG_VERSION")' in (root / "src/audit/record/row.rs").read_text()
    assert expansion.contract()["info"]["version"] == version
    assert expansion.deployed_contract()["info"]["version"] == version
    released, = re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", (root / "CHANGELOG.md").read_text(), re.M)[:1]
    assert released == version
    named = set(re.findall(r"VERSION=(\S+)|pcs-api/(\d+\.\d+\.\d+)/|scripts/release (\d\S+)`", (root / "docs/deploy.md").read_text()))
    assert {next(filter(None, each)) for each in named} == {version}
    for manifest in [*(root / "crates").glob("*/Cargo.toml"), *(root / "benches").glob("*/Cargo.toml"), root / "Cargo.toml"]:
        assert "\nversion.workspace = true\n" in manifest.read_text(), manifest


def test_the_translator_is_the_one_that_is_tried():
    tried = (expansion.ROOT / "tests/deploy/requirements.txt").read_text().splitlines()
    pins = [line for line in (expansion.ROOT / "scripts/requirements-release.txt").read_text().splitlines()
            if line and not line.startswith("#")]
    assert len(pins) == 3
    assert [line for line in pins if not [each for each in tried if each.startswith(line)]] == []


@pytest.mark.parametrize("arguments, said", [
    ([], "VERSION is three numbers such as 0.2.0"),
    (["9.9"], "VERSION is three numbers such as 0.2.0"),
    (["9.9.9"], f"Cargo.toml has version {version_of_cargo()}, not 9.9.9"),
    ([version_of_cargo(), "0.0.1"], "there is one VERSION"),
    ([version_of_cargo(), "--output", str(expansion.ROOT)],
     f"{expansion.ROOT} is there already; name another folder, or remove it"),
])
def test_what_cannot_be_released_is_said(arguments, said):
    run = subprocess.run([RELEASE, *arguments], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (2, f"scripts/release: {said}\n")


@pytest.mark.parametrize("arguments", [["--version", "1"], ["--version", "1.2.3", "--bucket", "s3://b"]])
def test_what_no_template_can_be_made_of_is_said(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["release_template.py", "--output", str(tmp_path), *arguments])
    with pytest.raises(SystemExit) as ended:
        release_template.main()
    assert ended.value.code == 2 and arguments[-2] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# --- the folder ---


@pytest.fixture(scope="module")
def release():
    path = os.environ.get("PCS_API_RELEASE")
    if not path:
        pytest.skip("NOT CHECKED: PCS_API_RELEASE names no release (scripts/release makes one; --fast leaves it out)")
    return pathlib.Path(path)


def test_the_sums_are_of_all_files(release):
    sums = dict(reversed(line.split("  ")) for line in (release / "SHA256SUMS").read_text().splitlines())
    files = {str(path.relative_to(release)): path for path in release.rglob("*") if path.is_file()}
    del files["SHA256SUMS"]
    assert sums == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def test_it_is_what_the_page_says(release):
    version = version_of_cargo()
    archs = {re.search(r"-(arm64|x86_64)\.zip$", path.name)[1] for path in release.glob("*.zip")}
    assert archs
    made = {"pcs-api.yaml", "pcs-api-image.yaml", "pcs-api.openapi.yaml", "Containerfile", "iam", "CHANGES.md", "LICENSE",
            "SHA256SUMS", "smoke", "smoke_api.py", "smoke_calls.py", "smoke_checks.py"}
    for arch in archs:
        made |= {f"pcs-api-{version}-{arch}.zip", f"pcs-api-{version}-{arch}.cdx.json",
                 f"pcs-api-{version}-{arch}.licenses.txt", f"pcs-api-programs-{version}-linux-{arch}.tar.gz"}
    assert {path.name for path in release.iterdir()} == made
    page = (expansion.ROOT / "docs/deploy.md").read_text().split("### What a release holds")[1].split("\n## ")[0]
    for name in made:
        told = re.sub(version, "VERSION", re.sub(r"x86_64(?=\.zip)", "arm64", name))
        told = re.sub(r"^.*-x86_64(\.tar\.gz)$", r"-x86_64\1", re.sub(r"^.*(\.cdx\.json|\.licenses\.txt)$", r"\1", told))
        assert f"`{told}" in page, name
    changes = (release / "CHANGES.md").read_text()
    assert "### Added" in changes and not re.search(r"^## ", changes, re.M)


def test_smoke_needs_nothing_of_the_checkout(release, tmp_path):
    """boto3 aside, which this Python has."""
    for name in ("smoke", "smoke_api.py", "smoke_calls.py", "smoke_checks.py"):
        (tmp_path / name).write_bytes((release / name).read_bytes())
    done = subprocess.run([sys.executable, tmp_path / "smoke", "--help"], capture_output=True, text=True, check=False,
                          cwd=tmp_path, env={"PATH": "/nonexistent", "HOME": str(tmp_path)})
    assert done.returncode == 0 and "NOT TRIED" in done.stdout, done.stdout + done.stderr


def test_its_template_is_the_one_that_was_tested(release):
    assert yaml.safe_load((release / "pcs-api.yaml").read_text()) == release_template.release(version_of_cargo())
    assert yaml.safe_load((release / "pcs-api-image.yaml").read_text()) == release_template.release(
        version_of_cargo(), image=True)


def test_the_function_names_its_version(release):
    for path in release.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            assert version_of_cargo().encode() in archive.read("bootstrap")


# --- a machine without Rust ---


@pytest.fixture(scope="module")
def programs(release, tmp_path_factory):
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[os.uname().machine]
    archive, = release.glob(f"pcs-api-programs-*-linux-{machine}.tar.gz")
    folder = tmp_path_factory.mktemp("machine")
    with tarfile.open(archive) as packed:
        assert {entry.mtime for entry in packed.getmembers()} == {0}
        assert {entry.name.split("/")[1] for entry in packed.getmembers()} == {
            "pcs-local", "pcs-api-audit", "LICENSE", "THIRD-PARTY-LICENSES.txt"}
        packed.extractall(folder, filter="data")
    unpacked, = folder.iterdir()
    return unpacked


def nothing_else(folder):
    """The environment of a machine that has nothing: no PATH at all."""
    return {"PATH": "/nonexistent", "HOME": str(folder)}


@pytest.fixture(scope="module")
def laptop(programs):
    ports = ("--port", "0", "--pcs-port", "0", "--iam-port", "0", "--dynamodb-port", "0", "--page-port", "0")
    command = [programs / "pcs-local", *ports, "--transition-seconds", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=nothing_else(programs), cwd=programs) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("READY "), line
            yield json.loads(line.removeprefix("READY "))
        finally:
            process.kill()


def call(url, method, path, body=None):
    data = json.dumps(body) if body else None
    request = AWSRequest(method, url + path, data=data, headers={"Content-Type": "application/json"})
    SigV4Auth(KEYS, "execute-api", "us-east-1").add_auth(request)
    return requests.request(method, url + path, data=data, headers=dict(request.headers), timeout=60)


def test_a_cluster_lives(laptop):
    url = laptop["gateway"]
    created = call(url, "POST", "/v1/clusters", {
        "clusterName": "first", "size": "SMALL", "scheduler": {"type": "SLURM", "version": "25.05"},
        "networking": {"subnetIds": ["subnet-0123456789abcdef0"]}})
    assert created.status_code == 202, created.text
    found = call(url, "GET", "/v1/clusters/first").json()["cluster"]
    assert (found["name"], found["status"]) == ("first", "ACTIVE")
    assert call(url, "DELETE", "/v1/clusters/first").status_code == 202


def test_the_trail_can_be_proven(programs, laptop):
    environment = {**nothing_else(programs), "AWS_ENDPOINT_URL_DYNAMODB": laptop["dynamodb"], "AWS_REGION": "us-east-1",
                   "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "PCS_API_AUDIT_TABLE": "pcs-api-audit"}
    done = subprocess.run([programs / "pcs-api-audit", "query"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "CreateCluster" in done.stdout, done.stderr
