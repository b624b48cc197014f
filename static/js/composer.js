/* What the learner does: writes in a box (keys, height, a draft that survives a reload) and
   stops, retries and ends. */

import { keep, kept } from "./outbox.js";

const END_AGAIN_AFTER = 3_000;
const ENDED_WITHIN = 30_000;
const touch = matchMedia("(hover: none) and (pointer: coarse)");
const growsByItself = CSS.supports("field-sizing", "content");

export class Composer {
  #blocked = "";
  #passing = false; // whether what is said is over as soon as Send opens again

  /** `send(text)` gets what was written; `key` names the draft in this tab's storage. */
  constructor(form, button, { key, send }) {
    this.box = form.querySelector("textarea");
    this.words = form.querySelector("[data-words]");
    Object.assign(this, { form, button, key, send });
    form.noValidate = true;
    // Drafts are kept here; without scripts it is the browser that keeps them.
    this.box.autocomplete = "off";
    if (!this.box.value) this.#write(kept(key) ?? "");
    this.box.addEventListener("input", () => this.#changed());
    this.box.addEventListener("keydown", (event) => this.#key(event, form));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  get isEmpty() {
    return !this.box.value.trim();
  }

  /** Keep Send from being pressed, for the reason given; "" opens it again. */
  block(reason) {
    if (!reason && this.#passing) this.tell("");
    this.#blocked = reason;
    this.button.disabled = Boolean(reason);
    this.button.title = reason;
  }

  /** Say what went wrong; `passing` words only until Send opens. */
  tell(words, passing = false) {
    this.words.textContent = words;
    this.#passing = passing;
  }

  /** Nothing can be added any more; what was written stays in sight, to be copied. */
  close(reason) {
    this.block(reason);
    this.box.readOnly = true;
    this.form.hidden = this.isEmpty;
  }

  /** Put refused text back, unless something newer is there: then false. */
  restore(text) {
    if (!this.isEmpty) return false;
    this.#write(text);
    this.#changed();
    return true;
  }

  #key(event, form) {
    // Safari ends a composition before its Enter arrives: 229 alone tells that one.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing || touch.matches) return;
    event.preventDefault();
    form.requestSubmit();
  }

  #submit() {
    if (this.#blocked || this.isEmpty) {
      if (!this.isEmpty) this.tell(`Not sent yet. ${this.#blocked}`, true);
      if (!touch.matches) this.box.focus();
      return;
    }
    const text = this.box.value;
    this.#write("");
    this.#changed();
    this.tell("");
    this.send(text);
    // On a touch screen focus would pop the keyboard up again.
    if (!touch.matches) this.box.focus();
  }

  #write(text) {
    this.box.value = text;
    this.#grow();
  }

  #changed() {
    keep(this.key, this.box.value);
    this.#grow();
  }

  #grow() {
    if (growsByItself) return;
    this.box.style.blockSize = "auto";
    this.box.style.blockSize = `${this.box.scrollHeight + 2}px`;
  }
}

/** Ends the conversation by its plain form, as soon as what was sent before has arrived and there
    is a line; until then its dialog says what it waits for. */
export class Ending {
  #wanted = false;
  #asking = false;
  #timer = 0;

  /** `waits()`: whether something that was sent is still on its way. `place`: the page to go to. */
  constructor({ waits, place }) {
    Object.assign(this, { waits, place });
    this.dialog = document.querySelector("[data-end-dialog]");
    this.words = this.dialog.querySelector("[data-end-words]");
    this.form = document.getElementById("end");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#wanted = true;
      this.#again();
    });
    this.dialog.addEventListener("close", () => this.#cancel());
  }

  /** Go on where it waited for what was sent. */
  look() {
    if (!this.#wanted || this.#asking || this.#timer) return;
    if (this.waits()) this.#tell("What you sent last is still on its way. The conversation ends as soon as it is there.");
    else this.#ask();
  }

  /** What was sent before is refused: then its author decides anew. */
  giveUp() {
    if (!this.#wanted) return;
    this.#cancel(); // now, for the dialog tells of it later
    this.dialog.close();
  }

  /** The conversation has ended, here or in another tab. */
  over() {
    if (this.#wanted) this.#leave();
    else this.dialog.close();
  }

  async #ask() {
    this.#asking = true;
    this.words.textContent = "Ending the conversation…";
    const signal = AbortSignal.timeout(ENDED_WITHIN);
    const body = new URLSearchParams(new FormData(this.form));
    const how = { method: "POST", body, signal, redirect: "manual" };
    const answer = await fetch(this.form.getAttribute("action"), how).catch(() => null);
    this.#asking = false;
    if (!this.#wanted) return;
    if (answer?.type === "opaqueredirect") return this.#leave();
    // Whatever page that is, it says what to do.
    if (answer && answer.status < 500) return this.form.submit();
    this.#tell(
      answer
        ? "That did not work just now. Trying again…"
        : "There is no connection just now. The conversation ends as soon as it is back.",
    );
    this.#timer = setTimeout(() => this.#again(), END_AGAIN_AFTER);
  }

  #again() {
    this.#timer = clearTimeout(this.#timer);
    this.look();
  }

  #tell(words) {
    this.words.textContent = words;
    if (!this.dialog.open) this.dialog.showModal();
  }

  #leave() {
    this.#cancel();
    location.assign(this.place);
  }

  #cancel() {
    this.#timer = clearTimeout(this.#timer);
    this.#wanted = false;
    this.words.textContent = "";
  }
}

/** Let *Try again* be pressed again: it was refused, or got lost with the line. */
export function retriable() {
  for (const button of document.querySelectorAll("[data-retry]")) button.disabled = false;
}

/** Let the buttons of the page call `stop()` and `retry(id)`, and ask before the end. */
export function actions({ stop, retry }) {
  keyboard();
  const dialog = document.querySelector("[data-end-dialog]");
  const buttons = {
    "[data-stop]": stop,
    "[data-end]": () => dialog.showModal(),
    "[data-end-no]": () => dialog.close(),
    "[data-end-yes]": () => document.getElementById("end").requestSubmit(),
    "[data-retry]"(button) {
      button.disabled = true;
      retry(Number(button.value));
    },
  };
  document.addEventListener("click", (event) => {
    for (const [selector, act] of Object.entries(buttons)) {
      const button = event.target.closest(selector);
      if (!button) continue;
      event.preventDefault();
      act(button);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing && !dialog.open) stop();
  });
  // Drafts leave with the person, whichever tab they sign out in.
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-sign-out]")) sessionStorage.clear();
  });
  new BroadcastChannel("parley").addEventListener("message", () => sessionStorage.clear());
}

// Safari lays its keyboard over the page instead of resizing it.
function keyboard() {
  const view = window.visualViewport;
  view?.addEventListener("resize", () => {
    if (view.scale !== 1) return;
    const covered = Math.max(0, window.innerHeight - view.height);
    document.documentElement.style.setProperty("--keyboard", `${covered}px`);
    if (covered) window.scrollTo(0, 0);
  });
}
