"""The page of `pcs-local` in a real browser.

What the page has to show is taken from the API's own answers and from the table as boto3 reads it. `AXE_CORE` names
axe-core's script; without it its checks are skipped.
"""

import os
import pathlib
import re
import time
import urllib.request
from datetime import datetime, timedelta, timezone

import pytest

from browsers import (HOSTILE_KEY, api, browser, call, cluster, deny, event_id, expect, focused, local, look,
                      needs_chromium, part, playwright, row_of, terms)
from signed import SECRET
from stack import Stack
from test_local import cluster_body, group_body

AXE = os.environ.get("AXE_CORE")
pytestmark = needs_chromium

PORTAL = "portal"
HOSTILE_SHOWN = "<img src=x onerror=alert(1)>\"'&amp;\\n\\u{202e}gnp.exe\\u{200b}"
FIRST_PAINT_BYTES_MAX = 200_000
LIVE_MS = 10_000


# ---- loading ----

def test_it_loads_at_once_and_asks_nobody_else(look, local):
    looker = look()
    page = looker.open()
    assert page.title() == "PCS API on this machine"
    assert page.locator("html").get_attribute("lang") == "en"
    for role, name in [("main", None), ("banner", None), ("search", "Filter the audit trail"),
                       ("region", "Audit trail"), ("region", "Story of a call"), ("region", "Clusters")]:
        expect(page.get_by_role(role, name=name) if name else page.get_by_role(role)).to_have_count(1)
    assert sum(len(answer.body()) for answer in looker.answers if answer.status == 200) < FIRST_PAINT_BYTES_MAX
    for answer in looker.answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
    html = urllib.request.urlopen(local.page).read().decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=|https?:", html)


def test_markup_from_text_is_refused_by_the_browser(look):
    """The policy is a second lock: even a mistake in the script could not turn text into markup."""
    looker = look()
    page = looker.open()
    refused = page.evaluate("try { document.body.innerHTML = '<b>x</b>'; 'taken' } catch (fault) { fault.name }")
    assert refused == "TypeError"
    # Chromium says so on the console.
    assert [fault for fault in looker.faults if "TrustedHTML" not in fault] == []
    looker.faults.clear()


# ---- the trail and the story ----

def test_a_denied_call_appears_and_tells_its_story(look, local, cluster):
    page = look().open()
    page.get_by_label("Text in the calls below").focus()
    answer = deny(local, cluster)
    event = event_id(local, answer)
    row = row_of(page, event)
    expect(row).to_be_visible(timeout=LIVE_MS)
    told = row.locator("td").all_text_contents()
    assert told[1:] == [f"PcsApiUserRole{PORTAL}", "CreateComputeNodeGroup", "demo-cluster / compute", "✕ DENY",
                        "403GuardrailDenied", told[6]]
    assert re.fullmatch(r"\d+ ms", told[6])
    expect(page.locator("#announcement")).to_have_text("New call: CreateComputeNodeGroup, DENY")
    assert focused(page)[0] == "words", "what is announced does not take the focus"
    row.get_by_role("link").click()
    expect(page).to_have_url(f"{local.page}/#event={event}")
    expect(part(page, "Decision")).to_be_visible()
    violations = [[("Rule", one["rule"]), ("Subject", one["subject"]), ("Message", one["message"])]
                  for one in answer.json["violations"]]
    assert [terms(one) for one in page.locator(".violations > li").all()] == violations
    people = dict(terms(part(page, "Who")))
    assert people["Principal id"] == "AROADBQP57FF2AEXAMPLE" and people["Source IP"] == "127.0.0.1"
    assert people["Session"] == PORTAL and people["User agent"] == api.agent
    outcome = dict(terms(part(page, "Outcome")))
    assert (outcome["Status"], outcome["Error"], outcome["Message"]) == \
        ("403", "GuardrailDenied", answer.json["message"])
    assert dict(terms(part(page, "What")))["Request id"] == answer.request_id
    listed = part(page, "Calls to AWS").locator("li").all_text_contents()
    made = [f"{made.service}:{made.action} ✓ ok request id {made.request_id}" for made in answer.calls]
    assert sorted(listed) == sorted(made)
    assert part(page, "Steps").locator("li").all_text_contents() == \
        ["On record, before anything happened", "Closed"]
    page.get_by_text("The rows on record (2)").click()
    expect(page.locator("details pre")).to_have_count(2)
    assert SECRET not in page.content()


