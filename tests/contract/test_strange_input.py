"""Input that other parsers have stumbled over: JSONTestSuite's documents, and the big list of naughty strings.

Both are fetched when the tests run (`scripts/test`) and are no part of the product. What is a valid document is judged
by Python's own parser, what must come back by what was sent.
"""

import json
import os
import pathlib
import urllib.parse

import pytest

from signed import JSON, Raw

api = Raw()
CLUSTER = {"clusterName": "demo-cluster", "scheduler": {"type": "SLURM", "version": "25.11"}, "size": "SMALL",
           "networking": {"subnetIds": ["subnet-0123456789abcdef0"]}}
# What a refusal of strange input may be: never a failure of the server.
REFUSALS = {400, 403, 404, 409, 412, 414}
NOT_JSON = ("not valid JSON", "more than one JSON value", "byte order mark")
# Deeper than the contract takes, or a number beyond a double: refused by sentences of their own.
LIMITS = ("levels", "too large")
TAG_KEY_LENGTH_MAX, TAG_VALUE_LENGTH_MAX = 128, 256


def documents():
    path = os.environ.get("JSON_TEST_SUITE")
    if not path:
        return []
    text = pathlib.Path(path).read_text()
    return json.loads(text[text.index("["):text.rindex("]") + 1])


def strings():
    path = os.environ.get("NAUGHTY_STRINGS")
    return json.loads(pathlib.Path(path).read_text()) if path else []


def no_constants(name):
    raise ValueError(f"{name} is no JSON")


def is_valid(text):
    try:
        json.loads(text, parse_constant=no_constants)
    except (ValueError, RecursionError):
        return False
    return True


@pytest.mark.skipif(not documents(), reason="JSONTestSuite was not fetched (scripts/test does)")
@pytest.mark.parametrize("around", ["", "member"], ids=["whole body", "member"])
def test_every_document_is_read_as_json_says_it(url, around):
    wrong = []
    for document in documents():
        text = document["input"]
        body = f'{{"clusterName": {text}}}' if around else text
        answer = api.send("POST", url + "/v1/clusters", body.encode("utf-8", "surrogatepass"), JSON)
        said = answer.json["message"]
        told = any(fault in said for fault in NOT_JSON)
        # Empty bodies, and characters that are none in UTF-8, have sentences of their own.
        expected = not is_valid(body)
        free = document["name"].startswith("i_") or any(limit in said for limit in LIMITS) or not body.strip()
        if answer.status != 400 or (not free and told != expected):
            wrong.append((document["name"], answer.status, said[:200]))
    assert wrong == []


@pytest.fixture(scope="module")
def tagged(url):
    """ARN of a cluster to tag."""
    answer = api.send("POST", url + "/v1/clusters", json.dumps(CLUSTER).encode(), JSON)
    assert answer.status == 202, answer.body
    return answer.json["cluster"]["arn"]


def is_text(string):
    """Whether UTF-8 can write it."""
    try:
        string.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.skipif(not strings(), reason="the naughty strings were not fetched (scripts/test does)")
def test_a_naughty_tag_comes_back_as_it_was_sent_and_can_be_removed(url, tagged):
    arn = urllib.parse.quote(tagged, safe="")
    tags = f"{url}/v1/tags?resourceArn={arn}"
    kept = 0
    for string in filter(is_text, strings()):
        for key, value in ((string, "value"), ("key", string)):
            answer = api.send("POST", tags, json.dumps({"tags": {key: value}}).encode(), JSON)
            fits = 0 < len(key) <= TAG_KEY_LENGTH_MAX and len(value) <= TAG_VALUE_LENGTH_MAX
            assert answer.status in ({204, 400} if fits else {400}), (key, value, answer.body)
            if answer.status == 400:
                continue
            kept += 1
            assert api.send("GET", tags).json["tags"].get(key) == value
            # Twice, so that no key can be read as a list of several.
            keys = "".join(f"&tagKeys={urllib.parse.quote(key, safe='')}" for _ in range(2))
            answer = api.send("DELETE", tags + keys)
            assert answer.status == 204, (key, answer.body)
            assert key not in api.send("GET", tags).json["tags"]
    assert kept > 500


@pytest.mark.skipif(not strings(), reason="the naughty strings were not fetched (scripts/test does)")
def test_naughty_names_and_questions_are_refused_with_a_sentence(url):
    for string in strings():
        sent = urllib.parse.quote(string, safe="", errors="surrogatepass")
        calls = [
            ("POST", "/v1/clusters?dryrun=true", {**CLUSTER, "clusterName": string}),
            ("POST", "/v1/clusters?dryrun=true", {**CLUSTER, "clusterName": "naughty", string: 1}),
            ("POST", "/v1/clusters?dryrun=true", {**CLUSTER, "slurmConfiguration": {"slurmCustomSettings": [
                {"parameterName": string, "parameterValue": string}]}}),
            ("GET", f"/v1/clusters/{sent}", None),
            ("GET", f"/v1/clusters?nextToken={sent}&region={sent}", None),
            ("GET", f"/v1/audit-events?principalId={sent}", None),
            ("GET", f"/v1/audit-events?startTime={sent}&{sent}={sent}", None),
        ]
        for method, target, body in calls:
            body = b"" if body is None else json.dumps(body).encode()
            answer = api.send(method, url + target, body, JSON if body else {})
            assert answer.status in REFUSALS | {200}, (target, string, answer.status, answer.body)
            if answer.status != 200:
                assert answer.json["message"], answer.body
