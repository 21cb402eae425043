"""`sam build`, the SAM CLI's own, with the template and the Makefile as they are. Only scripts/package is a stand-in: it
notes what it is asked for and makes its zip of nothing, because the real one is tested by test_package.py and takes
minutes.
"""

import os
import shutil
import subprocess
import sys

import pytest

import expand as expansion

STAND_IN = """#!/bin/sh
echo "$@" >"{noted}"
pwd >"{noted}.place"
mkdir -p "$5" && cd "$5" && echo binary >bootstrap && python3 -m zipfile --create pcs-api-0.0.0-$2.zip bootstrap
rm bootstrap
"""


@pytest.fixture
def build(tmp_path):
    if not shutil.which("make"):
        pytest.skip("NOT CHECKED: there is no make")
    checkout, noted = tmp_path / "checkout", tmp_path / "noted"
    (checkout / "scripts").mkdir(parents=True)
    for name in ("template.yaml", "Makefile", "samconfig.toml"):
        shutil.copy(expansion.ROOT / name, checkout)
    package = checkout / "scripts" / "package"
    package.write_text(STAND_IN.format(noted=noted))
    package.chmod(0o755)

    def build(*options):
        # Somebody's variable of that name says nothing about this template.
        environment = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", "PATH": os.environ["PATH"],
                       "HOME": str(tmp_path), "ARCHITECTURE": "amd64"}
        run = subprocess.run([sys.executable, "-m", "samcli", "build", *options], cwd=checkout, env=environment,
                             capture_output=True, text=True)
        return run, noted.read_text() if noted.exists() else None, checkout

    return build


@pytest.mark.parametrize("architecture", [None, "arm64", "x86_64"])
@pytest.mark.parametrize("folder", [None, "elsewhere/built"])
def test_the_function_is_built_for_the_processor_that_the_template_asks_for(build, architecture, folder):
    options = ["--parameter-overrides", f"Architecture={architecture}"] if architecture else []
    options += ["--build-dir", folder] if folder else []
    run, asked, checkout = build(*options)
    assert run.returncode == 0, run.stderr
    assert asked.startswith(f"--arch {architecture or 'arm64'} --no-sbom --output "), asked
    built = checkout / (folder or ".aws-sam/build") / "PcsApiFunction"
    assert [each.name for each in built.iterdir()] == ["bootstrap"], "nothing else goes to Lambda"
    assert os.access(built / "bootstrap", os.X_OK), "Lambda could not run it"


def test_the_checkout_is_not_copied(build, tmp_path):
    """What cargo leaves in target/ is gigabytes. samconfig.toml has SAM build in the source."""
    run, _, checkout = build()
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "noted.place").read_text().strip() == str(checkout)
    assert sorted(each.name for each in checkout.iterdir()) == [
        ".aws-sam", "Makefile", "samconfig.toml", "scripts", "template.yaml"], "nothing is left in it"


def test_a_processor_that_is_not_known_stops_the_real_script():
    run = subprocess.run([expansion.ROOT / "scripts" / "package", "--arch", ""], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr == "scripts/package: --arch is arm64 or x86_64\n"
