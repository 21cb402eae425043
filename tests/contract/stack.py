"""Starts `pcs-local`, watches what the API asks PCS and IAM, and judges every call made through it.

The API reaches PCS and IAM through a recorder each: it passes requests and answers on unchanged and notes them, with
the audit rows that were there before the request went on. Only so can a test see that a call was recorded first.
"""

import http.client
import http.server
import json
import os
import pathlib
import shlex
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from xml.etree import ElementTree

import answers
import trail
from signed import JSON, send_raw

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROFILES = "arn:aws:iam::123456789012:instance-profile/"
PROFILE = f"{PROFILES}AWSPCS-compute-node"
# Of the connection, not of the message.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}


@dataclass
class Call:
    """A request of the API to PCS or IAM. `error_code` is None after a success."""

    service: str
    action: str
    status: int
    request_id: str
    error_code: str
    body: object
    rows_before: set


class Recorder:
    """A reverse proxy in front of one emulator."""

    def __init__(self, service, read, calls):
        self.target, self.audited = None, set
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Two small writes must not wait for each other's acknowledgement.
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                rows = recorder.audited()
                connection = http.client.HTTPConnection(recorder.target, timeout=60)
                connection.request("POST", self.path, body, dict(self.headers.items()))
                response = connection.getresponse()
                answer = response.read()
                connection.close()
                action, error, sent = read(self.headers, body, response.status, answer)
                request_id = response.headers["x-amzn-requestid"]
                calls.append(Call(service, action, response.status, request_id, error, sent, rows))
                self.send_response_only(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def read_pcs(headers, body, status, answer):
    """awsJson1_0: the action in a header, the error's type in the body."""
    action = headers["X-Amz-Target"].rpartition(".")[2]
    error = None if status < 400 else json.loads(answer)["__type"].rpartition("#")[2]
    return action, error, json.loads(body)


def read_iam(_headers, body, status, answer):
    """The Query protocol: the action is a parameter, the error's code an element."""
    sent = dict(urllib.parse.parse_qsl(body.decode()))
    error = None if status < 400 else ElementTree.fromstring(answer).find(".//{*}Error/{*}Code").text
    return sent["Action"], error, sent


def program():
    binary = os.environ.get("PCS_LOCAL_BIN")
    if binary:
        return [binary]
    return ["cargo", "run", "--quiet", "--manifest-path", str(ROOT / "Cargo.toml"), "-p", "pcs-local", "--"]


class Stack:
    """A running `pcs-local` on free ports."""

    def __init__(self, *flags):
        self.calls = []
        self.recorders = [Recorder("pcs", read_pcs, self.calls), Recorder("iam", read_iam, self.calls)]
        command = [*program(), "--port", "0", "--pcs-port", "0", "--iam-port", "0", "--dynamodb-port", "0",
                   "--page-port", "0", *flags]
        # Nothing of the person's own configuration may reach the run.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PCS_API_"))}
        environment = kept | {"AWS_ENDPOINT_URL_PCS": self.recorders[0].url,
                              "AWS_ENDPOINT_URL_IAM": self.recorders[1].url,
                              "PCS_API_AUDIT_RETENTION_DAYS": str(trail.RETENTION_DAYS)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        env=environment)
        line = self.process.stdout.readline()
        assert line.startswith("READY "), f"{shlex.join(command)} printed {line!r}"
        ready = json.loads(line.removeprefix("READY "))
        self.url, self.pcs, self.dynamodb = ready["gateway"], ready["pcs"], ready["dynamodb"]
        self.page, self.iam = ready["page"], ready["iam"]
        self.trail = trail.Trail(self.dynamodb)
        for recorder, name in zip(self.recorders, ("pcs", "iam")):
            recorder.target = ready[name].removeprefix("http://")
            recorder.audited = self.trail.keys

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        for recorder in self.recorders:
            recorder.stop()

    def control(self, path, body=None):
        """The PCS emulator's control plane; what it saw is not what a recorder saw, but what PCS itself says."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else JSON
        request = urllib.request.Request(f"{self.pcs}/_control/{path}", data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def settle(self):
        """Lets every transition under way end."""
        self.control("advance", {"seconds": 3600})

    def watched(self, send):
        """What `send()` returns, with the calls and the audit rows that appeared meanwhile."""
        seen, rows = len(self.calls), self.trail.keys()
        told = len(self.control("calls")["calls"])
        answer = send()
        answer.calls = self.calls[seen:]
        asked = [call.action for call in answer.calls if call.service == "pcs"]
        assert [call["action"] for call in self.control("calls")["calls"][told:]] == asked
        return answer, self.trail.rows(self.trail.keys() - rows)

    def call(self, client, method, target, body=None, *, expect, headers=None):
        """A signed request. Answer, audit rows and their order are checked; `expect` is the status."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = (JSON if data else {}) if headers is None else headers
        answer, new = self.watched(lambda: client.send(method, self.url + target, data, headers))
        assert answer.status == expect, f"{method} {target}: {answer.status} {answer.body[:2000]}"
        template, operation = answers.operation_of(method, target)
        answers.check(operation, answer)
        assert answer.headers["cache-control"] == "no-store"
        if answer.status < 300:
            asked = [call.action for call in answer.calls].count(operation["operationId"])
            assert asked == (1 if operation.get("x-pcs-upstream", True) else 0)
        request = {"method": method, "target": target, "template": template, "operation": operation, "body": data,
                   "agent": client.agent}
        trail.check(self.trail, new, request, answer)
        return answer

    def turned_away(self, method, url, body=b"", headers=None):
        """An exact request that API Gateway's part refuses: nothing behind it may learn of it."""
        answer, new = self.watched(lambda: send_raw(method, url, body, headers))
        assert answer.status == 403, f"{method} {url}: {answer.status} {answer.body[:2000]}"
        answers.check(None, answer)
        assert (answer.calls, new) == ([], {})
        return answer


def until(read, wanted, seconds=30):
    """Reads until the value is the wanted one."""
    deadline = time.monotonic() + seconds
    while (found := read()) != wanted:
        assert time.monotonic() < deadline, f"still {found!r}, not {wanted!r}, after {seconds} s"
        time.sleep(0.2)
