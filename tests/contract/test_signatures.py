"""What must not pass: requests whose signature does not hold.

They are refused by API Gateway's part and leave no trace behind it; `Stack.turned_away` checks that neither PCS nor IAM
nor the audit trail learnt of it. Every way of breaking a request is applied to a request that is accepted without it
(`test_what_is_broken_below_is_whole`).
"""

import json
import urllib.parse

import pytest

from signed import JSON, OUTSIDER, Raw, presigned_url, send_raw, signed_headers

api = Raw()
CLUSTER = {"clusterName": "demo-cluster", "scheduler": {"type": "SLURM", "version": "25.11"}, "size": "SMALL",
           "networking": {"subnetIds": ["subnet-0123456789abcdef0"]}}
BODY = json.dumps(CLUSTER).encode()
LIST = "/v1/clusters?maxResults=10"
MINUTE = 60


def headers_for(local, method="GET", target=LIST, body=b"", headers=None, **how):
    headers = {**(JSON if body else {}), **(headers or {})}
    return signed_headers(method, local.url + target, body, headers, **how)


def test_what_is_broken_below_is_whole(empty):
    local = empty
    local.call(api, "GET", LIST, expect=200)
    local.call(api, "POST", "/v1/clusters?dryrun=true", CLUSTER, expect=412)
    assert send_raw("GET", local.url + LIST, headers=headers_for(local, headers={"X-Team": "a"})).status == 200
    for seconds in (-4 * MINUTE, 4 * MINUTE):
        assert send_raw("GET", local.url + LIST, headers=headers_for(local, seconds_from_now=seconds)).status == 200
    assert send_raw("GET", presigned_url("GET", local.url + LIST)).status == 200
    url = presigned_url("GET", local.url + LIST, expires=3600, seconds_ago=30 * MINUTE)
    assert send_raw("GET", url).status == 200, "a URL may be older than five minutes"


def test_unsigned(local):
    for method, target, body in [("GET", LIST, b""), ("POST", "/v1/clusters", BODY), ("DELETE", "/v1/clusters/a", b"")]:
        refused = local.turned_away(method, local.url + target, body, JSON if body else {}).json
        assert refused["code"] == "AccessDeniedException"
        assert "Signature Version 4" in refused["message"]


def test_dates_alone_are_no_signature(local):
    headers = headers_for(local)
    del headers["Authorization"]
    local.turned_away("GET", local.url + LIST, headers=headers)


WRONG_SIGNERS = {
    "wrong secret": {"secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEx"},
    "unknown key": {"key": "AKIAIOSFODNN7EXAMPLF"},
    "key in lower case": {"key": "akiaiosfodnn7example"},
    "no key": {"key": ""},
    "a session token that the key has not": {"token": "FwoGZXIvYXdzEXAMPLE"},
    "wrong service": {"service": "pcs"},
    "wrong Region": {"region": "eu-west-1"},
    "signed six minutes ago": {"seconds_from_now": -6 * MINUTE},
    "signed six minutes ahead": {"seconds_from_now": 6 * MINUTE},
    "signed a year ago": {"seconds_from_now": -365 * 24 * 60 * MINUTE},
    "the secret of another": {"secret": OUTSIDER[1]},
    "the key of another": {"key": OUTSIDER[0]},
}


@pytest.mark.parametrize("case", WRONG_SIGNERS)
@pytest.mark.parametrize(("method", "target", "body"), [("GET", LIST, b""), ("POST", "/v1/clusters", BODY)],
                         ids=["GET", "POST"])
def test_signed_wrongly(local, case, method, target, body):
    headers = headers_for(local, method, target, body, **WRONG_SIGNERS[case])
    refused = local.turned_away(method, local.url + target, body, headers)
    assert refused.json["code"] == "AccessDeniedException"
    assert_tells_no_secret(refused)


def test_stale_dates_say_so(local):
    for seconds, words in [(-6 * MINUTE, "Signature expired"), (6 * MINUTE, "Signature not yet current")]:
        refused = local.turned_away("GET", local.url + LIST, headers=headers_for(local, seconds_from_now=seconds))
        assert refused.json["message"].startswith(words)


def test_a_principal_that_the_resource_policy_refuses(local):
    key, secret = OUTSIDER
    for method, target, body in [("GET", LIST, b""), ("POST", "/v1/clusters", BODY)]:
        headers = headers_for(local, method, target, body, key=key, secret=secret)
        refused = local.turned_away(method, local.url + target, body, headers).json
        assert refused["code"] == "AccessDeniedException"
        assert "execute-api:Invoke" in refused["message"] and "OutsiderRole" in refused["message"]


