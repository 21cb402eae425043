"""scripts/model-watch: what it says of a model that PCS may have tomorrow, and that it never takes silence for "nothing".

The models are botocore's with one change each. The package index is one of this file's own, with wheels of a botocore
that holds nothing but such a model.
"""

import contextlib
import copy
import functools
import gzip
import http.server
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import threading
import zipfile

import botocore
import botocore.loaders
import pytest

from openapi_document import ROOT

WATCH = ROOT / "scripts" / "model-watch"
MODEL = botocore.loaders.Loader().load_service_model("pcs", "service-2")
CONTRACT = "openapi/pcs-api.yaml"
EMULATOR = "crates/pcs-emulator/model/pcs-2023-02-10.json"
COMPARISON = "tests/contract/model_comparison.py"
DIFFERENCES = "tests/contract/differences.py"


def watch(*arguments, **environment):
    """(status, lines on standard output, what is on standard error)"""
    done = subprocess.run([sys.executable, WATCH, *arguments], env={**os.environ, **environment}, capture_output=True,
                          text=True, timeout=300, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def doctored(change):
    model = copy.deepcopy(MODEL)
    change(model)
    return model


def member_added(model):
    model["shapes"]["CreateQueueRequest"]["members"]["priority"] = {"shape": "Integer"}


# What PCS may bring, and the lines that must say so: the places in the contract and beside it, and those in the emulator.
LATER = {
    "a member of a request": (
        member_added,
        [f"{CONTRACT}: CreateQueueRequest.priority: missing; the model has integer, optional"],
        "CreateQueueRequest",
    ),
    "a nested member with constraints": (
        lambda m: (m["shapes"].update(Language={"type": "string", "min": 1, "max": 64}),
                   m["shapes"]["JobSubmitPlugin"]["members"].update(language={"shape": "Language"}),
                   m["shapes"]["JobSubmitPlugin"]["required"].append("language")),
        [f"{CONTRACT}: JobSubmitPlugin.language: missing; the model has string 1..64 (Language), required"],
        "JobSubmitPlugin, Language",
    ),
    "a constraint": (
        lambda m: m["shapes"]["JobSubmitPluginList"].update(max=5),
        [f"{CONTRACT}: JobSubmitPluginList: maxItems is 5 by the model, 1 in the contract"],
        "JobSubmitPluginList",
    ),
    "an enum value": (
        lambda m: m["shapes"]["DeepHealthCheckOnStartProfile"]["enum"].append("EXTREME"),
        [f"{CONTRACT}: DeepHealthCheckOnStartProfile: enum value EXTREME is in the model only"],
        "DeepHealthCheckOnStartProfile",
    ),
    "an operation": (
        lambda m: m["operations"].update(RebootCluster=m["operations"]["UpdateCluster"]),
        [f"{CONTRACT}: RebootCluster: operation is in the model only"],
        "RebootCluster",
    ),
    "a member less": (
        lambda m: m["shapes"]["ComputeNodeGroup"]["members"].pop("sshKeyName"),
        [f"{CONTRACT}: ComputeNodeGroup: member sshKeyName is in the contract only"],
        "ComputeNodeGroup",
    ),
    "a pattern less": (
        lambda m: m["shapes"]["AmiId"].pop("pattern"),
        [f"{CONTRACT}: AmiId: pattern is None by the model, '^ami-[a-z0-9]+$' in the contract",
         f"{COMPARISON}: PROBES: AmiId has no pattern in the model"],
        "AmiId",
    ),
    "a pattern more": (
        lambda m: m["shapes"]["TagValue"].update(pattern="[a-z]+"),
        [f"{CONTRACT}: TagValue: pattern is '^[a-z]+$' by the model, None in the contract"],
        "TagValue",
    ),
    "a member that this API had first": (
        lambda m: m["shapes"]["DeleteQueueRequest"]["members"].update(dryrun={"shape": "String"}),
        [f"{CONTRACT}: DeleteQueueRequest.dryrun: default is None by the model, False in the contract",
         f"{CONTRACT}: DeleteQueueRequest.dryrun: type is 'string' by the model, 'boolean' in the contract",
         f"{DIFFERENCES}: DELIBERATE: DeleteQueue: input: member dryrun is in the contract only: "
         "no such difference any more"],
        "DeleteQueueRequest",
    ),
}


def of_emulator(names):
    return (f"{EMULATOR}: out of date in {names}; run crates/pcs-emulator/model/update.py with the botocore that has "
            "them")


@pytest.mark.parametrize("name", LATER)
def test_each_difference_is_a_line_that_says_where_it_belongs(name, tmp_path):
    change, lines, changed = LATER[name]
    file = tmp_path / "service-2.json"
    file.write_text(json.dumps(doctored(change)))
    assert watch("--model", file) == (1, [*lines, of_emulator(changed)], "")


def test_several_differences_are_all_named(tmp_path):
    model = copy.deepcopy(MODEL)
    rows = [LATER[name] for name in ("a member of a request", "a constraint", "an enum value", "a member less")]
    for change, _, _ in rows:
        change(model)
    file = tmp_path / "service-2.json.gz"
    file.write_bytes(gzip.compress(json.dumps(model).encode()))
    status, lines, _ = watch("--model", file)
    assert (status, sorted(lines[:-1])) == (1, sorted(line for _, expected, _ in rows for line in expected))


def test_the_pinned_model_differs_in_nothing():
    [file] = pathlib.Path(botocore.__file__).parent.glob("data/pcs/*/service-2.json.gz")
    assert watch("--model", file) == (0, [], "")
    assert watch("--installed") == (0, [], "")


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\x1f\x8bnonsense",
                                     b'{"metadata": {}, "operations": {}, "shapes": 1}'])
