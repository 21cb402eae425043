"""A machine by itself for one start of the function: a network of its own with nothing in it but a name server, AWS's
endpoints, which take connections and hang up, and Lambda's Runtime API, which has one event.

Run by test_names.py below `unshare --map-root-user --net --mount`, with the binary, the kind of name server and a file
for the resolver's settings; variables and event come as JSON on standard input, what happened goes to standard output.
"""

import fcntl
import http.server
import json
import socket
import struct
import subprocess
import sys
import threading
import time

SERVICES = {"dynamodb.us-east-1.amazonaws.com": "127.0.0.3", "pcs.us-east-1.amazonaws.com": "127.0.0.2"}
A = 1
# Of RFC 1035, 4.1.1: an answer of a server that recurses; cut short; no such name.
ANSWER, TRUNCATED, NO_SUCH_NAME = 0x8180, 0x8380, 0x8183
questions, connections = [], []


def begin(target, *arguments):
    threading.Thread(target=target, args=arguments, daemon=True).start()


def bring_up_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        set_flags, up_and_running = 0x8914, 0x41
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", up_and_running))


def answer(query, kind, over):
    labels, place = [], 12
    while length := query[place]:
        labels.append(query[place + 1:place + 1 + length].decode())
        place += length + 1
    name, (wanted,) = ".".join(labels), struct.unpack(">H", query[place + 1:place + 3])
    questions.append([name, over])
    flags, records = ANSWER, []
    if kind == "truncated" and over == "udp":
        flags = TRUNCATED
    elif kind == "missing" or name not in SERVICES:
        flags = NO_SUCH_NAME
    elif wanted == A:
        # More than a datagram of 512 bytes holds.
        records = [struct.pack(">HHHIH", 0xC00C, A, 1, 5, 4) + socket.inet_aton(SERVICES[name])] * 40
        records = records if kind == "truncated" else records[:1]
    return query[:2] + struct.pack(">5H", flags, 1, len(records), 0, 0) + query[12:place + 5] + b"".join(records)


def name_server_over_udp(server, kind):
    while True:
        query, sender = server.recvfrom(512)
        server.sendto(answer(query, kind, "udp"), sender)


def name_server_over_tcp(server, kind):
    def talk(connection):
        with connection, connection.makefile("rwb") as stream:
            while length := stream.read(2):
                reply = answer(stream.read(struct.unpack(">H", length)[0]), kind, "tcp")
                stream.write(struct.pack(">H", len(reply)) + reply)
                stream.flush()

    while True:
        begin(talk, server.accept()[0])


def endpoint(server, name):
    while True:
        connection, _ = server.accept()
        with connection:
            # TLS's first message says in the clear whom the caller looks for.
            connections.append([server.getsockname()[0], name.encode() in connection.recv(4096)])


def listen(kind):
    over_udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    over_udp.bind(("127.0.0.1", 53))
    begin(name_server_over_udp, over_udp, kind)
    begin(name_server_over_tcp, socket.create_server(("127.0.0.1", 53)), kind)
    for name, address in SERVICES.items():
        begin(endpoint, socket.create_server((address, 443)), name)


def runtime_api(event, answered):
    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if answered.is_set():
                time.sleep(60)
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 28_000))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:f")
            self.send_header("Content-Length", str(len(event)))
            self.end_headers()
            self.wfile.write(event)

        def do_POST(self):
            self.server.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answered.set()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    begin(server.serve_forever)
    return server


def main():
    binary, kind, resolver = sys.argv[1:]
    told = json.load(sys.stdin)
    bring_up_loopback()
    subprocess.run(["mount", "--bind", resolver, "/etc/resolv.conf"], check=True)
    listen(kind)
    answered = threading.Event()
    api = runtime_api(json.dumps(told["event"]).encode(), answered)
    variables = {**told["variables"], "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}"}
    function = subprocess.Popen([binary], env=variables, stdout=subprocess.DEVNULL)
    try:
        if not answered.wait(30):
            raise SystemExit("the function does not answer")
    finally:
        function.kill()
    happened = {"status": api.answer["statusCode"], "questions": questions, "connections": connections}
    print(json.dumps(happened))


main()
