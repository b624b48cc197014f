/* One socket that comes back by itself, and the words about it. It says when it is usable, what
   it received and how it is: "open", "lost" (trying again) or, for good, "signed-out", "gone". */

const FIRST_DELAY = 400;
const LONGEST_DELAY = 15_000;
const CONNECT_WITHIN = 10_000;
const SIGNED_OUT = 4401;
const FINAL = { [SIGNED_OUT]: "signed-out", 4404: "gone" };
const FLOODED = 4429;
const BANNER_AFTER = 800;
// The server sends only so far ahead of what the page says it has taken in.
const ACKNOWLEDGE_EVERY = 50;
const ACKNOWLEDGE_AFTER = 500;

export class Connection {
  #socket = null;
  #tries = 0;
  #timer = 0;
  #over = false;
  #later = [];
  #taken = 0;
  #told = 0;

  constructor(path, { opened, received, changed }) {
    this.url = new URL(path, location.href);
    this.url.protocol = this.url.protocol.replace("http", "ws");
    Object.assign(this, { opened, received, changed });
    addEventListener("online", () => this.#open());
    addEventListener("offline", () => this.#lose());
    addEventListener("pageshow", (event) => event.persisted && this.restart());
    document.addEventListener("visibilitychange", () => document.hidden || this.#open());
    this.#open();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Send now; false when there is no line. */
  send(message) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Send now or, once, as soon as the page is in step with the server again. */
  deliver(message) {
    if (!this.send(message)) this.#later.push(message);
  }

  /** The page is in step: send what had to wait. */
  inStep() {
    this.#tries = 0;
    for (const message of this.#later.splice(0)) this.deliver(message);
  }

  /** Drop a line that seems dead and open another at once. */
  restart() {
    this.#lose();
    this.#open();
  }

  #open() {
    if (this.#over || this.#socket) return;
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    this.#taken = this.#told = 0;
    this.#timer = setTimeout(() => this.#lose(), CONNECT_WITHIN);
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#timer);
      this.changed("open");
      this.opened();
    });
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) return;
      this.received(JSON.parse(event.data));
      if (++this.#taken - this.#told >= ACKNOWLEDGE_EVERY) this.#acknowledge();
      else if (this.#taken - this.#told === 1) setTimeout(() => this.#acknowledge(), ACKNOWLEDGE_AFTER);
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.#socket) this.#lose(event.code);
    });
  }

  #acknowledge() {
    if (this.#taken > this.#told && this.send({ type: "ack", frames: this.#taken })) {
      this.#told = this.#taken;
    }
  }

  /** The session ended, or only its key is new: then the page still opens, and the line too. */
  async #signedOut() {
    const page = await fetch(location.href, { method: "HEAD" }).catch(() => null);
    if (page?.ok) return this.#open();
    this.#over = page !== null;
    this.changed(this.#over ? FINAL[SIGNED_OUT] : "lost");
    if (!this.#over) this.#timer = setTimeout(() => this.#open(), LONGEST_DELAY);
  }

  #lose(code) {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    if (this.#over) return;
    if (code === SIGNED_OUT) return this.#signedOut();
    this.#over = code in FINAL;
    this.changed(FINAL[code] ?? "lost");
    if (this.#over) return;
    // Half of the delay is chance, so that pages do not all come back in the same moment.
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#tries++);
    const delay = (code === FLOODED ? LONGEST_DELAY : longest) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#open(), delay);
  }
}

/** A listener for `changed` that shows in `element` how the line is; short gaps pass unseen. */
export function banner(element) {
  let timer = 0;
  let latest = "";
  const words = {
    "signed-out": "You are signed out. What you wrote is kept in this tab. ",
    gone: "This conversation is no longer open to you.",
    offline: "You are offline. What you write is kept, and sent when you are back.",
    lost: "The connection is lost. Trying again…",
  };
  const show = () => {
    const state = latest;
    element.replaceChildren(words[state === "lost" && !navigator.onLine ? "offline" : state]);
    if (state !== "signed-out") return;
    const link = document.createElement("a");
    link.href = element.dataset.signIn;
    link.textContent = "Sign in again";
    element.append(link);
  };
  return (state) => {
    latest = state;
    if (state === "open") {
      clearTimeout(timer);
      timer = 0;
      element.replaceChildren();
    } else if (element.textContent) show();
    else timer ||= setTimeout(show, BANNER_AFTER);
  };
}
