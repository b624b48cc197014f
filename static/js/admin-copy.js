/** *Copy link* buttons: `data-copy` names the field whose value goes to the clipboard. */

async function copy(button) {
  const field = document.getElementById(button.dataset.copy);
  const status = button.parentElement.querySelector("[role=status]");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    status.textContent = "Copied.";
  } catch {
    // No clipboard without HTTPS: the text is selected, one key press away.
    status.textContent = "Selected. Press Ctrl+C (⌘C on a Mac).";
  }
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
