/* The conversation page: what arrives goes to the part that knows about it, and so does what
   the learner does. The page works without any of this, by plain forms. */

import { Composer, Ending, actions, retriable } from "./composer.js";
import { Connection } from "./connection.js";
import { Outbox, newId } from "./outbox.js";
import { Panes, banner, follow } from "./panes.js";
import { Turns } from "./turns.js";

const LOOK_AGAIN_AFTER = 5_000;
const MEANT_FOR_THE_COACH_AFTER = 500;
const find = (name) => document.querySelector(`[data-${name}]`);
const data = JSON.parse(document.getElementById("page-data").textContent);
const key = `parley:${data.conversation}`;
const running = { partner: null, coach: null }; // ids of the replies that stream now
const scrolls = {};
const composers = {};
let ended = data.status === "ended";
let noticed = "";
let shut = "";
let out = false; // closed out: nothing is known of what goes on
let partnerEnded = 0;

const turns = new Turns({
  newest: data.newest,
  log: find("log"),
  missing: (message, index) => connection.send({ type: "fetch", message, index }),
  unknown: () => connection.sync(),
});
for (const item of document.querySelectorAll('li[data-status="streaming"]')) {
  running[item.dataset.role] = Number(item.dataset.message);
}
for (const scroller of document.querySelectorAll("[data-scroller]")) {
  scrolls[scroller.dataset.scroller] = follow(scroller);
}
const panes = new Panes(find("stage"), key);
const show = banner(find("connection"));
const connection = new Connection(data.socket, {
  holds: () => turns.held(),
  received,
  changed(state) {
    show(state);
    shut = state === "gone" ? "This conversation is not open to you now." : "";
    out = state === "gone" || state === "signed-out";
    refresh();
    if (out) closedOut();
  },
});
const outbox = new Outbox(`${key}:outbox`, {
  send: (message) => connection.send(message),
  stalled: () => connection.restart(),
  changed: refresh,
});
for (const form of document.querySelectorAll("form[data-compose]")) {
  const type = form.dataset.compose;
  composers[type] = new Composer(form, form.querySelector("button") ?? find("send"), {
    key: `${key}:draft:${type}`,
    send(text) {
      outbox.add(type, text);
      scrolls[type === "send" ? "conversation" : "coach"].toEnd();
    },
  });
}
const ending = new Ending({
  waits: () => outbox.isBusy("send") || outbox.isBusy("ask"),
  place: data.debrief_url,
});
refresh();
// A frame that got lost on the way shows as a reply that never ends.
setInterval(() => (running.partner || running.coach) && connection.sync(), LOOK_AGAIN_AFTER);

async function closedOut() {
  // Only now, since few pages ever need it.
  const { comeBack } = await import("./reopen.js");
  comeBack(() => connection.reopen());
}

function received(frame) {
  const handlers = {
    turn: placed,
    chunk: (chunk) => turns.chunk(chunk),
    accepted: ({ id }) => outbox.accept(id),
    refused,
    error: ({ text }) => composers.send?.tell(text),
    notice: noticeCame,
    state: stateCame,
    watched({ text }) {
      if (find("watched").textContent !== text) find("watched").textContent = text;
    },
    synced() {
      outbox.resend();
      retriable();
    },
  };
  handlers[frame.type]?.(frame);
}

function placed(frame) {
  turns.place(frame);
  if (frame.client_id) outbox.accept(frame.client_id);
  if (frame.role in running && frame.pane !== "debrief") {
    if (frame.status === "streaming") running[frame.role] = frame.message;
    else if (running[frame.role] === frame.message) running[frame.role] = null;
    if (frame.role === "partner") partnerEnded = Date.now();
    noticed = "";
  }
  panes.count();
  refresh();
}

function refused({ id, code, text }) {
  // It may be stored for all that anybody knows: it is sent again under its own id.
  if (code === "unavailable" && outbox.waits(id)) return;
  ending.giveUp();
  const entry = outbox.withdraw(id);
  retriable();
  const composer = composers[entry?.type ?? "send"];
  if (entry && code === "ended") outbox.refuse(entry, "Not sent: the conversation has ended.", true);
  else if (!entry || composer?.restore(entry.text)) composer?.tell(text, code === "busy");
  else outbox.refuse(entry, text);
}

function noticeCame({ message, text }) {
  noticed = text;
  turns.find(message)?.querySelector("[data-notice]")?.replaceChildren(text);
  refresh();
}

function stateCame({ status, partner, coach, budget, debrief_url: debrief }) {
  // What is known to stream does, whatever an older answer says; its end comes as a turn.
  Object.assign(running, { partner: partner ?? turns.streams("partner"), coach: coach ?? turns.streams("coach") });
  if (budget) find("budget").innerHTML = budget;
  ended = status === "ended";
  if (ended && debrief) find("ended").querySelector("a").href = debrief;
  refresh();
}

/** Bring Send, Stop and the words beside them in line with what is going on. */
function refresh() {
  const waiting = {
    partner: `${data.persona} is replying… You can send when the reply is whole.`,
    coach: "The coach is writing…",
  };
  const who = out ? "" : running.partner ? "partner" : running.coach ? "coach" : "";
  const spent = find("exhausted")?.dataset.exhausted;
  const onItsWay = (type) => outbox.isBusy(type) && "What you sent last is still on its way.";
  const idle = ended ? "" : shut || spent || onItsWay("send") || (out ? "" : "Your turn.");
  const words = who ? noticed || waiting[who] : idle;
  if (find("replying").textContent !== words) find("replying").textContent = words;
  const stop = find("stop");
  if (!who && stop === document.activeElement) document.getElementById("message")?.focus();
  stop.hidden = !who;
  find("ended").hidden = !ended;
  for (const part of document.querySelectorAll("[data-send], [data-end]")) part.hidden = ended;
  if (ended) {
    for (const composer of Object.values(composers)) composer.close("This conversation has ended.");
    return ending.over();
  }
  ending.look();
  composers.send?.block(shut || spent || (running.partner && waiting.partner) || onItsWay("send") || "");
  composers.ask?.block(shut || spent || onItsWay("ask") || "");
}

actions({
  stop() {
    const message = running.partner ?? running.coach;
    // Who stops the partner a moment too late does not mean the note that began meanwhile.
    const late = !running.partner && Date.now() - partnerEnded < MEANT_FOR_THE_COACH_AFTER;
    if (message && !late) connection.deliver({ type: "stop", message });
  },
  retry(message) {
    connection.deliver({ type: "retry", id: newId(), message });
  },
});
