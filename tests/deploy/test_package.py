"""The package that scripts/package made: one file that Lambda can start, linked against no more than its runtime has.

PCS_API_PACKAGE names the zip. That it answers is tested by `lambda_binary` of the Rust tests, with the same file.
"""

import hashlib
import io
import json
import os
import pathlib
import re
import zipfile

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

import expand as expansion

# glibc of Amazon Linux 2023, which provided.al2023 is (AL2023 release notes).
GLIBC_MOST = (2, 34)
# The C library and its loader; each library more is a twentieth of the start (crates/static-libs).
LIBRARIES = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
MACHINES = {"x86_64": "EM_X86_64", "arm64": "EM_AARCH64"}


@pytest.fixture(scope="module")
def package():
    path = os.environ.get("PCS_API_PACKAGE")
    if not path:
        pytest.skip("NOT CHECKED: PCS_API_PACKAGE names no package (scripts/package makes one; --fast leaves it out)")
    return pathlib.Path(path)


@pytest.fixture(scope="module")
def binary(package):
    with zipfile.ZipFile(package) as archive:
        return ELFFile(io.BytesIO(archive.read("bootstrap")))


def test_it_holds_the_one_file_that_the_runtime_starts(package):
    with zipfile.ZipFile(package) as archive:
        entry, = archive.infolist()
        assert entry.filename == "bootstrap"
        assert entry.create_system == 3 and entry.external_attr >> 16 == 0o100755, "Lambda could not run it"
        assert entry.date_time == (1980, 1, 1, 0, 0, 0), "two builds would give two zips"


def test_it_fits_into_lambda(package):
    with zipfile.ZipFile(package) as archive:
        # Lambda takes 50 MB zipped; this product keeps far below, because size is start time.
        assert archive.getinfo("bootstrap").file_size < 20_000_000
    assert package.stat().st_size < 8_000_000


def test_it_is_for_the_processor_in_its_name(package, binary):
    arch, = re.findall(r"-(x86_64|arm64)\.zip$", package.name)
    assert binary["e_machine"] == MACHINES[arch]


def test_it_needs_no_newer_c_library_than_lambda_has(binary):
    versions = set()
    for section in binary.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, needed in section.iter_versions():
                versions.update(each.name for each in needed)
    glibc = {tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in versions if name.startswith("GLIBC_2")}
    assert glibc, "a binary without glibc has to be looked at in another way"
    assert max(glibc) <= GLIBC_MOST, sorted(glibc)


def test_it_loads_no_library_but_the_c_library(binary):
    dynamic, = [section for section in binary.iter_sections() if isinstance(section, DynamicSection)]
    needed = {tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"}
    assert "libc.so.6" in needed and needed <= LIBRARIES, needed


def test_it_names_no_folder_of_the_machine_that_built_it(package):
    with zipfile.ZipFile(package) as archive:
        contents = archive.read("bootstrap")
    folders = {str(expansion.ROOT), str(pathlib.Path.home() / ".cargo"), os.environ.get("CARGO_TARGET_DIR", "")} - {""}
    assert [folder for folder in folders if folder.encode() in contents] == []


def test_the_bill_of_materials_is_that_of_the_binary(package):
    bill = json.loads(package.with_suffix(".cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == "pcs-api"
    crates = {each["name"]: each for each in bill["components"]}
    assert {"aws-sdk-pcs", "lambda_runtime", "rustls", "ring", "tokio", "unwinding"} <= set(crates)
    # Neither emulators nor what only tests and builds use.
    assert not {"pcs-emulator", "iam-emulator", "pcs-local", "dynoxide-rs", "proptest", "serde-saphyr"} & set(crates)
    locked = (expansion.ROOT / "Cargo.lock").read_text()
    for name, crate in crates.items():
        assert f'name = "{name}"\nversion = "{crate["version"]}"' in locked, name
        assert crate.get("licenses"), name
    refs = {each["bom-ref"] for each in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    for each in bill["dependencies"]:
        assert {each["ref"], *each.get("dependsOn", [])} <= refs


def test_the_checksum_is_that_of_the_zip(package):
    written = pathlib.Path(f"{package}.sha256").read_text().split()
    assert written == [hashlib.sha256(package.read_bytes()).hexdigest(), package.name]
