"""The audit's hashes, chains and digests, from their description alone: hashlib and json know nothing of the code.

Both ways: what `pcs-local` wrote is recomputed here, and what is made here is put before `pcs-api-audit verify`.
"""

import base64
import datetime
import hashlib
import itertools
import json
import os
import shutil
import subprocess

import boto3
import pytest

from signed import KEY, SECRET, Raw
from stack import ROOT, Stack, until
from trail import TABLE

FIRST = "0" * 64
SHARDS = 4
api = Raw()


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value):
    """boto3 gives bytes; DynamoDB's JSON has base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def row_hash(row):
    hashed = {name: value for name, value in row.items() if name not in ("rowHash", "signature")}
    return sha256(json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain))


def root(rows, hour):
    """Of the rows of an hour: shards in order, in each the row hashes in the order of `at` and `sk`."""
    def shard(number):
        of_shard = [row for row in rows if row["byTime"]["S"] == f"T#{hour}#{number}"]
        of_shard.sort(key=lambda row: (row["at"]["S"], row["sk"]["S"]))
        return sha256("".join(row["rowHash"]["S"] + "\n" for row in of_shard))
    return sha256("".join(shard(number) + "\n" for number in range(SHARDS)))


def scan(url):
    client = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY,
                          aws_secret_access_key=SECRET)
    pages = client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
    return [row for page in pages for row in page["Items"]]


def audit(*arguments, url=None):
    """Exit status and output of `pcs-api-audit`."""
    binary = os.environ.get("PCS_API_AUDIT_BIN")
    command = [binary] if binary else ["cargo", "run", "--quiet", "--manifest-path", str(ROOT / "Cargo.toml"), "-p",
                                       "pcs-api-audit", "--"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = kept | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
                          "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    if url:
        environment["AWS_ENDPOINT_URL_DYNAMODB"] = url
    ran = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=300)
    return ran.returncode, ran.stdout + ran.stderr


# ---- what the product wrote ----

@pytest.fixture(scope="module")
def swept():
    """A stack that swept at least twice: the second sweep digests the hours that the first one closed."""
    running = Stack("--transition-seconds", "1", "--sweep-seconds", "1")
    body = {"clusterName": "chained", "scheduler": {"type": "SLURM", "version": "25.11"}, "size": "SMALL",
            "networking": {"subnetIds": ["subnet-0123456789abcdef0"], "securityGroupIds": ["sg-0123456789abcdef0"]},
            "tags": {"odd": "é€😀"}}
    for method, target, data in [("POST", "/v1/clusters", body), ("GET", "/v1/clusters/chained", None),
                                 ("GET", "/v1/clusters/absent", None), ("GET", "/v1/audit-events", None)]:
        api.send(method, running.url + target, b"" if data is None else json.dumps(data).encode(),
                 {} if data is None else {"Content-Type": "application/json"})
    until(lambda: len([row for row in scan(running.dynamodb) if row["pk"]["S"] == "DIGEST"]) >= 23, True)
    yield running
    running.kill()


def test_every_row_has_its_hash_and_follows_the_one_before(swept):
    rows = scan(swept.dynamodb)
    assert len(rows) > 30
    for row in rows:
        assert row["rowHash"]["S"] == row_hash(row), (row["pk"], row["sk"])
    rows.sort(key=lambda row: (row["chainId"]["S"], int(row["chainSeq"]["N"])))
    for _, chain in itertools.groupby(rows, key=lambda row: row["chainId"]["S"]):
        previous = FIRST
        for number, row in enumerate(chain, 1):
            if int(row["chainSeq"]["N"]) != number:
                break  # Written while the scan went on.
            assert row["previousHash"]["S"] == previous
            previous = row["rowHash"]["S"]


def test_every_digest_sums_up_its_hour_and_names_the_one_before(swept):
    rows = scan(swept.dynamodb)
    digests = sorted((row for row in rows if row["pk"]["S"] == "DIGEST"), key=lambda row: row["sk"]["S"])
    previous = FIRST
    for digest in digests:
        assert digest["root"]["S"] == root(rows, digest["sk"]["S"])
        assert digest["previousDigestHash"]["S"] == previous
        previous = digest["rowHash"]["S"]


def test_the_table_is_whole_to_the_tool(swept):
    status, told = audit("verify", "--table", TABLE, url=swept.dynamodb)
    assert (status, told.startswith("whole: ")) == (0, True), told


# ---- what is made here ----

class Made:
    """Three chains over four hours, and their digests by a fourth chain, as the description says."""

    def __init__(self, sign=None):
        self.rows, self.ends, self.sign = [], {}, sign
        begin = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)
        self.hours = [(begin + datetime.timedelta(hours=hour)).strftime("%Y-%m-%dT%H") for hour in range(4)]
        for number in range(60):
            self.call(number, self.hours[number * 3 // 60], f"CHAIN{number % 3}")
        previous = FIRST
        for hour in self.hours:
            previous = self.digest(hour, previous)

    def link(self, row, chain):
        seq, previous = self.ends.get(chain, (0, FIRST))
        row |= {"chainId": {"S": chain}, "chainSeq": {"N": str(seq + 1)}, "previousHash": {"S": previous}}
        row["rowHash"] = {"S": row_hash(row)}
        self.ends[chain] = (seq + 1, row["rowHash"]["S"])
        self.rows.append(row)
        return row

    def call(self, number, hour, chain):
        time = f"{hour}:{number % 60:02}:00.000Z"
        ulid = f"01ARZ3NDEKTSV4RRFF{number:08}"
        row = {"pk": {"S": f"E#{ulid}"}, "sk": {"S": "0#READ"}, "at": {"S": f"{time}#{ulid}"},
               "byTime": {"S": f"T#{hour}#{number % SHARDS}"}, "expires": {"N": str(1_800_000_000 + number)},
               "eventId": {"S": ulid}, "odd": {"S": "q\"\\/\n\u0001\u007fé€😀"},
               "deep": {"M": {"z": {"L": [{"BOOL": True}, {"N": "-1.5"}, {"B": "AAEC"}]}, "a": {"M": {}}}}}
        self.link(row, chain)

    def digest(self, hour, previous):
        rows = [row for row in self.rows if row["byTime"]["S"].startswith(f"T#{hour}#")]
        chains = {}
        for row in rows:
            end = chains.setdefault(row["chainId"]["S"], {"rows": 0, "lastSeq": 0})
            end["rows"] += 1
            end["lastSeq"] = max(end["lastSeq"], int(row["chainSeq"]["N"]))
        row = {"pk": {"S": "DIGEST"}, "sk": {"S": hour}, "at": {"S": f"2026-11-20T14:20:00.000Z#DIGEST#{hour}"},
               "byTime": {"S": "T#2026-11-20T14#0"}, "expires": {"N": "1800100000"}, "rows": {"N": str(len(rows))},
               "root": {"S": root(rows, hour)}, "previousDigestHash": {"S": previous}, "chainsOmitted": {"N": "0"},
               "chains": {"M": {name: {"M": {key: {"N": str(value)} for key, value in end.items()}}
                                for name, end in chains.items()}}}
        if rows:
            row |= {"firstAt": {"S": min(row["at"]["S"] for row in rows)},
                    "lastAt": {"S": max(row["at"]["S"] for row in rows)},
                    "rowsExpire": {"N": min(row["expires"]["N"] for row in rows)}}
        if self.sign:
            row |= {"signingKey": {"S": "arn:aws:kms:us-east-1:123456789012:key/made"},
                    "signingAlgorithm": {"S": "ECDSA_SHA_256"}}
        row = self.link(row, "SWEEPS")
        if self.sign:
            row["signature"] = {"S": self.sign(row["rowHash"]["S"])}
        return row["rowHash"]["S"]

    def verify(self, folder, *arguments):
        file = folder / "rows.jsonl"
        file.write_text("".join(json.dumps({"Item": row}) + "\n" for row in self.rows), "utf-8")
        return audit("verify", "--file", str(file), *arguments)


def test_a_table_made_from_the_description_is_whole(tmp_path):
    made = Made()
    status, told = made.verify(tmp_path)
    assert (status, told.splitlines()[0]) == (0, "whole: 64 rows in 4 chains"), told
    del made.rows[10]
    status, told = made.verify(tmp_path)
    assert status == 1 and "missing-row: number 4 of chain CHAIN1 is missing" in told, told


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_signatures_of_openssl_are_those_of_kms(tmp_path):
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    openssl = ["openssl", "ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", str(key)]
    subprocess.run(openssl, check=True, capture_output=True)
    subprocess.run(["openssl", "ec", "-in", str(key), "-pubout", "-out", str(public)], check=True, capture_output=True)

    def sign(row_hash):
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], input=row_hash.encode(), check=True,
                                capture_output=True)
        return base64.b64encode(signed.stdout).decode()

    made = Made(sign)
    status, told = made.verify(tmp_path, "--public-key", str(public))
    assert status == 0 and "4 signed by the key" in told, told
    made.rows[-1]["signature"] = made.rows[-2]["signature"]
    status, told = made.verify(tmp_path, "--public-key", str(public))
    assert status == 1 and told.startswith("bad-signature: the digest of 2026-11-20T13 "), told
