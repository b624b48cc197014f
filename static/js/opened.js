/** Says once that a person is at the invitation: a scanner only loads the page, or scripts it. */

// No "scroll": a page that is scrolled by a script says so in an event that is trusted.
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];
const form = document.querySelector("form[data-unopened]");

function isOfAPerson(event) {
  // Browsers move a pointer that rests, when what is under it moves.
  const rests = event.type === "pointermove" && !event.movementX && !event.movementY;
  return event.isTrusted && !rests;
}

function signed(event) {
  if (!isOfAPerson(event)) return;
  for (const sign of SIGNS) removeEventListener(sign, signed, true);
  const body = new URLSearchParams(new FormData(form));
  body.set("action", "opened");
  // Its buttons are named "action", too. Whatever comes of this, they say the same.
  fetch(form.getAttribute("action"), { method: "POST", body, keepalive: true }).catch(() => {});
}

if (form) for (const sign of SIGNS) addEventListener(sign, signed, { capture: true, passive: true });
