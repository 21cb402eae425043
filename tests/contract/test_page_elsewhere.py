"""Pages from elsewhere, in a real browser: what they try on the ports of `pcs-local` has no effect and tells nothing."""

import http.server
import json
import threading

import pytest

from browsers import cluster, launched, local, needs_chromium, playwright
from signed import presigned_url, send_raw, signed_headers
from test_local import cluster_body

pytestmark = needs_chromium

FOREIGN_PAGE = """<!doctype html><title>Somebody else's</title><body></body>"""
ATTACK = """async ({urls, presigned, cluster}) => {
  const told = [];
  const attempt = async (what, make) => {
    try { told.push([what, await make()]); } catch (fault) { told.push([what, null]); }
  };
  const read = async (url, options) => (await fetch(url, options)).text();
  const types = ["text/plain", "application/x-www-form-urlencoded"];
  for (const port of ["pcs", "iam"]) {
    for (const order of ["reset", "clear-calls", "advance", "clear-faults"]) {
      for (const type of types) {
        await attempt(`${port} ${order}`, () => read(`${urls[port]}/_control/${order}`, {method: "POST", mode: "no-cors",
          body: '{"seconds": 1}', headers: {"Content-Type": type}}));
      }
      await attempt(`${port} ${order} untyped`, () => read(`${urls[port]}/_control/${order}`, {method: "POST",
        mode: "no-cors", body: new Blob(["{}"])}));
      await attempt(`${port} ${order} empty`, () => read(`${urls[port]}/_control/${order}`, {method: "POST",
        mode: "no-cors"}));
      await attempt(`${port} ${order} asked for`, () => read(`${urls[port]}/_control/${order}`, {method: "POST",
        body: "{}", headers: {"Content-Type": "application/json"}}));
      navigator.sendBeacon(`${urls[port]}/_control/${order}`, "{}");
    }
  }
  const write = "Action=DeleteRole&Version=2010-05-08&RoleName=AWSPCS-compute-node&X-Amz-Signature=x";
  await attempt("iam form", () => read(urls.iam, {method: "POST", mode: "no-cors", body: new URLSearchParams(write)}));
  await attempt("gateway", () => read(presigned, {method: "POST", mode: "no-cors", body: new Blob([cluster])}));
  await attempt("gateway as text", () => read(presigned, {method: "POST", mode: "no-cors", body: cluster}));
  const target = {"X-Amz-Target": "DynamoDB_20120810.DeleteTable", "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20261120/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
    "X-Amz-Date": "20261120T090000Z"};
  await attempt("dynamodb", () => read(urls.dynamodb, {method: "POST", body: '{"TableName": "pcs-api-audit"}',
    headers: target}));
  for (const [port, url] of Object.entries(urls)) {
    for (const path of ["/", "/_control/calls", "/_control/state", "/api/events", "/v1/clusters"]) {
      await attempt(`read ${port}${path}`, () => read(url + path));
      await attempt(`read ${port}${path} unasked`, () => read(url + path, {mode: "no-cors"}));
    }
  }
  const shown = element => new Promise(resolve => {
    element.onload = element.onerror = resolve;
    document.body.append(element);
    setTimeout(resolve, 10_000);
  });
  for (const query of [`/?${write}`, "/_control/reset"]) {
    await shown(Object.assign(document.createElement("img"), {src: urls.iam + query}));
    await shown(Object.assign(document.createElement("script"), {src: urls.iam + query}));
    await shown(Object.assign(document.createElement("iframe"), {src: urls.iam + query}));
  }
  const sent = async (action, fields) => {
    const frame = Object.assign(document.createElement("iframe"), {name: `frame${Math.random()}`});
    document.body.append(frame);
    const form = Object.assign(document.createElement("form"), {action, method: "POST", target: frame.name,
      enctype: "text/plain"});
    for (const [name, value] of fields) {
      form.append(Object.assign(document.createElement("input"), {name, value}));
    }
    document.body.append(form);
    const loaded = new Promise(resolve => { frame.onload = resolve; setTimeout(resolve, 10_000); });
    form.submit();
    await loaded;
  };
  await sent(`${urls.pcs}/_control/reset`, [['{"a": "', '"}']]);
  await sent(`${urls.iam}/_control/reset`, [['{"a": "', '"}']]);
  await sent(`${urls.iam}/?${write}`, [["a", "b"]]);
  return told;
}"""


class Elsewhere(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(FOREIGN_PAGE.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere():
    """Where another page comes from."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def rebound(playwright):
    """A browser for whose resolver attacker.example is 127.0.0.1, as its owner can make it."""
    running = launched(playwright, "--host-resolver-rules=MAP attacker.example 127.0.0.1")
    yield running
    running.close()


def kept(local):
    """What no page may change."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    headers = signed_headers("POST", f"{local.iam}/", GET_ROLE, form, service="iam")
    answer = send_raw("POST", f"{local.iam}/", GET_ROLE, headers)
    assert answer.status == 200, answer.body
    calls = [call for call in local.control("calls")["calls"] if call["action"] != "ListClusters"]
    state = local.control("state")
    return calls, state["accounts"], sorted(local.trail.keys())


GET_ROLE = b"Action=GetRole&Version=2010-05-08&RoleName=AWSPCS-compute-node"


@pytest.mark.parametrize("origin", ["http://127.0.0.1:{}", "http://localhost:{}", "http://attacker.example:{}"])
def test_a_page_from_elsewhere_changes_and_reads_nothing(rebound, elsewhere, local, cluster, origin):
    before = kept(local)
    presigned = presigned_url("POST", f"{local.url}/v1/clusters")
    body = json.dumps({**cluster_body(), "clusterName": "made-by-a-page"})
    page = rebound.new_page()
    page.goto(origin.format(elsewhere))
    urls = {"gateway": local.url, "pcs": local.pcs, "iam": local.iam, "dynamodb": local.dynamodb, "page": local.page}
    told = page.evaluate(ATTACK, {"urls": urls, "presigned": presigned, "cluster": body})
    page.close()
    assert len(told) > 50 and [one for one in told if one[1]] == []
    assert kept(local) == before


FETCHED = """async ([path, body]) => {
  const answer = await fetch(path, body ? {method: "POST", body, headers: {"Content-Type": "application/json"}} : {});
  return [answer.status, await answer.text()];
}"""


def test_a_page_whose_name_was_pointed_here_reads_nothing(rebound, local, cluster):
    """To the browser it is same-origin with each port."""
    before = kept(local)
    for url in (local.url, local.pcs, local.iam, local.dynamodb, local.page):
        page = rebound.new_page()
        origin = f"http://attacker.example:{url.rpartition(':')[2]}"
        answer = page.goto(f"{origin}/_control/calls")
        assert answer.status == 403 and "--allow-host" in answer.text()
        for path, order in [("/", None), ("/_control/calls", None), ("/_control/state", None), ("/_control/reset", "{}")]:
            status, text = page.evaluate(FETCHED, [path, order])
            assert status == 403 and "--allow-host" in text, f"{url}{path}: {status} {text[:300]}"
        page.close()
    assert kept(local) == before