# What is signed, and what is sent instead.
CHANGED = {
    "the body": (("POST", "/v1/clusters", BODY), ("POST", "/v1/clusters", BODY.replace(b"demo", b"evil"))),
    "the body, by a blank": (("POST", "/v1/clusters", BODY), ("POST", "/v1/clusters", BODY + b" ")),
    "the body, dropped": (("POST", "/v1/clusters", BODY), ("POST", "/v1/clusters", b"")),
    "a body added": (("DELETE", "/v1/clusters/demo-cluster", b""), ("DELETE", "/v1/clusters/demo-cluster", b"{}")),
    "the method": (("GET", "/v1/clusters/demo-cluster", b""), ("DELETE", "/v1/clusters/demo-cluster", b"")),
    "the path": (("GET", "/v1/clusters/demo-cluster", b""), ("GET", "/v1/clusters/evil-cluster", b"")),
    "the path, encoded": (("GET", "/v1/clusters/demo-cluster", b""), ("GET", "/v1/clusters/demo%2Dcluster", b"")),
    "the path, longer": (("GET", "/v1/clusters/demo-cluster", b""), ("GET", "/v1/clusters/demo-cluster/queues", b"")),
    "a parameter": (("GET", LIST, b""), ("GET", "/v1/clusters?maxResults=11", b"")),
    "a parameter added": (("GET", LIST, b""), ("GET", f"{LIST}&region=eu-west-1", b"")),
    "a parameter dropped": (("POST", "/v1/clusters?dryrun=true", BODY), ("POST", "/v1/clusters", BODY)),
    "a parameter renamed": (("POST", "/v1/clusters?dryrun=true", BODY), ("POST", "/v1/clusters?Dryrun=true", BODY)),
    "a parameter doubled": (("GET", LIST, b""), ("GET", f"{LIST}&maxResults=10", b"")),
}


@pytest.mark.parametrize("case", CHANGED)
def test_changed_after_signing(local, case):
    signed, sent = CHANGED[case]
    headers = headers_for(local, *signed)
    refused = local.turned_away(sent[0], local.url + sent[1], sent[2], headers)
    assert refused.json["code"] == "AccessDeniedException"
    assert_tells_no_secret(refused)


CHANGED_HEADERS = {
    "a signed header": {"X-Team": "b"},
    "its date": {"X-Amz-Date": "20200101T000000Z"},
    "the host": {"Host": "evil.example.com"},
    "another unsigned x-amz- header": {"X-Amz-Target": "Evil"},
    "a security token": {"X-Amz-Security-Token": "FwoGZXIvYXdzEXAMPLE"},
    "a hash of another body": {"X-Amz-Content-Sha256": "0" * 64},
    "an unsigned payload": {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"},
}


@pytest.mark.parametrize("case", CHANGED_HEADERS)
def test_headers_changed_after_signing(local, case):
    headers = headers_for(local, headers={"X-Team": "a"}) | CHANGED_HEADERS[case]
    refused = local.turned_away("GET", local.url + LIST, headers=headers)
    assert refused.json["code"] == "AccessDeniedException"


@pytest.mark.parametrize("claim", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64])
def test_a_signature_over_a_claim_instead_of_the_body(local, claim):
    """botocore signs the claim in place of the body's hash, which would let any body pass."""
    headers = headers_for(local, "POST", "/v1/clusters", BODY, headers={"X-Amz-Content-SHA256": claim})
    local.turned_away("POST", f"{local.url}/v1/clusters", BODY, headers)


def test_a_signed_header_left_out(local):
    headers = headers_for(local, headers={"X-Team": "a"})
    del headers["X-Team"]
    local.turned_away("GET", local.url + LIST, headers=headers)


AUTHORIZATIONS = {
    "empty": lambda text: "",
    "of another kind": lambda text: "Bearer abc",
    "the algorithm alone": lambda text: text.split()[0],
    "of another algorithm": lambda text: text.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
    "without a signature": lambda text: text.rpartition(", ")[0],
    "with an empty signature": lambda text: text.rpartition("=")[0] + "=",
    "with a cut signature": lambda text: text[:-1],
    "with a signature in upper case": lambda text: text.rpartition("=")[0] + "=" + text.rpartition("=")[2].upper(),
    "with a signature of zeros": lambda text: text.rpartition("=")[0] + "=" + "0" * 64,
    "without the signed host": lambda text: text.replace("SignedHeaders=host;", "SignedHeaders="),
    "with an odd scope": lambda text: text.replace("aws4_request", "aws5_request"),
    "with the scope of another day": lambda text: text.replace(text.split("/")[1], "20200101"),
}


