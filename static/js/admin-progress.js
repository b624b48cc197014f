/** A bulk invitation's progress: asked for again while mails go out, without loading the page. */

const EVERY = 1500;
const box = document.querySelector("[data-progress]");
const words = document.querySelector("[data-progress-words]");

async function look() {
  let found;
  try {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    found = page.querySelector("[data-progress]");
  } catch {
    // The server restarts, or the line is gone: the next look may find it again.
    setTimeout(look, EVERY * 2);
    return;
  }
  if (!found) {
    location.reload(); // Signed out: the page says so better.
    return;
  }
  const focused = document.activeElement?.id;
  box.replaceChildren(...found.childNodes);
  if (focused) document.getElementById(focused)?.focus();
  if ("running" in found.dataset) {
    setTimeout(look, EVERY);
    return;
  }
  delete box.dataset.running;
  words.textContent = box.querySelector("[data-words]").textContent;
}

if (box && "running" in box.dataset) setTimeout(look, EVERY);
