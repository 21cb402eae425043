"""Starts a PCS emulator and talks to it with clients nobody here wrote.

Every answer that passes through `client()` is checked against botocore's own model of PCS: the output
shape by botocore's parameter validator (missing, unknown and mistyped members), enums and patterns by
walking the shape, errors by the error shape they claim to be. What other clients were answered is checked
too: every emulator of the run writes its answers to one record (test_emulator_record.py).
"""

import atexit
import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ACCOUNT = "123456789012"
PROFILE = f"arn:aws:iam::{ACCOUNT}:instance-profile/aws-pcs/nodes"

# A profile of the account that PCS does not see, and what the emulator can be told to say of it: error and words.
UNSEEN_PROFILE = f"arn:aws:iam::{ACCOUNT}:instance-profile/aws-pcs/unseen"
UNSEEN_PROFILES = {
    "denied": ("AccessDeniedException", f"The instance profile {UNSEEN_PROFILE} doesn't pass iam:PassRole verification"),
    "name": ("ValidationException", "Invalid IAM Instance Profile name"),
    "name-value": ("ValidationException", "Value (unseen) for parameter iamInstanceProfile.name is invalid. "
                                          "Invalid IAM Instance Profile name"),
    "arn-value": ("ValidationException", f"Value ({UNSEEN_PROFILE}) for parameter iamInstanceProfile.arn is invalid. "
                                         "Invalid IAM Instance Profile ARN"),
    "auto-scaling": ("ValidationException", "Invalid IamInstanceProfile: unseen"),
    "role": ("ValidationException", "The role ARN is invalid"),
    "field": ("ValidationException", "1 validation error detected: Value at 'iamInstanceProfileArn': is invalid"),
    "not-found": ("ResourceNotFoundException", "The instance profile unseen was not found"),
}

# Answers of the layers in front of PCS, which no PCS shape models.
UNMODELLED = {"InvalidToken", "SerializationException", "UnknownOperationException",
              "MissingAuthenticationToken", "IncompleteSignature", "InvalidSignatureException",
              "UnrecognizedClientException", "RequestEntityTooLargeException"}
# Every AWS service validates and throttles, whether or not an action models it.
ALWAYS = {"ValidationException", "ThrottlingException"}

# Every emulator this run starts inherits it and appends its answers. Whoever sets it before gets the answers of
# this run beside those of others, such as the Rust tests.
if "PCS_EMULATOR_RECORD" not in os.environ:
    kept = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, kept)
    os.environ["PCS_EMULATOR_RECORD"] = os.path.join(kept, "calls.jsonl")
RECORD = pathlib.Path(os.environ["PCS_EMULATOR_RECORD"])


def program():
    """The command that starts the emulator."""
    binary = os.environ.get("PCS_EMULATOR_BIN")
    if binary:
        return [binary]
    return ["cargo", "run", "--quiet", "--manifest-path", str(ROOT / "Cargo.toml"), "-p", "pcs-emulator", "--"]


class Emulator:
    """A running emulator; `process` is its process, `url` where it listens."""

    def __init__(self, *flags):
        command = [*program(), "--port", "0", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("READY "), f"{shlex.join(command)} printed {line!r}"
        self.url = json.loads(line.removeprefix("READY "))["pcs"]

    def control(self, path, body=None, method=None):
        """GET without a body, POST with one, unless `method` says otherwise."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/_control/{path}", data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def settle(self):
        """Lets every transition under way end."""
        self.control("advance", {"seconds": 7200})

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def emulator(*flags):
    running = Emulator(*flags)
    try:
        yield running
    finally:
        running.stop()


def client(url, *, key=KEY, secret=SECRET, region="us-east-1", attempts=1, read_timeout=10):
    """A boto3 PCS client whose every answer is checked against botocore's model."""
    made = boto3.client(
        "pcs", endpoint_url=url, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, read_timeout=read_timeout))
    made.meta.events.register("after-call.pcs.*", checks(made.meta.service_model))
    return made


def checks(service: ServiceModel):
    def check(http_response, parsed, model, **_):
        body = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
        assert parsed["ResponseMetadata"].get("RequestId"), "no request id"
        if http_response.status_code >= 300:
            check_error(service, model, body)
        else:
            conforms(model.output_shape, body)
    return check


def check_error(service, operation, body):
    error = body.pop("Error")
    code = error["Code"]
    if code in UNMODELLED:
        return
    modelled = {shape.name for shape in operation.error_shapes}
    assert code in modelled | ALWAYS, f"{operation.name}: {code}"
    conforms(service.shape_for_error_code(code), {"message": error["Message"], **body})


def conforms(shape, value):
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), f"{shape.name}: {report.generate_report()}\n{value}"
    walk(shape, value, shape.name)


def walk(shape, value, path):
    """Enums and patterns, which botocore's validator does not look at."""
    if shape.type_name == "structure":
        for name, member in value.items():
            walk(shape.members[name], member, f"{path}.{name}")
    elif shape.type_name == "list":
        for entry in value:
            walk(shape.member, entry, f"{path}[]")
    elif shape.type_name == "map":
        for key, entry in value.items():
            walk(shape.key, key, f"{path} key")
            walk(shape.value, entry, f"{path}.{key}")
    elif shape.type_name == "string":
        if shape.enum:
            assert value in shape.enum, f"{path}: {value}"
        pattern = shape.metadata.get("pattern")
        if pattern:
            assert re.fullmatch(pattern, value, re.ASCII), f"{path}: {value} is not {pattern}"


def cluster_input(name="demo", **more):
    return {"clusterName": name, "scheduler": {"type": "SLURM", "version": "25.11"}, "size": "SMALL",
            "networking": {"subnetIds": ["subnet-0123456789abcdef0"]}, **more}


def group_input(cluster, name="nodes", **more):
    return {"clusterIdentifier": cluster, "computeNodeGroupName": name,
            "subnetIds": ["subnet-0123456789abcdef0"], "iamInstanceProfileArn": PROFILE,
            "scalingConfiguration": {"minInstanceCount": 0, "maxInstanceCount": 2},
            "instanceConfigs": [{"instanceType": "c6i.xlarge"}],
            "customLaunchTemplate": {"id": "lt-0123456789abcdef0", "version": "1"}, **more}


def until(probe, wanted, seconds=10):
    """Polls as users of PCS do: it has no waiters."""
    end = time.monotonic() + seconds
    while (found := probe()) != wanted:
        assert time.monotonic() < end, f"still {found}, not {wanted}"
        time.sleep(0.05)
