"""Every port that `cargo local` and the emulators open, against web pages and bad clients.

A page is played by what a browser sends for it; tests/contract/test_page.py has a real browser do the same. Programs run
as they are, under limits and signals of the system.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import urllib.parse

import boto3
import pytest
from botocore.config import Config

import pcs_life
import stack
import test_iam_emulator
from signed import KEY, SECRET, presigned_url, send_raw, signed_headers

PCS_LOCAL = [*stack.program(), "--port", "0", "--pcs-port", "0", "--iam-port", "0", "--dynamodb-port", "0", "--page-port",
             "0", "--transition-seconds", "0"]
PROGRAMS = {
    "pcs-local": PCS_LOCAL,
    "pcs-emulator": [*pcs_life.program(), "--port", "0"],
    "iam-emulator": [*test_iam_emulator.binary(), "--port", "0"],
}
# Something to read at each port, the status that a client gets, and words that stand in the answer.
LOOKS = {
    "gateway": ("/v1/clusters", 403, "The request is not signed"),
    "pcs": ("/_control/calls", 200, "calls"),
    "iam": ("/_control/calls", 200, "calls"),
    "dynamodb": ("/", 200, "healthy"),
    "page": ("/", 200, "PCS API on this machine"),
}
PORTS = list(LOOKS)
on_linux = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="NOT CHECKED: only Linux has prlimit and /proc")
# Only as a guard.
HANGS = 120
ROLE = "AWSPCS-compute-node"
# What a page may send without being asked for leave first.
SIMPLE_TYPES = [{"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"},
                {"Content-Type": "multipart/form-data; boundary=x"}, {"Content-Type": "text/plain;application/json"}]


@contextlib.contextmanager
def started(command, *flags, descriptors=None):
    """A running program and the addresses that it says it listens on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PCS_API_"))}
    limit = descriptors and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)))
    process = subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=kept,
                               preexec_fn=limit)
    try:
        line = process.stdout.readline()
        assert line.startswith("READY "), line
        yield process, json.loads(line.removeprefix("READY "))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def local():
    with started(PCS_LOCAL, "--allow-host", "pcs-local", "--allow-host", "dev.example.com") as (_, urls):
        yield urls


def look(urls, port, headers=None):
    path, status, words = LOOKS[port]
    answer = send_raw("GET", urls[port] + path, headers=headers)
    return answer, answer.status == status and words in answer.body.decode()


def connect(url):
    split = urllib.parse.urlsplit(url)
    return socket.create_connection((split.hostname, split.port), timeout=HANGS)


def raw(url, text):
    """What comes back until the end of the connection."""
    with connect(url) as connection:
        connection.sendall(text.encode())
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(65536):
                received += more
        return received.decode()


# ---- who may ask ----

OURS = ["localhost", "LOCALHOST:80", "pcs.localhost:3000", "127.0.0.1", "[::1]:9", "pcs-local:3000", "DEV.example.com"]
FOREIGN = ["attacker.example", "attacker.example:3000", "localhost.attacker.example", "127.0.0.1.nip.io", "pcs-local.evil",
           "192.168.1.7:3000", "0.0.0.0", "localhost@attacker.example", "example.com", "notlocalhost"]


@pytest.mark.parametrize("port", PORTS)
def test_only_the_names_of_this_machine_are_answered(local, port):
    for host in OURS:
        answer, good = look(local, port, {"Host": host})
        assert good, f"{host}: {answer.status} {answer.body[:300]}"
    for host in FOREIGN:
        answer, _ = look(local, port, {"Host": host})
        assert answer.status == 403 and "--allow-host" in answer.body.decode(), f"{host}: {answer.body[:300]}"
        assert f"`{host}`" in answer.body.decode()
    path = LOOKS[port][0]
    for head in [f"GET {path} HTTP/1.1", f"GET {path} HTTP/1.0", f"GET {path} HTTP/1.1\r\nHost: localhost\r\nHost: evil",
                 f"GET http://evil{path} HTTP/1.1\r\nHost: localhost"]:
        assert raw(local[port], f"{head}\r\nConnection: close\r\n\r\n").split(" ")[1] == "403", head


