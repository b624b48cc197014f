/* What the learner sent and the server has not confirmed: shown at once, kept over reloads and
   lost lines, and sent again under the same id until it is accepted or refused. */

const ANSWER_WITHIN = 8_000;
const TRY_AGAIN_AFTER = 2_000;
const TRYING_AGAIN = "Not sent yet. Trying again…";
const WAITING = "Waiting for the connection…";

/** A random UUID, also where the page is not served over HTTPS. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Keep `value` for this tab; an empty one is forgotten. Storage may be full or forbidden. */
export function keep(key, value) {
  try {
    if (value?.length) sessionStorage.setItem(key, JSON.stringify(value));
    else sessionStorage.removeItem(key);
  } catch {
    // Then it lives as long as the page.
  }
}

/** What `keep` kept, or null. */
export function kept(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

export class Outbox {
  #timers = new Map();
  #late = new Set(); // ids of what was sent once and got no answer, or none that settles it

  /** `send(message)` is false without a line; `stalled()` is called when no answer comes. */
  constructor(key, { send, stalled, changed }) {
    Object.assign(this, { key, send, stalled, changed });
    this.entries = (kept(key) ?? []).filter((entry) => !this.#item(entry.id));
    keep(key, this.entries);
    for (const entry of this.entries) this.#show(entry);
  }

  /** Whether a message of that type is on its way; a refused one is not. */
  isBusy(type) {
    return this.entries.some((entry) => entry.type === type && !entry.refused);
  }

  add(type, text) {
    const entry = { id: newId(), type, text };
    this.entries.push(entry);
    keep(this.key, this.entries);
    this.#show(entry);
    this.#transmit(entry);
    this.changed();
  }

  /** Send everything that still waits. */
  resend() {
    for (const entry of this.entries) if (!entry.refused) this.#transmit(entry);
  }

  /** The server has it. */
  accept(id) {
    this.#forget(id);
    const item = this.#item(id);
    // The turn itself follows; if it got lost, this one stays and says so.
    if (item && !item.dataset.message) this.#mark(item, "Sent");
  }

  /** The server cannot take it just now: it waits and is sent again, unless it is stored by now;
      false if it is unknown. */
  waits(id) {
    const entry = this.entries.find((other) => other.id === id);
    if (!entry) return Boolean(this.#item(id));
    clearTimeout(this.#timers.get(id));
    this.#late.add(id);
    this.#mark(this.#item(id), TRYING_AGAIN, true);
    this.#timers.set(id, setTimeout(() => this.#transmit(entry), TRY_AGAIN_AFTER * (0.5 + Math.random())));
    return true;
  }

  /** The server will not have it: take it off the page and give it back, or null if unknown. */
  withdraw(id) {
    const entry = this.#forget(id);
    if (entry) this.#item(id)?.remove();
    return entry;
  }

  /** It was refused and cannot go back into its box: leave it in sight, to be sent again unless it
      is refused for good. */
  refuse(entry, words, forGood = false) {
    Object.assign(entry, { refused: true, forGood });
    this.entries.push(entry);
    keep(this.key, this.entries);
    this.#show(entry);
    this.#mark(this.#item(entry.id), words, !forGood);
    this.changed();
  }

  #transmit(entry) {
    const item = this.#item(entry.id);
    clearTimeout(this.#timers.get(entry.id));
    const { id, type, text } = entry;
    const sent = this.send({ type, id, text });
    const again = sent && this.#late.has(id);
    this.#mark(item, again ? TRYING_AGAIN : sent ? "Sending…" : WAITING, again);
    const late = () => {
      if (sent) this.#late.add(id);
      this.#mark(item, sent ? TRYING_AGAIN : WAITING, true);
      if (sent) this.stalled();
    };
    this.#timers.set(id, setTimeout(late, ANSWER_WITHIN));
  }

  #show(entry) {
    if (this.#item(entry.id)) return;
    const { content } = document.querySelector("template[data-sending]");
    const item = document.importNode(content.querySelector("li"), true);
    item.dataset.client = entry.id;
    item.querySelector("[data-text]").textContent = entry.text;
    item.querySelector("[data-resend]").addEventListener("click", () => {
      delete entry.refused;
      this.#late.delete(entry.id);
      keep(this.key, this.entries);
      this.#transmit(entry);
      this.changed();
    });
    const pane = entry.type === "ask" ? "coach" : "conversation";
    document.querySelector(`[data-turns="${pane}"]`)?.append(item);
    this.#mark(item, entry.refused ? "Not sent." : "Sending…", entry.refused && !entry.forGood);
  }

  #item(id) {
    return document.querySelector(`[data-client="${id}"]`);
  }

  #mark(item, words, retry = false) {
    item.querySelector("[data-state]").textContent = words;
    item.querySelector("[data-resend]").hidden = !retry;
  }

  #forget(id) {
    clearTimeout(this.#timers.get(id));
    const entry = this.entries.find((other) => other.id === id);
    this.entries = this.entries.filter((other) => other !== entry);
    keep(this.key, this.entries);
    if (entry) this.changed();
    return entry;
  }
}