def test_what_is_no_model_is_not_fine(content, tmp_path):
    file = tmp_path / "service-2.json"
    if content is not None:
        file.write_bytes(content)
    status, lines, reason = watch("--model", file)
    assert (status, lines) == (2, [])
    assert reason.startswith("model-watch: could not look: ")


# ---- the newest botocore ----

def wheel(folder, package, version, files):
    """A wheel in the folder of its package, as an index serves it."""
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    place = folder / "simple" / package.lower()
    place.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(place / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, data in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, data)


# As much of botocore as looks a model up: the true one has dependencies, which this index has not.
LOADERS = """
import json, pathlib

class Loader:
    def load_service_model(self, service_name, type_name):
        [file] = pathlib.Path(__file__).parent.glob(f"data/{service_name}/*/{type_name}.json")
        return json.loads(file.read_text())
"""


def botocore_wheel(folder, version, model):
    wheel(folder, "botocore", version, {
        "botocore/__init__.py": f"__version__ = {version!r}\n",
        "botocore/loaders.py": LOADERS,
        "botocore/data/pcs/2023-02-10/service-2.json": json.dumps(model),
    })


def yaml_wheel(folder):
    """The PyYAML of these tests, without its compiled part."""
    import yaml

    source = pathlib.Path(yaml.__file__).parent
    files = {f"yaml/{path.name}": path.read_bytes() for path in source.glob("*.py")}
    wheel(folder, "PyYAML", importlib.metadata.version("PyYAML"), files)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def index(folder):
    """What pip has to be told to ask the index in this folder, and nothing else."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {"PIP_INDEX_URL": f"http://127.0.0.1:{server.server_port}/simple", "PIP_EXTRA_INDEX_URL": "",
               "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
               "PCS_API_CACHE": str(folder / "cache")}
    finally:
        server.shutdown()
        server.server_close()


def test_the_newest_botocore_of_the_index_is_looked_at_and_nothing_older(tmp_path):
    pinned = botocore.__version__
    newer = f"{pinned}1"
    yaml_wheel(tmp_path)
    botocore_wheel(tmp_path, pinned, MODEL)
    with index(tmp_path) as asked:
        assert watch(**asked) == (0, [], "")
        botocore_wheel(tmp_path, newer, doctored(member_added))
        lines = [
            f"{CONTRACT}: CreateQueueRequest.priority: missing; the model has integer, optional",
            of_emulator("CreateQueueRequest"),
            f"tests/contract/requirements.txt: botocore is pinned at {pinned}; the lines above are of {newer}, which "
            "boto3 and botocore have to be pinned at",
        ]
        assert watch(**asked) == (1, lines, "")
        for old in (tmp_path / "simple" / "botocore").iterdir():
            old.unlink()
        botocore_wheel(tmp_path, "1.0.0", MODEL)
        status, lines, reason = watch(**asked)
        assert (status, lines) == (2, []) and f"has botocore 1.0.0 at most, and {pinned} is pinned" in reason
    # The index is gone. That a botocore is installed, and that a folder has its wheel, makes no answer of it.
    botocore_wheel(tmp_path, newer, MODEL)
    status, lines, reason = watch(**asked, PIP_FIND_LINKS=str(tmp_path / "simple" / "botocore"))
    assert (status, lines) == (2, [])
    assert reason.startswith("model-watch: could not look: the package index does not serve pip: ")


def test_wheels_that_the_configuration_of_pip_offers_are_no_index(tmp_path):
    yaml_wheel(tmp_path)
    botocore_wheel(tmp_path, botocore.__version__, MODEL)
    with index(tmp_path) as asked:
        assert watch(**asked) == (0, [], "")
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nfind-links = {tmp_path / 'simple' / 'botocore'}\n")
    status, lines, reason = watch(**{**asked, "PIP_CONFIG_FILE": str(configuration)})
    assert (status, lines) == (2, [])
    assert "which is not of a package index" in reason


def test_a_first_look_without_an_index_is_not_fine(tmp_path):
    with index(tmp_path) as asked:
        pass
    status, lines, reason = watch(**asked)
    assert (status, lines) == (2, [])
    assert reason.startswith("model-watch: could not look: the package index does not serve pip: ")