@pytest.mark.parametrize("port", PORTS)
def test_no_page_of_another_origin_is_answered(local, port):
    own = urllib.parse.urlsplit(local[port]).netloc
    for page in [{"Origin": "http://attacker.example"}, {"Origin": "null"}, {"Origin": "http://localhost:8080"},
                 {"Origin": f"https://{own}"}, {"Origin": f"http://{own}.attacker.example"}, {"Sec-Fetch-Site": "cross-site"},
                 {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "same-origin", "Origin": "http://attacker.example"}]:
        answer, good = look(local, port, page)
        assert answer.status == 403 and not good and "origin" in answer.body.decode(), f"{page}: {answer.body[:300]}"
        assert not [name for name in answer.headers if name.startswith("access-control")], page
    for page in [{"Origin": f"http://{own}"}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}]:
        answer, good = look(local, port, page)
        assert good, f"{page}: {answer.status} {answer.body[:300]}"
        assert not [name for name in answer.headers if name.startswith("access-control")], page


@pytest.mark.parametrize("port", PORTS)
def test_no_page_gets_leave(local, port):
    own = urllib.parse.urlsplit(local[port]).netloc
    for origin in ["http://attacker.example", "null", f"http://{own}", None]:
        asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-amz-target,authorization",
                 "Access-Control-Request-Private-Network": "true", **({"Origin": origin} if origin else {})}
        answer = send_raw("OPTIONS", local[port] + LOOKS[port][0], headers=asked)
        assert not [name for name in answer.headers if name.startswith("access-control")], f"{origin}: {answer.headers}"
        assert answer.status >= 400, origin


def boto(urls, service, port):
    return boto3.client(service, endpoint_url=urls[port], region_name="us-east-1", aws_access_key_id=KEY,
                        aws_secret_access_key=SECRET, config=Config(retries={"total_max_attempts": 1}))


def everything(urls):
    """What a page must not change, nor read."""
    iam, pcs, dynamodb = (boto(urls, *pair) for pair in [("iam", "iam"), ("pcs", "pcs"), ("dynamodb", "dynamodb")])
    rows = dynamodb.scan(TableName="pcs-api-audit", Select="COUNT")["Count"]
    return (iam.get_role(RoleName=ROLE)["Role"],
            pcs.list_clusters()["clusters"], dynamodb.list_tables()["TableNames"], rows)


def test_what_a_page_can_send_unasked_has_no_effect_even_without_an_origin(local):
    """Old browsers say nothing of the page; then what they send without asking must not be an order."""
    boto(local, "pcs", "pcs").create_cluster(
        clusterName="kept", size="SMALL", scheduler={"type": "SLURM", "version": "25.05"},
        networking={"subnetIds": ["subnet-0123456789abcdef0"]})
    before = everything(local)
    for port, orders in {"pcs": ["reset", "clear-calls", "clear-faults", "advance", "fault", "suspend", "fail", "state"],
                         "iam": ["reset", "clear-calls", "clear-faults", "advance", "fault", "seed"]}.items():
        for order in orders:
            for headers in SIMPLE_TYPES:
                for body in (b"{}", b'{"seconds": 1}', b""):
                    answer = send_raw("POST", f"{local[port]}/_control/{order}", body, headers)
                    assert answer.status in (404, 415), f"{port} {order} {headers}: {answer.status}"
        # A blob without a type.
        assert send_raw("POST", f"{local[port]}/_control/reset", b"{}").status == 415
    write = f"Action=DeleteRole&Version=2010-05-08&RoleName={ROLE}&X-Amz-Signature=x"
    detach = f"Action=UntagRole&Version=2010-05-08&RoleName={ROLE}&TagKeys.member.1=a&X-Amz-Signature=x"
    for query in (write, detach):
        assert send_raw("GET", f"{local['iam']}/?{query}").status == 403
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert send_raw("POST", f"{local['iam']}/?X-Amz-Signature=x", query.encode(), form).status == 403
        assert send_raw("POST", f"{local['iam']}/?{query}").status == 403
    cluster = json.dumps({"clusterName": "made", "size": "SMALL", "scheduler": {"type": "SLURM", "version": "25.05"},
                          "networking": {"subnetIds": ["subnet-0123456789abcdef0"]}}).encode()
    signed = presigned_url("POST", f"{local['gateway']}/v1/clusters")
    for headers in [{}, *SIMPLE_TYPES]:
        assert send_raw("POST", signed, cluster, headers).status == 403, headers
        assert send_raw("POST", local["dynamodb"], b'{"TableName": "pcs-api-audit"}', headers).status >= 400
        assert send_raw("POST", local["page"], b"{}", headers).status == 405
    assert everything(local) == before


