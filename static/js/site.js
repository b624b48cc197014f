/* What every page but the conversation needs. */

// Drafts and unsent messages are the person's: they leave with them, in every open tab.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-sign-out]")) return;
  sessionStorage.clear();
  new BroadcastChannel("parley").postMessage("signed-out");
});

for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}
