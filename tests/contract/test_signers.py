"""Signers that callers use and nobody here wrote, and what they are told when a signature does not hold."""

import hashlib
import json

import pytest
import requests
from aws_requests_auth.aws_auth import AWSRequestsAuth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests_aws4auth import AWS4Auth

from signed import JSON, KEY, REGION, SECRET, SERVICE, send_raw, signed_headers

TARGETS = ["/v1/clusters", "/v1/clusters?maxResults=5&nextToken=", "/v1/clusters/demo-cluster"]


def aws_requests_auth(local, host=None):
    """Sends x-amz-content-sha256 and does not sign it."""
    return AWSRequestsAuth(aws_access_key=KEY, aws_secret_access_key=SECRET, aws_region=REGION, aws_service=SERVICE,
                           aws_host=host or local.url.removeprefix("http://"))


def requests_aws4auth(_local):
    return AWS4Auth(KEY, SECRET, REGION, SERVICE)


@pytest.mark.parametrize("signer", [aws_requests_auth, requests_aws4auth])
def test_a_signer_s_requests_are_taken(empty, signer):
    for target in TARGETS:
        answer = requests.get(empty.url + target, auth=signer(empty), timeout=60)
        assert answer.status_code != 403, answer.text
    body = json.dumps({"clusterName": "x"})
    answer = requests.post(f"{empty.url}/v1/clusters", data=body, headers=JSON, auth=signer(empty), timeout=60)
    assert answer.status_code == 400, answer.text


def test_a_host_signed_without_its_port_is_told(empty):
    host, port = empty.url.removeprefix("http://").split(":")
    answer = requests.get(f"{empty.url}/v1/clusters", auth=aws_requests_auth(empty, host), timeout=60)
    assert answer.status_code == 403
    message = answer.json()["message"]
    assert f"over the host '{host}', and the request was sent with 'Host: {host}:{port}'" in message
    headers = signed_headers("GET", f"{empty.url}/v1/clusters", b"", {"Host": f"{host}:{port}"})
    other = send_raw("GET", f"{empty.url}/v1/clusters", b"", headers | {"Host": host}).json["message"]
    assert f"over the host '{host}:{port}', and the request was sent with 'Host: {host}'" in other


def test_a_mismatch_is_told_with_botocore_s_own_strings(empty):
    url = f"{empty.url}/v1/clusters?maxResults=5&region=us-east-1"
    request = AWSRequest("POST", url, headers=JSON, data=b'{"a": 1}')
    signer = SigV4Auth(Credentials(KEY, "another secret"), SERVICE, REGION)
    signer.add_auth(request)
    answer = send_raw("POST", url, b'{"a": 1}', dict(request.headers.items()))
    assert answer.status == 403
    _, canonical, to_sign = answer.json["message"].split(" should have been\n'")
    canonical, to_sign = canonical.split("'\n\nThe String-to-Sign")[0], to_sign.removesuffix("'\n")
    # botocore leaves its own header out when it computes the strings again.
    del request.headers["Authorization"]
    assert canonical == signer.canonical_request(request)
    assert to_sign == signer.string_to_sign(request, canonical)
    assert to_sign.endswith(hashlib.sha256(canonical.encode()).hexdigest())