def test_clients_still_give_orders(local):
    json_type = {"Content-Type": "application/json; charset=utf-8"}
    for port in ("pcs", "iam"):
        assert send_raw("POST", f"{local[port]}/_control/clear-calls", b"{}", json_type).status == 200
        assert send_raw("POST", f"{local[port]}/_control/clear-calls").status == 200, "as curl -X POST sends it"
    role = {"Action": "TagRole", "Version": "2010-05-08", "RoleName": ROLE, "Tags.member.1.Key": "a",
            "Tags.member.1.Value": "b"}
    url = f"{local['iam']}/?{urllib.parse.urlencode(role)}"
    assert send_raw("GET", url, headers=signed_headers("GET", url, service="iam")).status == 200


@on_linux
def test_the_database_has_no_other_port():
    """The DynamoDB inside would answer every page."""
    with started(PCS_LOCAL) as (process, urls):
        boto(urls, "dynamodb", "dynamodb").list_tables()
        sockets = set()
        for entry in os.scandir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(OSError):
                if (target := os.readlink(entry.path)).startswith("socket:"):
                    sockets.add(target[len("socket:["):-1])
        mine = {line.split()[1].split(":")[1] for table in ("tcp", "tcp6") for line in open(f"/proc/net/{table}")
                if line.split()[9] in sockets and line.split()[3] == "0A"}
        assert mine == {f"{urllib.parse.urlsplit(url).port:04X}" for url in urls.values()}


# ---- who comes from elsewhere ----

@pytest.mark.parametrize("name", PROGRAMS)
def test_other_containers_come_by_an_address_or_a_name_that_was_given(name):
    with started(PROGRAMS[name], "--host", "0.0.0.0", "--allow-host", "other") as (_, urls):
        for port, url in urls.items():
            assert url.startswith("http://127.0.0.1:"), "an address that can be used"
            for host, admitted in [("192.168.1.7:3000", True), ("other:1", True), ("localhost", True), ("evil", False)]:
                answer, good = look(urls, port, {"Host": host})
                assert good == admitted, f"{port} {host}: {answer.status} {answer.body[:300]}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_wrong_name_is_refused_at_the_start(name):
    for wrong in ("http://other", "other:3000", "*"):
        ended = subprocess.run([*PROGRAMS[name], "--allow-host", wrong], capture_output=True, text=True, timeout=HANGS)
        assert ended.returncode != 0 and f"`{wrong}`" in ended.stderr and "--allow-host" in ended.stderr, ended.stderr
        assert "READY" not in ended.stdout


# ---- bad clients ----

def stalled(urls, port):
    """Connections that wait for their client, or whose client waits for nothing."""
    head = f"POST {LOOKS[port][0]} HTTP/1.1\r\nHost: localhost\r\n"
    for sent in ["", "GET / HT", f"{head}Content-Length: 1000\r\n\r\nx", f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\na"]:
        connection = connect(urls[port])
        connection.sendall(sent.encode())
        yield connection
    half = connect(urls[port])
    half.sendall(f"{head}Content-Length: 1000\r\n\r\nx".encode())
    half.shutdown(socket.SHUT_WR)
    yield half


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_signal_ends_the_program_whoever_is_connected(name, how):
    with started(PROGRAMS[name]) as (process, urls):
        connected = [connection for port in urls for connection in stalled(urls, port)]
        for port in urls:
            assert look(urls, port)[1], port
        process.send_signal(how)
        assert process.wait(HANGS) == 0
        for connection in connected:
            connection.close()


def crowd(url, size):
    found = []
    for _ in range(size):
        found.append(connect(url))
    return found


@pytest.mark.parametrize("port", PORTS)
def test_a_crowd_of_idle_connections_keeps_nobody_out(port):
    with started(PCS_LOCAL, descriptors=256) as (_, urls):
        idle = crowd(urls[port], 250)
        for each in PORTS:
            assert look(urls, each)[1], f"{each}, with 250 at {port}"
        answer = list_clusters(urls)
        assert answer.status == 200, answer.body
        for connection in idle:
            connection.close()
        assert look(urls, port)[1]


def list_clusters(urls):
    url = f"{urls['gateway']}/v1/clusters"
    return send_raw("GET", url, headers=signed_headers("GET", url))


@on_linux
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_out_of_file_descriptors_goes_on(name):
    with started(PROGRAMS[name]) as (process, urls):
        for port in urls:
            assert look(urls, port)[1], port
        # Room for three more: the rest of the crowd cannot be accepted.
        most = len(os.listdir(f"/proc/{process.pid}/fd")) + 3
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, hard))
        idle = [connection for url in urls.values() for connection in crowd(url, 20)]
        for connection in idle:
            connection.close()
        for port in urls:
            assert look(urls, port)[1], port