@pytest.mark.parametrize("case", AUTHORIZATIONS)
def test_authorization_headers(local, case):
    headers = headers_for(local)
    headers["Authorization"] = AUTHORIZATIONS[case](headers["Authorization"])
    refused = local.turned_away("GET", local.url + LIST, headers=headers)
    assert refused.json["code"] == "AccessDeniedException"


def assert_tells_no_secret(refused):
    """Neither the key nor the right signature. The strings that were to be signed are told, as API Gateway tells them."""
    text = refused.body.decode().lower()
    assert "wjalr" not in text and "signature=" not in text and "aws4-hmac-sha256 credential" not in text


# ---- presigned URLs ----

PRESIGNED = {
    "a parameter changed": lambda url: url.replace("maxResults=10", "maxResults=11"),
    "a parameter added": lambda url: f"{url}&region=eu-west-1",
    "made to last longer": lambda url: url.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"),
    "lasting for ever": lambda url: url.replace("X-Amz-Expires=300", "X-Amz-Expires=604801"),
    "without an end": lambda url: url.replace("&X-Amz-Expires=300", ""),
    "the path": lambda url: url.replace("/v1/clusters?", "/v1/clusters/demo-cluster?"),
    "the signature": lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
    "without its signature": lambda url: url.rpartition("&")[0],
    "twice its signature": lambda url: f"{url}&{url.rpartition('&')[2]}",
    "without its algorithm": lambda url: url.replace("&X-Amz-Algorithm=AWS4-HMAC-SHA256", ""),
    "another key": lambda url: url.replace("AKIAIOSFODNN7EXAMPLE", OUTSIDER[0]),
}


@pytest.mark.parametrize("case", PRESIGNED)
def test_presigned_urls_changed(local, case):
    url = presigned_url("GET", local.url + LIST)
    changed = PRESIGNED[case](url)
    assert changed != url
    assert local.turned_away("GET", changed).json["code"] == "AccessDeniedException"


def test_presigned_urls_for_something_else(local):
    url = presigned_url("GET", local.url + LIST)
    local.turned_away("POST", url, BODY, JSON)
    local.turned_away("GET", url, b"{}")
    local.turned_away("GET", presigned_url("GET", local.url + LIST, seconds_ago=301, expires=300))
    local.turned_away("GET", presigned_url("GET", local.url + LIST, seconds_ago=-6 * MINUTE))
    local.turned_away("GET", presigned_url("GET", local.url + LIST, key=OUTSIDER[0], secret=OUTSIDER[1]))


def test_both_forms_at_once(local):
    url = presigned_url("GET", local.url + LIST)
    good = signed_headers("GET", url)
    local.turned_away("GET", url, headers=good)
    # A verifier that checks one form and takes the caller from the other would let this one in.
    local.turned_away("GET", url, headers={"Authorization": headers_for(local)["Authorization"]})
    as_another = urllib.parse.quote(f"{OUTSIDER[0]}/20261120/us-east-1/execute-api/aws4_request", safe="")
    target = f"{LIST}&X-Amz-Credential={as_another}"
    local.turned_away("GET", local.url + target, headers=headers_for(local, target=target))


# ---- routes ----

def test_unknown_routes_are_not_told_apart_from_missing_signatures(local):
    for method, target in [("GET", "/"), ("GET", "/v1"), ("GET", "/v1/clusters/"), ("GET", "//v1/clusters"),
                           ("GET", "/v1/Clusters"), ("PUT", "/v1/clusters"), ("OPTIONS", "/v1/clusters"),
                           ("GET", "/prod/v1/clusters"), ("GET", "/v1/clusters/a/b"), ("POST", "/v1/clusters/a"),
                           ("GET", "/v1/clusters/demo-cluster/%2e%2e"), ("GET", "/v1/%2e%2e/v1/clusters")]:
        signed = local.turned_away(method, local.url + target, headers=headers_for(local, method, target)).json
        unsigned = local.turned_away(method, local.url + target).json
        assert signed["message"] == unsigned["message"]
