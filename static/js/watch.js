/* Somebody from staff watches a conversation: what arrives is shown, and nothing is sent but
   requests for more of it. */

import { Connection } from "./connection.js";
import { banner, follow } from "./panes.js";
import { Turns } from "./turns.js";

const find = (name) => document.querySelector(`[data-${name}]`);
const data = JSON.parse(document.getElementById("page-data").textContent);
const say = (element, words) => element.textContent === words || (element.textContent = words);

const turns = new Turns({
  newest: data.newest,
  log: find("log"),
  missing: (message, index) => connection.send({ type: "fetch", message, index }),
  unknown: () => connection.sync(),
});
for (const scroller of document.querySelectorAll("[data-scroller]")) follow(scroller);
const connection = new Connection(data.socket, {
  holds: () => turns.held(),
  received,
  changed: banner(find("connection")),
});

function received(frame) {
  const handlers = {
    turn: placed,
    chunk: (chunk) => turns.chunk(chunk),
    state: stateCame,
    watched: ({ text }) => say(find("watched"), text && `The learner reads: ${text}`),
  };
  handlers[frame.type]?.(frame);
}

function placed(frame) {
  turns.place(frame);
  const item = turns.find(frame.message);
  if (!item) return;
  // The frame is the learner's own.
  if (frame.role === "user") item.querySelector(".turn-speaker").textContent = "Learner";
  const state = item.querySelector("p.turn-state:not([data-notice])");
  if (state && frame.status === "stopped") state.textContent = "The learner stopped this reply.";
}

function stateCame({ status, partner, coach }) {
  const ended = status === "ended" ? "This conversation has ended." : "It is the learner’s turn.";
  const words = partner ? "The partner is replying…" : coach ? "The coach is writing…" : ended;
  say(find("replying"), words);
}
