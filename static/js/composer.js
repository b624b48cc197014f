/* What the learner does: writes in a box (keys, height, a draft that survives a reload) and
   stops, retries and ends. */

import { keep, kept } from "./outbox.js";

const touch = matchMedia("(hover: none) and (pointer: coarse)");
const growsByItself = CSS.supports("field-sizing", "content");

export class Composer {
  #blocked = "";
  #refused = false;

  /** `send(text)` gets what was written; `key` names the draft in this tab's storage. */
  constructor(form, button, { key, send }) {
    this.box = form.querySelector("textarea");
    this.words = form.querySelector("[data-words]");
    Object.assign(this, { button, key, send });
    form.noValidate = true;
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
    if (!reason && this.#refused) this.tell("");
    this.#blocked = reason;
    this.button.disabled = Boolean(reason);
    this.button.title = reason;
  }

  /** Say what went wrong. */
  tell(words) {
    this.words.textContent = words;
    this.#refused = false;
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
      if (!this.isEmpty) this.tell(`Not sent yet. ${this.#blocked}`);
      this.#refused = !this.isEmpty;
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
    // By the plain form: the end has a page of its own.
    "[data-end-yes]": () => document.getElementById("end").submit(),
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
