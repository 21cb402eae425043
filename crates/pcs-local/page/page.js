// Shows the audit trail as it grows, the story of one call, and the clusters.

import { camel, decisionOf, DECISIONS, element, fixed, json, milliseconds, SETTLED_MS, shown, sign, statusOf, value, who } from "./text.js";

const POLL_MS = 2000;
// The live question moves on at least this often, so that it never spans many hours.
const WINDOW_MS = 300_000;
const PAGE = 100;
const BURST_PAGES = 5;
// Rows that live calls may pile up; "Load older calls" raises it.
const KEPT = 500;

const $ = (id) => document.getElementById(id);

// ---- requests ----

const tags = new Map();

/** The answer's JSON, or null if it is what the last answer to this question was. */
async function ask(path, isRepeated = false) {
  const headers = isRepeated && tags.has(path) ? { "If-None-Match": tags.get(path) } : {};
  const answer = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(15_000) });
  clock = Date.parse(answer.headers.get("date")) || Date.now();
  if (answer.status === 304) return null;
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.message);
  if (isRepeated) tags.set(path, answer.headers.get("etag"));
  return body;
}

// The server's, as of its last answer.
let clock = Date.now();
const ago = (duration) => new Date(clock - duration).toISOString();

function question(more) {
  const asked = new URLSearchParams({ limit: PAGE, ...more });
  for (const name of ["decision", "operation"]) if ($(name).value) asked.set(name, $(name).value);
  return `/api/events?${asked}`;
}

// ---- the trail ----

const trail = { calls: [], next: null, since: null, kept: KEPT, round: 0 };
const at = (event) => `${event.eventTime}#${event.eventId}`;

