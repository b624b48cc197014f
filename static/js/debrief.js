/* The end of a conversation: times in the reader's zone, and the summary while it is written. */

import { Connection } from "./connection.js";
import { Turns } from "./turns.js";

const data = JSON.parse(document.getElementById("page-data").textContent);
const turns = new Turns({
  newest: data.newest,
  log: null,
  missing: (message, index) => connection.send({ type: "fetch", message, index }),
  unknown: () => connection.sync(),
});
const connection = document.querySelector("[data-unfinished]")
  ? new Connection(data.socket, { holds: () => turns.held(), received, changed() {} })
  : null;

function received(frame) {
  if (frame.type === "chunk") turns.chunk(frame);
  if (frame.type === "watched") document.querySelector("[data-watched]").textContent = frame.text;
  if (frame.type !== "turn") return;
  turns.place(frame);
  // A summary that begins needs its place; what is whole is set by the server.
  if (frame.status !== "streaming" || !turns.find(frame.message)) renew();
}

/** Show what the server makes of the page now, in the parts that change. */
async function renew() {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of ["[data-debrief]", "[data-transcript]"]) {
    const fresh = page.querySelector(part);
    if (fresh) document.querySelector(part).replaceWith(document.adoptNode(fresh));
  }
  turns.renewed();
}
