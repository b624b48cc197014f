/* The end of a conversation: times in the reader's zone, and the summary while it is written. */

import { Connection } from "./connection.js";
import { Turns } from "./turns.js";

const data = JSON.parse(document.getElementById("page-data").textContent);
const turns = new Turns({
  newest: data.newest,
  log: null,
  missing: (message, index) => connection.send({ type: "fetch", message, index }),
  unknown: sync,
});
const isWritten = !document.querySelector('[data-debrief] [data-status="streaming"]');
const connection = isWritten
  ? null
  : new Connection(data.socket, { opened: sync, received, changed() {} });

function sync() {
  connection.send({ type: "sync", newest: turns.newest, streaming: turns.streaming() });
}

function received(frame) {
  if (frame.type === "chunk") turns.chunk(frame);
  if (frame.type === "synced") connection.inStep();
  if (frame.type === "resync") sync();
  if (frame.type !== "turn" || frame.pane !== "debrief") return;
  turns.place(frame);
  if (frame.status !== "streaming") showWhole();
}

/** A whole summary is set in sections, which the server makes of it. */
async function showWhole() {
  const answer = await fetch(location.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const section = page.querySelector("[data-debrief]");
  if (answer.ok && section) document.querySelector("[data-debrief]").replaceWith(section);
}
