"""scripts/model-watch: what it says of a model that PCS may have tomorrow, and that silence is not "nothing".

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
import shutil
import subprocess
import sys
import tarfile
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
UPDATE = "crates/pcs-emulator/model/update.py"
COMPARISON = "tests/contract/model_comparison.py"
DIFFERENCES = "tests/contract/differences.py"
PINS = "tests/contract/requirements.txt"


def watch(*arguments, script=WATCH, **environment):
    """(status, lines on standard output, what is on standard error)"""
    done = subprocess.run([sys.executable, script, *arguments], env={**os.environ, **environment}, capture_output=True,
                          text=True, timeout=300, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def doctored(change):
    model = copy.deepcopy(MODEL)
    change(model)
    return model


def member_added(model):
    model["shapes"]["CreateQueueRequest"]["members"]["priority"] = {"shape": "Integer"}


# What PCS may bring, and the lines that must say so: the places in the contract and beside it, and what is out of
# date in the emulator.
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
    "an operation without input and output": (
        lambda m: m["operations"].update(RebootPCS={"http": {"method": "POST", "requestUri": "/"}}),
        [f"{CONTRACT}: RebootPCS: operation is in the model only",
         f"{UPDATE}: cannot derive RebootPCS, which has a form that nothing here had (KeyError: 'input')"],
        None,
    ),
    "an output less": (
        lambda m: (m["operations"]["GetQueue"].pop("output"), member_added(m)),
        [f"{CONTRACT}: CreateQueueRequest.priority: missing; the model has integer, optional",
         f"{CONTRACT}: GetQueue: output: is nothing by the model, and has content in the contract",
         f"{UPDATE}: cannot derive GetQueue, which has a form that nothing here had (KeyError: 'output')"],
        "CreateQueueRequest",
    ),
    "an input less": (
        lambda m: m["operations"]["GetQueue"].pop("input"),
        [f"{CONTRACT}: GetQueue: input: member clusterIdentifier is in the contract only",
         f"{CONTRACT}: GetQueue: input: member queueIdentifier is in the contract only",
         f"{UPDATE}: cannot derive GetQueue, which has a form that nothing here had (KeyError: 'input')"],
        None,
    ),
    "an input whose shape is not there": (
        lambda m: (m["operations"]["GetQueue"]["input"].update(shape="Lost"), member_added(m)),
        [f"{CONTRACT}: CreateQueueRequest.priority: missing; the model has integer, optional",
         f"{COMPARISON}: GetQueue: input: has a form that model_comparison.py does not know (KeyError: 'Lost'); "
         "read it by hand"],
        "GetQueue, CreateQueueRequest",
    ),
    "a member whose shape has no type": (
        lambda m: (m["shapes"]["QueueName"].clear(), member_added(m)),
        [f"{CONTRACT}: CreateQueueRequest.priority: missing; the model has integer, optional",
         f"{COMPARISON}: CreateQueueRequest.queueName: has a form that model_comparison.py does not know "
         "(KeyError: 'type'); read it by hand",
         f"{COMPARISON}: PROBES: QueueName has no pattern in the model",
         f"{UPDATE}: cannot derive QueueName, which has a form that nothing here had (KeyError: 'type')"],
        "CreateQueueRequest",
    ),
    "a pattern of another language": (
        lambda m: (m["shapes"]["QueueName"].update(pattern=r"\p{L}+"), member_added(m)),
        [f"{CONTRACT}: CreateQueueRequest.priority: missing; the model has integer, optional",
         rf"{CONTRACT}: QueueName: pattern is '^\\p{{L}}+$' by the model, "
         "'^(?!pcs_)[A-Za-z][A-Za-z0-9-]+$' in the contract",
         rf"{CONTRACT}: QueueName: pattern: '\\p{{L}}+' of the model cannot be tried here (bad escape \p at position "
         "0); read it by hand"],
        "CreateQueueRequest, QueueName",
    ),
    "a pattern that ends too early": (
        lambda m: m["shapes"]["SubnetId"].update(pattern="(?<x>["),
        [rf"{CONTRACT}: SubnetId: pattern is '^(?<x>[$' by the model, '^subnet-\\w{{8,17}}$' in the contract",
         f"{CONTRACT}: SubnetId: pattern: '(?<x>[' of the model cannot be tried here (unknown extension ?<x at "
         "position 1); read it by hand"],
        "SubnetId",
    ),
    "a pattern that means something else in Python": (
        lambda m: m["shapes"]["SubnetId"].update(pattern="[a-z&&[^b]]+"),
        [rf"{CONTRACT}: SubnetId: pattern is '^[a-z&&[^b]]+$' by the model, '^subnet-\\w{{8,17}}$' in the contract",
         f"{CONTRACT}: SubnetId: pattern: '[a-z&&[^b]]+' of the model cannot be tried here (Possible set intersection "
         "at position 4); read it by hand"],
        "SubnetId",
    ),
    "another HTTP binding": (
        lambda m: m["operations"]["GetQueue"]["http"].update(method="GET", requestUri="/queues"),
        [f"{CONTRACT}: GetQueue: is taken at GET /queues by the model, and this API sends POST /"],
        None,
    ),
    "errors more and less": (
        lambda m: m["operations"]["GetQueue"].update(errors=[{"shape": "ResourceNotFoundException"},
                                                             {"shape": "ConflictException"},
                                                             {"shape": "ServiceQuotaExceededException"}]),
        [f"{CONTRACT}: GetQueue: ServiceQuotaExceededException is modelled, status 402 is not documented",
         f"{EMULATOR}: GetQueue: error ServiceQuotaExceededException is in the model only",
         *(f"{EMULATOR}: GetQueue: error {name} is not in the model any more"
           for name in ("AccessDeniedException", "InternalServerException", "ThrottlingException",
                        "ValidationException"))],
        "GetQueue",
    ),
    "an idempotency token less": (
        lambda m: m["shapes"]["DeleteQueueRequest"]["members"]["clientToken"].pop("idempotencyToken"),
        [f"{CONTRACT}: DeleteQueueRequest.clientToken: is no idempotency token by the model, and this API knows "
         "clientToken alone as one"],
        None,
    ),
    "an idempotency token more": (
        lambda m: m["shapes"]["DeleteQueueRequest"]["members"]["queueIdentifier"].update(idempotencyToken=True),
        [f"{CONTRACT}: DeleteQueueRequest.queueIdentifier: is an idempotency token by the model, and this API knows "
         "clientToken alone as one"],
        None,
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
    assert watch("--model", file) == (1, [*lines, *([of_emulator(changed)] if changed else [])], "")


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


def test_what_interrupts_the_comparison_takes_no_line_with_it(tmp_path):
    """In a checkout whose emulator has no model."""
    for file in (WATCH, ROOT / CONTRACT, ROOT / UPDATE, ROOT / COMPARISON, ROOT / DIFFERENCES, ROOT / PINS):
        copied = tmp_path / file.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copied)
    model = tmp_path / "service-2.json"
    model.write_text(json.dumps(doctored(member_added)))
    status, lines, reason = watch("--model", model, script=tmp_path / WATCH.relative_to(ROOT))
    missing = f"{CONTRACT}: CreateQueueRequest.priority: missing; the model has integer, optional"
    assert (status, lines) == (2, [missing])
    assert reason.startswith("model-watch: could not look: there may be more than the lines above: FileNotFoundError")
    assert (ROOT / EMULATOR).name in reason


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\x1f\x8bnonsense",
                                     b'{"metadata": {}, "operations": {}, "shapes": 1}', b"PK\x03\x04nonsense",
                                     b'{"metadata": {"a": 1}, "operations": {"GetQueue": 1}, "shapes": {"Queue": {}}}'])
def test_what_is_no_model_is_not_fine(content, tmp_path):
    file = tmp_path / "service-2.json"
    if content is not None:
        file.write_bytes(content)
    status, lines, reason = watch("--model", file)
    assert (status, lines) == (2, [])
    assert reason.startswith("model-watch: could not look: ")


# ---- the newest botocore ----

def wheel(folder, package, version, files, requires=">=3.8"):
    """A wheel in the folder of its package, as an index serves it."""
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
                              f"Requires-Python: {requires}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    place = folder / "simple" / package.lower()
    place.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(place / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, data in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, data)


def botocore_wheel(folder, version, model, **metadata):
    wheel(folder, "botocore", version, {"botocore/data/pcs/2023-02-10/service-2.json": json.dumps(model)}, **metadata)


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


def a_member_more_than_pinned(version):
    return [
        f"{CONTRACT}: CreateQueueRequest.priority: missing; the model has integer, optional",
        of_emulator("CreateQueueRequest"),
        f"{PINS}: botocore is pinned at {botocore.__version__}; the lines above are of {version}, which boto3 and "
        "botocore have to be pinned at",
    ]


def test_the_newest_botocore_of_the_index_is_looked_at_and_nothing_older(tmp_path):
    pinned = botocore.__version__
    newer = f"{pinned}1"
    yaml_wheel(tmp_path)
    botocore_wheel(tmp_path, pinned, MODEL)
    with index(tmp_path) as asked:
        assert watch(**asked) == (0, [], "")
        botocore_wheel(tmp_path, newer, doctored(member_added))
        assert watch(**asked) == (1, a_member_more_than_pinned(newer), "")
        # What was fetched for an earlier run is not fetched again, and not believed if it is not what the index has.
        [fetched] = (tmp_path / "cache" / "model-watch-botocore").iterdir()
        assert newer in fetched.name
        fetched.write_bytes(b"")
        assert watch(**asked) == (1, a_member_more_than_pinned(newer), "")
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


def test_neither_this_python_nor_a_constraint_hides_the_newest(tmp_path):
    pinned, newer = botocore.__version__, f"{botocore.__version__}1"
    yaml_wheel(tmp_path)
    botocore_wheel(tmp_path, pinned, MODEL)
    botocore_wheel(tmp_path, newer, doctored(member_added), requires=">=3.99")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(f"botocore=={pinned}\n")
    configuration = tmp_path / "pip.conf"
    with index(tmp_path) as asked:
        found = (1, a_member_more_than_pinned(newer), "")
        assert watch(**asked) == found
        assert watch(**asked, PIP_CONSTRAINT=str(constraints)) == found
        for section in ("global", "install"):
            configuration.write_text(f"[{section}]\nconstraint = {constraints}\nprefer-binary = true\n")
            assert watch(**{**asked, "PIP_CONFIG_FILE": str(configuration)}) == found


def test_a_newest_release_without_a_wheel_is_not_passed_over(tmp_path):
    newer = f"{botocore.__version__}1"
    yaml_wheel(tmp_path)
    botocore_wheel(tmp_path, botocore.__version__, MODEL)
    with tarfile.open(tmp_path / "simple" / "botocore" / f"botocore-{newer}.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(f"botocore-{newer}/setup.py"))
    with index(tmp_path) as asked:
        for preference in ({}, {"PIP_ONLY_BINARY": ":all:", "PIP_PREFER_BINARY": "1"}):
            status, lines, reason = watch(**asked, **preference)
            assert (status, lines) == (2, []) and reason.startswith("model-watch: could not look: ")


def test_a_wheel_says_which_botocore_it_is_of(tmp_path):
    pinned, newer = botocore.__version__, f"{botocore.__version__}1"
    botocore_wheel(tmp_path, newer, doctored(member_added))
    botocore_wheel(tmp_path, pinned, MODEL)
    botocore_wheel(tmp_path, "1.0.0", doctored(LATER["a member less"][0]))
    wheel(tmp_path, "botocore", "0.1", {})
    place = tmp_path / "simple" / "botocore"

    def look(version):
        return watch("--model", place / f"botocore-{version}-py3-none-any.whl")

    assert look(newer) == (1, a_member_more_than_pinned(newer), "")
    assert look(pinned) == (0, [], "")
    # An older one lacks what PCS has got since, which is nothing that PCS has lost.
    status, lines, reason = look("1.0.0")
    assert (status, lines) == (2, []) and f"is of botocore 1.0.0, and {pinned} is pinned" in reason
    status, lines, reason = look("0.1")
    assert (status, lines) == (2, []) and "is no wheel of botocore with a model of PCS" in reason
