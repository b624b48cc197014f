/* The two panes: which one is in sight, what is unread in the other, where each is scrolled, and
   the banner above them that says how the line is. */

import { keep, kept } from "./outbox.js";

const NEAR_THE_END = 48;
const CHOICE = "parley:coach";
const BANNER_AFTER = 800;
const wide = matchMedia("(min-width: 64rem)");

/** Follow new text while the reader is at the end; otherwise stay put and offer a way there. */
export function follow(scroller) {
  const jump = scroller.parentElement.querySelector("[data-jump]");
  let following = true;
  let last = 0;
  const toEnd = () => {
    scroller.scrollTop = scroller.scrollHeight;
    following = true;
    jump.hidden = true;
  };
  const look = () => {
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    // Only going up leaves the end: text may have grown since the last look.
    if (below <= NEAR_THE_END) following = true;
    else if (scroller.scrollTop < last) following = false;
    jump.hidden = following;
    last = scroller.scrollTop;
  };
  const grown = () => {
    if (following) toEnd();
  };
  scroller.addEventListener("scroll", look, { passive: true });
  jump.addEventListener("click", () => {
    toEnd();
    scroller.focus({ preventScroll: true });
  });
  const sizes = new ResizeObserver(grown);
  sizes.observe(scroller);
  sizes.observe(scroller.firstElementChild);
  // Who asked for the earlier turns reads on from where they were.
  if (!location.hash.startsWith("#turn-")) toEnd();
  return { toEnd };
}

/** The switch of a narrow page, the hidden coach of a wide one, and the count of unread notes. */
export class Panes {
  constructor(stage, key) {
    this.stage = stage;
    this.key = `${key}:seen`;
    this.toggle = stage.querySelector("[data-toggle-coach]");
    this.notes = stage.querySelector('[data-turns="coach"]');
    this.seen = kept(this.key)?.[0] ?? this.#newest();
    for (const button of stage.querySelectorAll("[data-show]")) {
      button.addEventListener("click", () => this.show(button.dataset.show));
    }
    this.toggle.addEventListener("click", () => this.#hideCoach(stage.dataset.coach !== "hidden"));
    document.querySelector(".skip-link").addEventListener("click", () => this.show("conversation"));
    wide.addEventListener("change", () => this.count());
    this.#hideCoach(recalled(CHOICE) === "hidden");
  }

  show(pane) {
    this.stage.dataset.showing = pane;
    for (const button of this.stage.querySelectorAll("[data-show]")) {
      button.setAttribute("aria-pressed", button.dataset.show === pane);
    }
    this.count();
  }

  /** Say in words how many notes came while the coach was out of sight. */
  count() {
    const { showing, coach } = this.stage.dataset;
    if (wide.matches ? coach !== "hidden" : showing === "coach") this.seen = this.#newest();
    keep(this.key, [this.seen]);
    const unread = this.#finished().filter((id) => id > this.seen).length;
    const words = unread ? `${unread} unread ${unread === 1 ? "note" : "notes"}` : "";
    this.stage.querySelector("[data-unread]").textContent = words && `, ${words}`;
    const show = `Show the coach${words && ` (${words})`}`;
    this.toggle.textContent = coach === "hidden" ? show : "Hide the coach";
  }

  #hideCoach(hidden) {
    this.stage.dataset.coach = hidden ? "hidden" : "shown";
    remember(CHOICE, this.stage.dataset.coach);
    this.count();
  }

  #finished() {
    const notes = this.notes.querySelectorAll('[data-role="coach"]:not([data-status="streaming"])');
    return Array.from(notes, (note) => Number(note.dataset.message));
  }

  #newest() {
    return Math.max(0, ...this.#finished());
  }
}

// The choice is one for all conversations and outlives the tab.
function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is forbidden here: the choice lasts as long as the page.
  }
}

function recalled(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** A listener for `changed` that shows in `element` how the line is; short gaps pass unseen. */
export function banner(element) {
  let timer = 0;
  let latest = "";
  const words = {
    "signed-out": element.dataset.signIn
      ? "You are signed out. What you wrote is kept in this tab. "
      : "This browser was left, or you were away for too long. Open your invitation again in this tab.",
    gone: "This conversation is no longer open to you. ",
    offline: "You are offline. What you write is kept, and sent when you are back.",
    lost: "The connection is lost. Trying again…",
  };
  const show = () => {
    const state = latest;
    element.replaceChildren(words[state === "lost" && !navigator.onLine ? "offline" : state]);
    const { signIn, why } = element.dataset;
    const href = { "signed-out": signIn, gone: why }[state];
    if (!href) return;
    const link = document.createElement("a");
    link.href = href;
    link.textContent = state === "gone" ? "See why, and what you can do" : "Sign in again";
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
