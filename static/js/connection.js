/* One socket that comes back by itself and asks for what the page misses. It says what came and
   how it is: "open", "lost" (trying again) or, for good, "signed-out", "gone". */

const FIRST_DELAY = 400;
// Once the servers are back, a page is, too, within ten seconds.
const LONGEST_DELAY = 8_000;
const UNWANTED_DELAY = 15_000;
const CONNECT_WITHIN = 10_000;
const ANSWER_WITHIN = 8_000;
const SYNCED_WITHIN = 16_000;
const LOOK_EVERY = 2_000;
const QUIET_FOR = 15_000;
const SIGNED_OUT = 4401;
const GONE = 4404;
// A refused line looks like a dead one: after so many in a row, see whether the page still opens.
const REFUSED_AFTER = 3;
const LOOKED_WITHIN = 4_000;
const FINAL = { [SIGNED_OUT]: "signed-out", [GONE]: "gone" };
// What the page's own address answers, then, in place of "not found".
const IS_GONE = 410;
const FLOODED = 4429;
// The server broke. What a page sends as soon as it is in step may be what breaks it.
const BROKEN = 1011;
const STEADY_AFTER = 10_000;
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
  #asked = 0; // when the answer that is awaited was asked for
  #again = false;
  #heard = 0; // when something came last
  #called = 0; // when a ping went out that nothing came after
  #unopened = 0; // lines in a row that never were
  #inStep = 0; // since when the page and the server are

  /** `holds()` gives what a `sync` frame says of the page; `received(frame)` and `changed(state)`
      are told. */
  constructor(path, { holds, received, changed }) {
    this.url = new URL(path, location.href);
    this.url.protocol = this.url.protocol.replace("http", "ws");
    Object.assign(this, { holds, received, changed });
    const look = () => (this.#open(), this.#listen(FIRST_DELAY));
    addEventListener("online", look);
    addEventListener("offline", () => this.#lose());
    addEventListener("pageshow", (event) => event.persisted && this.restart());
    document.addEventListener("visibilitychange", () => document.hidden || look());
    setInterval(() => this.#listen(), LOOK_EVERY);
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

  /** Ask for what the page misses; while an answer is under way, once more after it. */
  sync() {
    this.#again = this.#asked > 0;
    if (!this.#again && this.send({ type: "sync", ...this.holds() })) this.#asked = Date.now();
  }

  #answered(synced) {
    this.#asked = 0;
    if (!synced || this.#again) this.sync();
    if (!synced) return;
    this.#inStep ||= Date.now();
    for (const message of this.#later.splice(0)) this.deliver(message);
  }

  /** Drop a line that seems dead and open another at once. */
  restart() {
    this.#lose();
    this.#open();
  }

  /** Open again what was closed for good. */
  reopen() {
    this.#over = false;
    this.#open();
  }

  /** A line may die without a word, and a page sees no pings of the server: where it is quiet, ask. */
  #listen(quiet = QUIET_FOR) {
    const now = Date.now();
    if (this.#called && now - this.#called > ANSWER_WITHIN) this.restart();
    else if (this.#asked && now - this.#asked > SYNCED_WITHIN) this.#lose();
    else if (!this.#called && now - this.#heard > quiet && this.send({ type: "ping" })) this.#called = now;
  }

  #open() {
    if (this.#over || this.#socket) return;
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    this.#taken = this.#told = 0;
    this.#unopened++;
    this.#timer = setTimeout(() => this.#lose(), CONNECT_WITHIN);
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#timer);
      this.#unopened = 0;
      this.#heard = Date.now();
      this.changed("open");
      this.sync();
    });
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) return;
      [this.#heard, this.#called] = [Date.now(), 0];
      const frame = JSON.parse(event.data);
      if (frame.type === "synced" || frame.type === "resync") this.#answered(frame.type === "synced");
      this.received(frame);
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
  async #look(code) {
    const signal = AbortSignal.timeout(LOOKED_WITHIN);
    const page = await fetch(location.href, { method: "HEAD", signal }).catch(() => null);
    if (this.#over || this.#socket) return;
    this.#over = page !== null && !page.ok && page.status < 500;
    if (this.#over) this.changed(FINAL[page.status === IS_GONE ? GONE : SIGNED_OUT]);
    else if (page?.ok && code === SIGNED_OUT) this.#open();
    else this.#retry(code);
  }

  #lose(code) {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    const steady = Date.now() - this.#inStep > STEADY_AFTER;
    if (this.#inStep && (code !== BROKEN || steady)) this.#tries = 0;
    this.#asked = this.#called = this.#inStep = 0;
    socket?.close();
    if (this.#over) return;
    if (code === SIGNED_OUT || this.#unopened >= REFUSED_AFTER) return this.#look(code);
    this.#over = code in FINAL;
    if (this.#over) return this.changed(FINAL[code]);
    this.#retry(code);
  }

  #retry(code) {
    this.changed("lost");
    // Half of the delay is chance, so that pages do not all come back in the same moment.
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#tries++);
    const delay = (code === FLOODED ? UNWANTED_DELAY : longest) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#open(), delay);
  }
}
