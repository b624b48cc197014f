/* The turns on the page: placed in order of their ids, grown by chunks while they stream,
   replaced by the server's HTML at the end, and told to screen readers when they are finished. */

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Show the times of the turns below `root` in the reader's own zone. */
export function localTimes(root) {
  for (const time of root.querySelectorAll(".turn-head time")) {
    const at = new Date(time.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = (today ? clock : day).format(at);
  }
}

export class Turns {
  #streams = new Map(); // message id → {points, waiting, node, asked}
  #unheard = []; // finished turns of the coach, until the partner's is told
  #drawing = false;

  /** `newest`: up to this id the page has seen every turn. `missing(id, index)` is called where
      a chunk is missing, `unknown()` where a turn is. */
  constructor({ newest, log, missing, unknown }) {
    Object.assign(this, { newest, log, missing, unknown });
    this.renewed();
  }

  /** Take note of turns that were put on the page by others. */
  renewed() {
    this.#streams.clear();
    for (const item of document.querySelectorAll("li[data-message]")) {
      this.#watch(item);
    }
    localTimes(document);
  }

  find(id) {
    return document.getElementById(`turn-${id}`);
  }

  /** The reply of a role that the page shows as streaming, or null. */
  streams(role) {
    const item = document.querySelector(`li[data-status="streaming"][data-role="${role}"]`);
    return item && Number(item.dataset.message);
  }

  /** What a `sync` says of the page: how far it has seen every turn, and the code points that it
      holds of each reply it shows as streaming. */
  held() {
    const points = [...this.#streams].map(([id, stream]) => [id, stream.points]);
    return { newest: this.newest, streaming: Object.fromEntries(points) };
  }

  /** Insert the turn of a frame, or put it in the place of what the page has of it. */
  place(frame) {
    this.#count(frame);
    const list = document.querySelector(`[data-turns="${frame.pane}"]`);
    const sent = frame.client_id && list?.querySelector(`[data-client="${frame.client_id}"]`);
    const old = this.find(frame.message) ?? sent;
    // A late first frame never takes the place of a longer text or of a finished turn.
    if (!list || (old?.dataset.message && frame.status === "streaming")) return;
    const box = document.createElement("template");
    box.innerHTML = frame.html;
    const item = box.content.querySelector("li");
    localTimes(item);
    if (old && !old.dataset.message) this.#sent(item, old);
    old?.remove();
    const earlier = (other) => Number(other.dataset.message) < frame.message;
    const before = Array.from(list.children).findLast(earlier);
    if (before) before.after(item);
    else list.prepend(item);
    this.#streams.delete(frame.message);
    this.#watch(item);
    if (frame.status === "streaming" || sent) return;
    if (!old || old.dataset.status === "streaming") this.#tell(item);
  }

  /** Add a chunk; what is already there counts once, what is missing is asked for. */
  chunk({ message, index, text }) {
    const stream = this.#streams.get(message);
    if (!stream) {
      if (message > this.newest) this.unknown();
      return;
    }
    if (index > stream.points) {
      if (stream.asked !== stream.points) this.missing(message, stream.points);
      stream.asked = stream.points;
      return;
    }
    const fresh = Array.from(text).slice(stream.points - index);
    stream.points += fresh.length;
    stream.waiting += fresh.join("");
    this.#draw();
  }

  // The page has seen every turn up to `newest`; one that does not follow on shows a gap.
  #count({ message, after }) {
    if (message <= this.newest) return;
    if (after !== null && after <= this.newest) this.newest = message;
    else this.unknown();
  }

  #watch(item) {
    if (item.dataset.status !== "streaming") return;
    const node = item.querySelector("[data-text]");
    const points = Number(item.dataset.points);
    this.#streams.set(Number(item.dataset.message), { points, node, waiting: "", asked: -1 });
  }

  // At most once a frame; a hidden page has no frames and draws when it is looked at again.
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      for (const stream of this.#streams.values()) {
        if (!stream.waiting) continue;
        stream.node.append(stream.waiting);
        stream.node.normalize();
        stream.waiting = "";
      }
    });
  }

  #sent(item, old) {
    if (old.contains(document.activeElement)) document.getElementById("message")?.focus();
    for (const word of document.querySelectorAll(".turn-sent")) word.remove();
    const word = document.createElement("span");
    word.className = "turn-state turn-sent";
    word.textContent = "Sent";
    item.querySelector(".turn-head").append(" ", word);
  }

  // One node for each finished turn, partner before coach.
  #tell(item) {
    if (item.dataset.role === "coach") this.#unheard.push(item);
    else this.#say(item);
    if (document.querySelector('[data-turns="conversation"] [data-status="streaming"]')) return;
    for (const waiting of this.#unheard.splice(0)) this.#say(waiting);
  }

  #say(item) {
    if (!this.log) return;
    const words = (part) => item.querySelector(part)?.textContent.trim() ?? "";
    const node = document.createElement("p");
    node.textContent = `${words(".turn-speaker")}: ${words("[data-text]")} ${words("p.turn-state")}`.trim();
    this.log.append(node);
  }
}
