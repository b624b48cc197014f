/* The end of a conversation: times in the reader's zone, and the summary while it is written. */

import { Turns } from "./turns.js";

const AGAIN_AFTER = 1_000;
const LONGEST_AFTER = 15_000;
const ANSWER_WITHIN = 15_000;
const BANNER_AFTER = 800;
const WORDS = {
  lost: "The connection is lost. Trying again… What the coach writes appears as soon as it is back.",
  "signed-out": "This page is no longer open to you. Sign in, or open your invitation, to read on.",
  gone: "This page is no longer open to you. Open your invitation again: its page says why.",
};

const data = JSON.parse(document.getElementById("page-data").textContent);
const turns = new Turns({
  newest: data.newest,
  log: null,
  missing: (message, index) => connection.send({ type: "fetch", message, index }),
  unknown: () => connection.sync(),
});
let asked = 0; // how often the page was asked for
let failed = 0; // how often in a row it did not come
let timer = 0;
let bannerTimer = 0;
const connection = document.querySelector("[data-unfinished]") ? await connect() : null;

async function connect() {
  // Few visits need it: mostly the page is whole.
  const { Connection } = await import("./connection.js");
  return new Connection(data.socket, { holds: () => turns.held(), received, changed });
}

function received(frame) {
  if (frame.type === "chunk") turns.chunk(frame);
  if (frame.type === "watched") document.querySelector("[data-watched]").textContent = frame.text;
  if (frame.type !== "turn") return;
  turns.place(frame);
  // A summary that begins needs its place; what is whole is set by the server.
  if (frame.status !== "streaming" || !turns.find(frame.message)) renew();
}

function changed(state) {
  const line = document.querySelector("[data-line]");
  const unfinished = document.querySelector("[data-unfinished]");
  const say = () => (line.textContent = (unfinished && WORDS[state]) ?? "");
  clearTimeout(bannerTimer);
  // Short gaps pass unseen.
  if (state === "lost" && !line.textContent) bannerTimer = setTimeout(say, BANNER_AFTER);
  else say();
  if (state === "open" && failed) renew();
}

/** Show what the server makes of the page now, in the parts that change; where it does not come,
    ask again. */
async function renew() {
  clearTimeout(timer);
  const mine = ++asked;
  const html = await load().catch(() => null);
  if (mine !== asked) return; // a newer one is under way
  if (html === null) {
    timer = setTimeout(renew, Math.min(LONGEST_AFTER, AGAIN_AFTER * 2 ** failed++));
    return;
  }
  failed = 0;
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const part of ["[data-debrief]", "[data-transcript]"]) {
    const fresh = page.querySelector(part);
    if (fresh) document.querySelector(part).replaceWith(document.adoptNode(fresh));
  }
  turns.renewed();
}

/** The page as HTML; null if the server cannot make it just now. */
async function load() {
  const answer = await fetch(location.href, { signal: AbortSignal.timeout(ANSWER_WITHIN) });
  return answer.status < 500 ? answer.text() : null;
}
