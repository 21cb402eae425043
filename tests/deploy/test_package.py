"""The package that scripts/package made: one file that Lambda can start, with all that it needs in it.

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
from elftools.elf.elffile import ELFFile

import expand as expansion

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


def test_nothing_is_loaded_or_relocated_at_start(binary):
    # Neither a loader nor a library: none that Lambda's runtime would have to have, and no time for them.
    assert binary["e_type"] == "ET_EXEC"
    kinds = {segment["p_type"] for segment in binary.iter_segments()}
    assert "PT_LOAD" in kinds and not {"PT_INTERP", "PT_DYNAMIC"} & kinds, kinds


def test_its_stack_cannot_be_executed_and_what_is_fixed_cannot_be_written(binary):
    segments = {segment["p_type"]: segment for segment in binary.iter_segments()}
    executable, writable = 1, 2
    assert not segments["PT_GNU_STACK"]["p_flags"] & executable
    assert "PT_GNU_RELRO" in segments
    for segment in binary.iter_segments("PT_LOAD"):
        assert segment["p_flags"] & (executable | writable) != executable | writable


def test_it_names_no_folder_of_the_machine_that_built_it(package):
    with zipfile.ZipFile(package) as archive:
        contents = archive.read("bootstrap")
    folders = {str(expansion.ROOT), str(pathlib.Path.home() / ".cargo"), os.environ.get("CARGO_TARGET_DIR", "")} - {""}
    assert [folder for folder in folders if folder.encode() in contents] == []


def test_the_bill_of_materials_is_that_of_the_binary(package):
    bill = json.loads(package.with_suffix(".cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == "pcs-api"
    crates = {each["name"]: each for each in bill["components"] if each["purl"].startswith("pkg:cargo/")}
    assert {"aws-sdk-pcs", "lambda_runtime", "rustls", "ring", "tokio"} <= set(crates)
    # Neither emulators nor what only tests and builds use.
    assert not {"pcs-emulator", "iam-emulator", "pcs-local", "dynoxide-rs", "proptest", "serde-saphyr"} & set(crates)
    locked = (expansion.ROOT / "Cargo.lock").read_text()
    for name, crate in crates.items():
        assert f'name = "{name}"\nversion = "{crate["version"]}"' in locked, name
        assert crate.get("licenses"), name
    # What zig links in, as its own files name it.
    others = {each["name"]: each for each in bill["components"] if each["name"] not in crates}
    assert set(others) == {"musl", "libunwind", "zig-compiler-rt"}
    for name, part in others.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", part["version"]) and part["licenses"], name
    refs = {each["bom-ref"] for each in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    for each in bill["dependencies"]:
        assert {each["ref"], *each.get("dependsOn", [])} <= refs


def test_the_licences_of_all_its_parts_go_with_it(package):
    """MIT, BSD and Apache-2.0 ask for their text in every copy."""
    told = package.with_suffix(".licenses.txt").read_text()
    bill = json.loads(package.with_suffix(".cdx.json").read_text())
    parts = {f"{each['name']} {each['version']} (" for each in bill["components"] if each["purl"].startswith("pkg:cargo/")}
    # Crates of this repository are under its own licence, which lies beside the package.
    own = {f"{name} {version} (" for name, version in re.findall(
        r'name = "([^"]+)"\nversion = "([^"]+)"\n(?!source)', (expansion.ROOT / "Cargo.lock").read_text())}
    assert sorted(part for part in parts - own if f"\n{part}" not in told) == []
    for part, words in {
        "ring": "Copyright 2015-2025 Brian Smith",
        "aws-sdk-pcs": "Apache License",
        "musl": "Rich Felker",
        "libunwind": "LLVM Exceptions to the Apache 2.0 License",
    }.items():
        sections = [text for text in told.split("-" * 78 + "\n\n") if words in text]
        assert sections and re.search(rf"^{part} ", told, re.M), part


def test_the_checksum_is_that_of_the_zip(package):
    """Beside it as scripts/package leaves it, or among all of a release's."""
    beside = pathlib.Path(f"{package}.sha256")
    written = (beside if beside.exists() else package.with_name("SHA256SUMS")).read_text().splitlines()
    assert f"{hashlib.sha256(package.read_bytes()).hexdigest()}  {package.name}" in written
