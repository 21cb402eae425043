"""Signed requests, by signers nobody here wrote: botocore's, and curl's own."""

import datetime
import re
import shutil
import subprocess
import tempfile
import pathlib
import http.client
import urllib.parse

import requests
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from answers import Answer

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
# A principal with a good key whom the API's resource policy refuses.
OUTSIDER = ("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")
REGION = "us-east-1"
SERVICE = "execute-api"
JSON = {"Content-Type": "application/json"}
TIMEOUT_SECONDS = 60


def signed_headers(method, url, body=b"", headers=None, *, key=KEY, secret=SECRET, token=None, region=REGION,
                   service=SERVICE, seconds_from_now=0):
    """The headers to send: those given, and the signature's. Signs Host, X-Amz-Date and everything given."""
    request = AWSRequest(method, url, headers=dict(headers or {}), data=body)
    signer = SigV4Auth(Credentials(key, secret, token), service, region)
    time = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
    # add_auth, but with a time of our own choice.
    request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return dict(request.headers.items())


def presigned_url(method, url, *, expires=300, seconds_ago=0, key=KEY, secret=SECRET):
    request = AWSRequest(method, url)
    signer = SigV4QueryAuth(Credentials(key, secret), SERVICE, REGION, expires=expires)
    time = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds_ago)
    request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return request.url


def send_raw(method, url, body=b"", headers=None):
    """Sends exactly this: the target is not normalized, nothing is added but Host and Content-Length."""
    split = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(split.hostname, split.port, timeout=TIMEOUT_SECONDS)
    try:
        target = url[len(f"{split.scheme}://{split.netloc}"):]
        connection.request(method, target, body=body or None, headers=headers or {})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


class Raw:
    """botocore's signature, and a connection that sends the target as it stands."""

    agent = "contract/raw"

    def send(self, method, url, body=b"", headers=None):
        headers = {"User-Agent": self.agent, **(headers or {})}
        return send_raw(method, url, body, signed_headers(method, url, body, headers))


class Requests:
    """The `requests` library with botocore's signature, as most Python callers would do it."""

    agent = "contract/requests"

    def send(self, method, url, body=b"", headers=None):
        headers = {"User-Agent": self.agent, **(headers or {})}
        response = requests.request(method, url, data=body or None, timeout=TIMEOUT_SECONDS,
                                    headers=signed_headers(method, url, body, headers))
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, found, response.content)


class Curl:
    """`curl --aws-sigv4`."""

    agent = "contract/curl"

    def send(self, method, url, body=b"", headers=None):
        with tempfile.TemporaryDirectory() as folder:
            answered, received = pathlib.Path(folder, "headers"), pathlib.Path(folder, "body")
            received.touch()
            command = ["curl", "--silent", "--show-error", "--max-time", str(TIMEOUT_SECONDS), "--request", method,
                       "--aws-sigv4", f"aws:amz:{REGION}:{SERVICE}", "--user", f"{KEY}:{SECRET}",
                       "--user-agent", self.agent, "--dump-header", answered, "--output", received]
            for name, value in (headers or {}).items():
                command += ["--header", f"{name}: {value}"]
            if body:
                command += ["--data-binary", "@-"]
            subprocess.run([*command, url], input=body, check=True, timeout=TIMEOUT_SECONDS + 10)
            status, *lines = answered.read_text().splitlines()
            pairs = (line.split(": ", 1) for line in lines if line)
            found = {name.lower(): value for name, value in pairs}
            return Answer(int(status.split()[1]), found, received.read_bytes())


def curl_fault():
    """Why this machine's curl cannot sign, or None."""
    if shutil.which("curl") is None:
        return "there is no curl"
    said = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(part) for part in re.match(r"curl (\d+)\.(\d+)", said).groups())
    return None if version >= (7, 75) else f"curl {version} has no --aws-sigv4 (7.75 has)"