def test_a_story_has_an_address(look, local, cluster):
    answer = deny(local, cluster)
    event = event_id(local, answer)
    page = look().open(f"#event={event}")
    expect(part(page, "Decision")).to_contain_text(answer.json["violations"][0]["message"])
    expect(row_of(page, event).get_by_role("link")).to_have_attribute("aria-current", "true")
    looker = look()
    page = looker.open("#event=01ARZ3NDEKTSV4RRFFQ69G5FAV")
    expect(page.locator("#told")).to_have_text("no call with this id is on record")
    # Chromium says on the console that the answer was 404.
    assert all("404" in fault for fault in looker.faults)
    looker.faults.clear()


def test_the_keyboard_alone(look, local, cluster):
    deny(local, cluster)
    page = look().open()
    page.keyboard.press("Tab")
    assert focused(page)[1] == "Skip to the audit trail"
    expect(page.locator(":focus")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert focused(page)[0] == "trail"
    for expected in ["decision", "operation", "words"]:
        page.keyboard.press("Tab")
        assert focused(page)[0] == expected
    page.keyboard.press("Tab")
    assert focused(page)[1] == "CreateComputeNodeGroup"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus is seen"
    page.keyboard.press("Enter")
    expect(page.locator("#story-title")).to_be_focused()
    page.keyboard.press("Tab")
    assert focused(page)[1] == "Back to the trail"
    page.keyboard.press("Enter")
    assert focused(page)[1] == "CreateComputeNodeGroup"
    # A poll that changes the list takes nothing away from whoever is in it.
    call(local, "GET", "/v1/clusters")
    expect(page.locator("#calls tr").first).to_contain_text("ListClusters", timeout=LIVE_MS)
    assert focused(page)[1] == "CreateComputeNodeGroup"


def test_what_callers_wrote_is_text(look, local, cluster):
    answer = call(local, "GET", "/v1/clusters", key=HOSTILE_KEY)
    assert answer.status == 200
    event = event_id(local, answer)
    page = look().open(f"#event={event}")
    expect(row_of(page, event).locator("td").nth(1)).to_have_text(f"PcsApiUserRole{HOSTILE_SHOWN}")
    expect(part(page, "Who")).to_be_visible()
    assert dict(terms(part(page, "Who")))["Session"] == HOSTILE_SHOWN
    page.locator("details summary").click()
    expect(page.locator("img")).to_have_count(0)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", page.locator("body").inner_text())


def test_the_filter(look, local, cluster):
    denied = event_id(local, deny(local, cluster))
    listed = event_id(local, call(local, "GET", "/v1/clusters"))
    page = look().open()
    page.get_by_label("Decision").select_option("DENY")
    expect(row_of(page, listed)).to_have_count(0)
    expect(row_of(page, denied)).to_be_visible()
    assert set(page.locator("#calls .sign").all_text_contents()) == {"✕ DENY"}
    page.get_by_label("Decision").select_option("")
    page.get_by_label("Operation").select_option("ListClusters")
    expect(row_of(page, denied)).to_have_count(0)
    expect(row_of(page, listed)).to_be_visible()
    page.get_by_label("Operation").select_option("")
    expect(row_of(page, denied)).to_be_visible()
    page.get_by_label("Text in the calls below").fill("guardraildenied")
    expect(row_of(page, listed)).to_be_hidden()
    expect(row_of(page, denied)).to_be_visible()
    expect(page.locator("#count")).to_contain_text(re.compile(r"^\d+ of \d+ calls"))
    page.get_by_label("Text in the calls below").fill("nothing has this in it")
    expect(page.get_by_text("No call fits the filter.")).to_be_visible()


# ---- the clusters ----

def test_clusters_change_before_ones_eyes(look, local):
    local.settle()
    local.control("reset", {})
    page = look().open()
    expect(page.get_by_text("There are no clusters.")).to_be_visible(timeout=LIVE_MS)
    made = call(local, "POST", "/v1/clusters", cluster_body())
    shown = page.locator(f"[data-cluster='{made.json['cluster']['id']}']")
    expect(shown.locator("h3")).to_have_text("demo-cluster… CREATING", timeout=LIVE_MS)
    expect(shown.locator("h3")).to_have_text("demo-cluster✓ ACTIVE", timeout=LIVE_MS)
    group = call(local, "POST", "/v1/clusters/demo-cluster/compute-node-groups", group_body())
    expect(shown).to_contain_text("compute" + group.json["computeNodeGroup"]["id"] + "… CREATING", timeout=LIVE_MS)
    local.settle()
    call(local, "POST", "/v1/clusters/demo-cluster/queues", {"queueName": "work"})
    expect(shown).to_contain_text("compute" + group.json["computeNodeGroup"]["id"] + "✓ ACTIVE", timeout=LIVE_MS)
    expect(shown.locator("li", has_text="work")).to_contain_text("CREATING", timeout=LIVE_MS)
    asked = [told["action"] for told in local.control("calls")["calls"]]
    assert not [action for action in asked if action.startswith(("List", "Get"))], "looking is no call"


# ---- cost ----

def test_looking_leaves_nothing_on_record_and_an_idle_page_gets_nothing_new(look, local, cluster):
    rows = local.trail.keys()
    looker = look()
    page = looker.open()
    page.wait_for_timeout(3000)
    looker.answers.clear()
    page.wait_for_timeout(5000)
    assert {answer.status for answer in looker.answers} == {304}
    assert 4 <= len(looker.answers) <= 6, "two questions every two seconds"
    assert local.trail.keys() == rows
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("Paused")
    looker.answers.clear()
    page.wait_for_timeout(3000)
    assert looker.answers == []
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("Live")


def test_a_hidden_page_asks_nothing(look, local):
    looker = look()
    page = looker.open()
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.wait_for_timeout(1000)
    looker.answers.clear()
    page.wait_for_timeout(4000)
    assert looker.answers == []
    answer = call(local, "GET", "/v1/clusters")
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(row_of(page, event_id(local, answer))).to_be_visible()


def test_it_says_when_there_is_no_answer(look):
    looker = look()
    page = looker.open()
    looker.context.route("**/api/**", lambda route: route.abort())
    expect(page.locator("#state")).to_have_text("Not reachable; trying again", timeout=LIVE_MS)
    looker.context.unroute("**/api/**")
    expect(page.locator("#state")).to_have_text("Live", timeout=LIVE_MS)
    assert all("ERR_FAILED" in fault for fault in looker.faults)
    looker.faults.clear()


EVENTS = 10_000


@pytest.fixture(scope="module")
def busy():
    """A trail of 10,000 calls of the last minutes, put into the table as the README describes its rows."""
    running = Stack()
    now = datetime.now(timezone.utc)
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    with running.trail.table.batch_writer() as writer:
        for number in range(EVENTS):
            moment = (now - timedelta(milliseconds=10 * (EVENTS - number))).isoformat(timespec="milliseconds")
            told = moment.replace("+00:00", "Z")
            ulid = "01ARZ3NDEKTSV4RRFFQ69" + "".join(letters[number >> shift & 31] for shift in (20, 15, 10, 5, 0))
            identity = {"type": "AssumedRole", "principalId": "AROADBQP57FF2AEXAMPLE", "sessionName": f"job-{number}",
                        "arn": f"arn:aws:sts::123456789012:assumed-role/PcsApiUserRole/job-{number}"}
            writer.put_item({"pk": f"E#{ulid}", "sk": "9#COMPLETE", "at": f"{told}#{ulid}", "stage": "COMPLETE",
                             "byTime": f"T#{told[:13]}#{number % 4}", "eventId": ulid, "eventTime": told,
                             "eventName": "CreateCluster", "decision": "ALLOW", "httpStatus": 202, "dryRun": False,
                             "readOnly": False, "userIdentity": identity, "resources": [f"cluster-{number}"],
                             "durationMilliseconds": 7, "expires": int(now.timestamp()) + 86400})
    yield running
    running.kill()


def test_ten_thousand_calls(look, busy):
    looker = look(busy.page)
    page = looker.open()
    first = page.locator("#calls tr").first
    expect(first).to_contain_text(f"job-{EVENTS - 1}")
    assert page.locator("#calls tr").count() <= 1000, "not all of them at once"
    assert sum(len(answer.body()) for answer in looker.answers[:9] if answer.status == 200) < FIRST_PAINT_BYTES_MAX
    before = page.locator("#calls tr").count()
    for _ in range(3):
        page.get_by_role("button", name="Load older calls").click()
        expect(page.locator("#calls tr")).to_have_count(before + 100)
        before += 100
    shown = page.locator("#calls time").evaluate_all("times => times.map(time => time.dateTime)")
    assert shown == sorted(shown, reverse=True) and len(set(shown)) == before
    # A keystroke in the filter is answered within a frame or two.
    took = page.evaluate("""() => { const words = document.getElementById('words'); words.value = 'cluster-9990';
        const began = performance.now(); words.dispatchEvent(new Event('input')); return performance.now() - began; }""")
    assert took < 250
    expect(page.locator("#calls tr:visible")).to_have_count(1)


# ---- for everybody ----

def widths(page):
    return page.evaluate("[document.documentElement.scrollWidth, innerWidth]")


@pytest.mark.parametrize(("width", "scale"), [(320, 1), (640, 2)])
def test_nothing_is_cut_off(look, local, cluster, width, scale):
    """320 px wide; and 1280 px at 200 % zoom, which to the page is 640 px with twice the pixels."""
    event = event_id(local, deny(local, cluster))
    call(local, "GET", "/v1/clusters", key=HOSTILE_KEY)
    call(local, "GET", f"/v1/clusters/{'long-name' * 20}")
    page = look(viewport={"width": width, "height": 700}, device_scale_factor=scale).open(f"#event={event}")
    expect(part(page, "Decision")).to_be_visible()
    page.locator("details summary").click()
    found, fits = widths(page)
    assert found <= fits
    # Laid out as cards, it is still a table to those who do not see it.
    expect(page.get_by_role("columnheader", name="Decision")).to_have_count(1)
    expect(page.get_by_role("row").nth(1).get_by_role("cell")).to_have_count(7)


def test_movement_can_be_off(look, local):
    page = look(reduced_motion="reduce").open()
    event = event_id(local, call(local, "GET", "/v1/clusters"))
    expect(row_of(page, event)).to_be_visible(timeout=LIVE_MS)
    assert row_of(page, event).evaluate("row => getComputedStyle(row).animationName") == "none"


@pytest.mark.skipif(not AXE, reason="NOT CHECKED: AXE_CORE does not name axe-core's script")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 320])
def test_axe_finds_nothing(look, local, cluster, scheme, width):
    call(local, "POST", f"{cluster}/compute-node-groups", group_body())
    call(local, "GET", "/v1/clusters", key=HOSTILE_KEY)
    call(local, "POST", "/v1/clusters", {"clusterName": "my_cluster"})
    event = event_id(local, deny(local, cluster))
    page = look(color_scheme=scheme, reduced_motion="reduce", viewport={"width": width, "height": 900},
                bypass_csp=True).open(f"#event={event}")
    expect(part(page, "Decision")).to_be_visible()
    page.locator("details summary").click()
    page.evaluate(pathlib.Path(AXE).read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("tags => axe.run(document, { runOnly: tags })", tags)
    assert len(found["passes"]) > 20, "it looked"
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