/** Where a call is in the trail, or where it belongs: newest first. */
function place(event) {
  let [low, high] = [0, trail.calls.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(trail.calls[middle].event) > at(event)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts calls in, or what is newly known of them; returns those that were not there. */
function merge(events, isLive) {
  const fresh = [];
  for (const event of events) {
    const index = place(event);
    const call = trail.calls[index];
    if (call?.event.eventId === event.eventId) {
      if (JSON.stringify(call.event) !== JSON.stringify(event)) {
        call.event = event;
        fill(call);
      }
      continue;
    }
    const added = { event, row: element("tr", { role: "row", "data-event": event.eventId }) };
    fill(added);
    offer(event.eventName);
    if (isLive) added.row.classList.add("new");
    $("calls").insertBefore(added.row, call?.row ?? null);
    trail.calls.splice(index, 0, added);
    fresh.push(event);
  }
  return fresh;
}

function fill(call) {
  const { event, row } = call;
  const { name, session } = who(event);
  const [day, time] = event.eventTime.replace("Z", "").split("T");
  const cells = [
    ["Time", element("time", { datetime: event.eventTime, class: "fixed" }, time, element("span", { class: "quiet" }, day))],
    ["Who", element("span", {}, value(name), session === undefined ? null : element("span", { class: "quiet" }, value(session)))],
    ["Operation", element("a", { href: `#event=${event.eventId}` }, camel(event.eventName ?? "not an operation"))],
    ["Resource", value((event.resources ?? []).join(" / ") || event.resourceArn || "–")],
    ["Decision", decisionOf(event)],
    ["Status", element("span", {}, String(statusOf(event)), event.errorCode ? element("span", { class: "quiet" }, camel(event.errorCode)) : null)],
    ["Duration", element("span", { class: "fixed" }, milliseconds(event))],
  ];
  if (event.dryRun) cells[2][1] = element("span", {}, cells[2][1], element("span", { class: "quiet" }, "dry run"));
  const had = row.contains(document.activeElement);
  row.replaceChildren(...cells.map(([column, cell]) => element("td", { role: "cell", "data-column": column }, cell)));
  call.text = [JSON.stringify(event), row.textContent].join(" ").toLowerCase();
  sift(call);
  mark(call);
  if (had) row.querySelector("a").focus({ preventScroll: true });
}

/** Operations are known from the start; what the sweep does is met in the trail. */
function offer(name) {
  const isKnown = !name || [...$("operation").options].some((option) => option.value === name);
  if (!isKnown) $("operation").append(element("option", {}, name));
}

function sift(call) {
  call.row.hidden = !call.text.includes($("words").value.trim().toLowerCase());
}

function mark(call) {
  const isChosen = call.event.eventId === story.id;
  call.row.classList.toggle("chosen", isChosen);
  const link = call.row.querySelector("a");
  if (isChosen) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

/** Forgets the oldest rows above the number that is kept; never one that somebody is on. */
function trim() {
  while (trail.calls.length > trail.kept) {
    const last = trail.calls.at(-1);
    if (last.row.contains(document.activeElement)) return;
    last.row.remove();
    trail.calls.pop();
    trail.next = at(trail.calls.at(-1).event);
  }
}

function count() {
  const seen = trail.calls.filter((call) => !call.row.hidden).length;
  const all = trail.calls.length;
  $("count").textContent = `${seen === all ? all : `${seen} of ${all}`} ${all === 1 ? "call" : "calls"}${trail.next ? " loaded; there may be older ones" : ""}`;
  $("older").hidden = trail.next === null;
  const isFiltered = $("decision").value || $("operation").value || $("words").value;
  $("none").hidden = seen > 0;
  $("none").textContent = isFiltered ? "No call fits the filter." : "No call is on record yet. Make one, and it appears here.";
}

/** The newest calls, in place of all that is shown. */
async function head() {
  const round = ++trail.round;
  const begun = ago(SETTLED_MS);
  const found = await search(null);
  if (round !== trail.round) return;
  if ($("calls").contains(document.activeElement)) $("trail").focus({ preventScroll: true });
  $("calls").replaceChildren();
  Object.assign(trail, { calls: [], next: found.next, since: begun, kept: KEPT });
  merge(found.events, false);
  count();
}

/** The next calls before a position; goes on where a stretch without calls took the server too long. */
async function search(before) {
  for (;;) {
    const found = await ask(question(before ? { before } : {}));
    if (found.events.length > 0 || found.next === null) return found;
    before = found.next;
  }
}

async function older() {
  const round = trail.round;
  $("older").disabled = true;
  try {
    const found = await search(trail.next);
    if (round !== trail.round) return;
    trail.next = found.next;
    const first = merge(found.events, false)[0];
    trail.kept = Math.max(trail.kept, trail.calls.length);
    count();
    say(`${found.events.length} older calls loaded`);
    const row = first && $("calls").querySelector(`[data-event="${first.eventId}"] a`);
    if (trail.next === null) row?.focus({ preventScroll: true });
  } finally {
    $("older").disabled = false;
  }
}

/** What happened since the last look. */
async function live() {
  const round = trail.round;
  const first = await ask(question({ after: trail.since }), true);
  if (first === null || round !== trail.round) return;
  let [events, next] = [first.events, first.next];
  for (let page = 1; next && page < BURST_PAGES; page++) {
    const more = await ask(question({ after: trail.since, before: next }));
    [events, next] = [events.concat(more.events), more.next];
  }
  if (round !== trail.round) return;
  // More than anybody reads along: begin again with the newest, so that nothing is missing in between.
  if (next) return head();
  const fresh = merge(events, true);
  trim();
  if (fresh.length > 0) announce(fresh);
  if (fresh.length > 0 || Date.parse(trail.since) < clock - WINDOW_MS) trail.since = ago(SETTLED_MS);
  count();
}

/** Calls that were left open get older without a new row. */
function age() {
  for (const call of trail.calls.slice(0, KEPT)) {
    if (!call.event.decision && !call.row.textContent.includes("left open")) fill(call);
  }
}

function announce(fresh) {
  const shownOnes = fresh.filter((event) => !trail.calls[place(event)]?.row.hidden);
  if (shownOnes.length === 0) return;
  const { eventName, decision } = shownOnes[0];
  const what = `${eventName ?? "not an operation"}, ${decision ?? "under way"}`;
  say(shownOnes.length === 1 ? `New call: ${what}` : `${shownOnes.length} new calls, the newest: ${what}`);
}

function say(words) {
  $("announcement").textContent = words;
}

// ---- the story of a call ----

const story = { id: null, isOpen: false };

async function choose(isAsked) {
  const id = new URLSearchParams(location.hash.slice(1)).get("event");
  if (!id) return;
  story.id = id;
  trail.calls.forEach(mark);
  try {
    await tell(false);
  } catch (fault) {
    if (story.id === id) $("told").replaceChildren(element("p", {}, ...shown(fault.message)));
  }
  if (isAsked && story.id === id) $("story-title").focus();
}

async function tell(isRepeated) {
  const id = story.id;
  const found = await ask(`/api/events/${encodeURIComponent(id)}`, isRepeated);
  if (found === null || story.id !== id) return;
  const rows = found.rows;
  const opening = rows[0];
  // The copy that is found by another key says nothing of its own, and is last only by name.
  const last = rows.findLast((row) => row.stage !== "STEP");
  story.isOpen = last.stage === "RECEIVED";
  $("told").replaceChildren(
    element("p", {}, backToTheTrail(), " "),
    heading(last),
    part("Decision", ...decision(last)),
    part("Who", people(last)),
    part("What", request(opening, last)),
    part("Steps", steps(rows)),
    part("Calls to AWS", ...downstream(last)),
    part("Outcome", ...outcome(last)),
    element("details", {}, element("summary", {}, `The rows on record (${rows.length})`), ...rows.map(json)),
  );
}

function backToTheTrail() {
  const back = element("button", { type: "button" }, "Back to the trail");
  back.addEventListener("click", () => {
    const call = trail.calls.find(({ event }) => event.eventId === story.id);
    (call && !call.row.hidden ? call.row.querySelector("a") : $("trail")).focus();
  });
  return back;
}

const part = (title, ...content) => element("section", {}, element("h3", {}, title), ...content);

const heading = (event) =>
  element("p", {}, decisionOf(event), " ", element("strong", {}, value(event.eventName ?? "not an operation")), " by ",
    value(who(event).name), " at ", element("time", { datetime: event.eventTime }, event.eventTime));

/** Pairs of term and value; a value that is not there leaves its term out. */
function list(pairs) {
  const there = pairs.filter(([, given]) => given !== undefined && given !== null && given !== "");
  return element("dl", {}, ...there.flatMap(([term, given]) => [
    element("dt", {}, term),
    element("dd", {}, given instanceof Node ? given : value(given)),
  ]));
}

function people(event) {
  const identity = event.userIdentity ?? {};
  const { name, session } = who(event);
  return list([
    [identity.type === "AssumedRole" ? "Role" : "Name", name],
    ["Session", session],
    ["Principal id", identity.principalId && fixed(identity.principalId)],
    ["Type", identity.type],
    ["ARN", identity.arn && fixed(identity.arn)],
    ["Account", identity.accountId && fixed(identity.accountId)],
    ["Access key id", identity.accessKeyId && fixed(identity.accessKeyId)],
    ["Organization", identity.organizationId && fixed(identity.organizationId)],
    ["Source IP", event.sourceIPAddress && fixed(event.sourceIPAddress)],
    ["User agent", event.userAgent],
  ]);
}

function request(opening, last) {
  const seen = opening.inspected ?? last.inspected;
  return list([
    ["Request", fixed(`${opening.httpMethod} ${opening.resourcePath}`)],
    ["Resources", (opening.resources ?? []).join(" / ")],
    ["ARN", last.resourceArn && fixed(last.resourceArn)],
    ["Region", opening.awsRegion],
    ["Kind", `${opening.readOnly ? "read" : "mutation"}${opening.dryRun ? ", dry run" : ""}`],
    ["Parameters", opening.requestParameters && json(opening.requestParameters)],
    ["Body", opening.bodyBytes ? `${opening.bodyBytes} bytes` : "none"],
    ["Body SHA-256", opening.bodySha256 && fixed(opening.bodySha256)],
    ["Role made", last.nodeRoleArn && fixed(last.nodeRoleArn)],
    ["Inspected", seen && json(seen)],
    ["Request id", opening.requestID && fixed(opening.requestID)],
    ["Event id", fixed(opening.eventId)],
  ]);
}

function decision(event) {
  const sentence = DECISIONS[event.decision]?.[2] ?? "It is not decided yet, or nobody recorded how.";
  return [element("p", {}, decisionOf(event), " ", sentence), violations(event)];
}

function violations(event) {
  if (!event.violations?.length) return null;
  return element("ol", { class: "violations" }, ...event.violations.map(({ rule, subject, message }) =>
    element("li", {}, list([["Rule", fixed(rule)], ["Subject", fixed(subject)], ["Message", value(message)]]))));
}

const STAGES = {
  READ: "On record, before PCS was asked",
  RECEIVED: "On record, before anything happened",
  COMPLETE: "Closed",
  PANIC: "Closed after a panic",
};

function steps(rows) {
  const told = rows.filter((row, index) => row.stage !== rows[index + 1]?.stage || row.stage === "STEP");
  return element("ol", {}, ...told.map((row) => row.step
    ? element("li", {}, fixed(row.step), violations(row))
    : element("li", {}, STAGES[row.stage] ?? value(row.stage))));
}

function downstream(event) {
  if (!event.downstream?.length) return [element("p", { class: "quiet" }, "None is on record.")];
  return [element("ol", {}, ...event.downstream.map((call) => element("li", {},
    fixed(`${call.service}:${call.action}`), " ", call.errorCode ? sign("bad", "✕", call.errorCode) : sign("good", "✓", "ok"),
    call.requestId ? element("span", {}, " request id ", fixed(call.requestId)) : null)))];
}

function outcome(event) {
  if (event.stage === "RECEIVED") return [element("p", {}, "The call is under way, or its end was not recorded.")];
  if (event.stage === "READ") return [element("p", {}, "The answer was released; a read leaves a second row only if it fails.")];
  return [list([
    ["Status", event.httpStatus],
    ["Error", event.errorCode && fixed(event.errorCode)],
    ["Message", event.errorMessage],
    ["Duration", milliseconds(event)],
    ["Answer", event.responseElements && json(event.responseElements)],
  ])];
}

// ---- the clusters ----

function state(resource) {
  const { status } = resource;
  if (status === "ACTIVE") return sign("good", "✓", status);
  if (status.endsWith("_FAILED")) return sign("bad", "✕", status);
  return status === "SUSPENDED" ? sign("warn", "‖", status) : sign("moving", "…", status);
}

const faults = (resource) => (resource.errorInfo ?? []).map(({ code, message }) => element("span", { class: "quiet" }, value(`${code}: ${message}`)));

function cluster(found) {
  const parts = (title, resources) => [
    element("h4", { class: "unseen" }, title),
    resources.length === 0 ? element("p", { class: "quiet" }, `No ${title.toLowerCase()}`) : element("ul", {}, ...resources.map((resource) =>
      element("li", {}, element("span", { class: "quiet" }, title.slice(0, -1)), value(resource.name), fixed(resource.id), state(resource), ...faults(resource)))),
  ];
  return element("article", { class: "cluster", "data-cluster": found.id },
    element("h3", {}, value(found.name), state(found)),
    element("p", { class: "quiet" }, fixed(found.id), " in ", value(found.region)),
    ...faults(found),
    ...parts("Compute node groups", found.computeNodeGroups), ...parts("Queues", found.queues));
}

async function clusters() {
  const found = await ask("/api/clusters", true);
  if (found === null) return;
  const elsewhere = found.elsewhere && element("p", { class: "quiet" }, "The API asks PCS at ", fixed(found.elsewhere), "; these are the clusters of the emulator in this process.");
  const none = found.clusters.length === 0 ? element("p", { class: "quiet" }, "There are no clusters.") : null;
  $("listed").replaceChildren(...[elsewhere, none].filter(Boolean), ...found.clusters.map(cluster));
}

// ---- the loop ----

const isPaused = () => $("pause").getAttribute("aria-pressed") === "true";

function status(words) {
  if ($("state").textContent !== words) $("state").textContent = words;
}

let isLooking = false;

async function look() {
  if (isLooking || isPaused() || document.hidden) return;
  isLooking = true;
  try {
    await (trail.since === null ? head() : live());
    age();
    await clusters();
    if (story.isOpen) await tell(true);
    if (!isPaused()) status("Live");
  } catch (fault) {
    status(fault instanceof TypeError ? "Not reachable; trying again" : `Trying again: ${fault.message}`);
  } finally {
    isLooking = false;
  }
}

async function operations() {
  const found = await ask("/api/operations");
  found.operations.forEach(offer);
}

const failed = (fault) => status(`Trying again: ${fault.message}`);

$("pause").addEventListener("click", () => {
  $("pause").setAttribute("aria-pressed", String(!isPaused()));
  status(isPaused() ? "Paused" : "Live");
  look();
});
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("words").addEventListener("input", () => {
  trail.calls.forEach(sift);
  count();
});
for (const name of ["decision", "operation"]) $(name).addEventListener("change", () => head().catch(failed));
$("older").addEventListener("click", () => older().catch(failed));
$("calls").addEventListener("click", ({ target }) => {
  // The link is what keyboards reach; the rest of its row is only a larger target.
  if (target.closest("a") || String(getSelection())) return;
  target.closest("tr").querySelector("a").click();
});
addEventListener("hashchange", () => choose(true));
document.addEventListener("visibilitychange", look);
setInterval(look, POLL_MS);
operations().catch(failed);
look();
choose(false);
