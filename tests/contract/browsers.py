"""A real browser for the tests of `pcs-local`: Chromium, driven by Playwright. `CHROMIUM` names another.

Every window also fails its test if the page asks any other host, breaks its own Content-Security-Policy, or says
anything on the console.
"""

import json
import os
import shutil

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="NOT CHECKED: there is no playwright")

from signed import KEY, SECRET, Raw, send_raw, signed_headers
from stack import PROFILES, Stack
from test_local import cluster_body, group_body

expect = sync_api.expect
CHROMIUM = next(filter(None, map(shutil.which, [os.environ.get("CHROMIUM") or "chromium", "chromium",
                                                "chromium-browser", "google-chrome"])), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="NOT CHECKED: there is no Chromium")

api = Raw()
HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;\n\u202egnp.exe\u200b"
HOSTILE_KEY = ("AKIAHOSTILEEXAMPLE00", "hush")


# ---- what is looked at, and with what ----

@pytest.fixture(scope="module")
def local(tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    arn = f"arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/{HOSTILE}"
    identity = {"kind": "assumedRole", "accountId": "123456789012", "principalId": "AROADBQP57FF2AEXAMPLE",
                "sessionName": HOSTILE, "arn": arn}
    keys.write_text(json.dumps([{"accessKeyId": HOSTILE_KEY[0], "secretAccessKey": HOSTILE_KEY[1],
                                 "identity": identity}]))
    running = Stack("--transition-seconds", "5", "--credentials", str(keys))
    yield running
    running.kill()


@pytest.fixture(scope="module")
def playwright():
    with sync_api.sync_playwright() as running:
        yield running


def launched(playwright, *flags):
    # Chromium refuses its sandbox to root, as which containers run.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, *flags])


@pytest.fixture(scope="module")
def browser(playwright):
    running = launched(playwright)
    yield running
    running.close()


class Looker:
    """A browser window that notes what it must not do."""

    def __init__(self, browser, url, **options):
        self.url, self.faults, self.answers = url, [], []
        self.context = browser.new_context(**{"viewport": {"width": 1360, "height": 900}, **options})
        self.context.route("**/*", self.watch)
        self.context.on("weberror", lambda fault: self.faults.append(f"error: {fault.error}"))
        self.page = self.context.new_page()
        self.page.on("console", lambda said: self.faults.append(f"console: {said.text}"))
        self.page.on("dialog", lambda dialog: (self.faults.append("a dialog"), dialog.dismiss()))
        self.page.on("response", lambda answer: self.answers.append(answer))

    def watch(self, route):
        if not route.request.url.startswith(f"{self.url}/"):
            self.faults.append(f"request: {route.request.url}")
            return route.abort()
        return route.fallback()

    def open(self, fragment=""):
        self.page.goto(f"{self.url}/{fragment}")
        expect(self.page.locator("#state")).to_have_text("Live")
        return self.page


@pytest.fixture
def look(browser, local):
    """Opens windows; all of them must have kept the rules."""
    opened = []

    def window(url=None, **options):
        opened.append(Looker(browser, url or local.page, **options))
        return opened[-1]

    yield window
    for looker in opened:
        looker.context.close()
    assert [fault for looker in opened for fault in looker.faults] == []


def call(local, method, target, body=None, key=(KEY, SECRET)):
    """A signed request whose answer and records are not what the test is about."""
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"User-Agent": api.agent, **({"Content-Type": "application/json"} if data else {})}
    url = local.url + target
    return send_raw(method, url, data, signed_headers(method, url, data, headers, key=key[0], secret=key[1]))


@pytest.fixture
def cluster(local):
    local.settle()
    local.control("reset", {})
    assert call(local, "POST", "/v1/clusters", cluster_body()).status == 202
    local.settle()
    return "/v1/clusters/demo-cluster"


def deny(local, cluster):
    return local.call(api, "POST", f"{cluster}/compute-node-groups", group_body(f"{PROFILES}AWSPCS-administrator"),
                      expect=403)


def event_id(local, answer):
    """As the table says it, found by API Gateway's request id."""
    found = {row["eventId"] for row in local.trail.rows().values() if row.get("requestID") == answer.request_id}
    [event] = found
    return event


def row_of(page, event):
    return page.locator(f"#calls tr[data-event='{event}']")


def part(page, title):
    return page.locator("#told section", has=page.get_by_role("heading", name=title, exact=True))


def terms(section):
    """Terms and values of a section, in order."""
    return list(zip(section.locator("dt").all_text_contents(), section.locator("dd").all_text_contents()))


def focused(page):
    return page.evaluate("[document.activeElement.id, document.activeElement.textContent]")
