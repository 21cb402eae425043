// How rows become what people read.
//
// What callers wrote is hostile: it becomes text nodes, never markup, and what would not be seen in it, or would change
// how its surroundings read, is shown as an escape.

// A call's last row comes at most so long after the call began: the time limit of the function, and some.
export const SETTLED_MS = 35_000;

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const escaped = (character) => SHORT[character] ?? `\\u{${character.codePointAt(0).toString(16)}}`;

/** Nodes that show every character of `text`; line ends stay where `lines` says that they are ours. */
export function shown(text, lines = false) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(UNSEEN)) {
    if (lines && found[0] === "\n") continue;
    nodes.push(text.slice(from, found.index), element("span", { class: "escape" }, escaped(found[0])));
    from = found.index + found[0].length;
  }
  nodes.push(text.slice(from));
  return nodes;
}

export const value = (text) => element("bdi", {}, ...shown(String(text)));
export const fixed = (text) => element("bdi", { class: "fixed" }, ...shown(String(text)));
export const json = (data) => element("pre", {}, ...shown(JSON.stringify(data, null, 2), true));

/** Names in CamelCase may break where a word begins. */
export const camel = (text) =>
  element("bdi", {}, ...text.split(/(?<=[a-z])(?=[A-Z])/u).flatMap((word, index) => [...(index ? [element("wbr", {})] : []), ...shown(word)]));

/** An element with attributes; children are nodes or text. */
export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, set] of Object.entries(attributes)) made.setAttribute(key, set);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const DECISIONS = {
  ALLOW: ["good", "✓", "The guardrails let it pass."],
  DENY: ["bad", "✕", "It was refused."],
  ERROR: ["warn", "!", "It never came to a decision: the request was invalid, or what a decision needs could not be had."],
  UNKNOWN: ["warn", "?", "The function ended before it recorded the outcome; PCS may have carried out the call."],
};

export const sign = (look, glyph, word) =>
  element("span", { class: `sign ${look}` }, element("span", { "aria-hidden": "true" }, `${glyph} `), word);

export function decisionOf(event) {
  if (event.decision) {
    const [look, glyph] = DECISIONS[event.decision] ?? ["warn", "?"];
    return sign(look, glyph, event.decision);
  }
  const isOld = Date.now() - Date.parse(event.eventTime) > SETTLED_MS;
  return isOld ? sign("warn", "?", "left open") : sign("moving", "…", "under way");
}

/** Role and session, or the user, in the words of the ARN that API Gateway verified. */
export function who(event) {
  const arn = event.userIdentity?.arn;
  if (!arn) return { name: "not established" };
  const path = arn.split(":").slice(5).join(":").split("/");
  if (event.userIdentity.type === "AssumedRole") {
    return { name: path[1] ?? arn, session: event.userIdentity.sessionName ?? path.slice(2).join("/") };
  }
  return { name: path.at(-1) || arn };
}

export const milliseconds = (event) => (event.durationMilliseconds === undefined ? "–" : `${event.durationMilliseconds} ms`);

/** A read that succeeded leaves the row from before it and no other. */
export const statusOf = (event) => event.httpStatus ?? (event.stage === "READ" ? "answered" : "–");
