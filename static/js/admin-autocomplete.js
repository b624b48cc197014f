/** Select2's boxes have no name of their own; they get the one of the field they stand for. */

const name = (select) => select.labels[0]?.textContent.trim().replace(/:$/, "") ?? "";

function nameBox(select) {
  const box = select.parentElement.querySelector(".select2-selection");
  const value = box?.querySelector(".select2-selection__rendered");
  if (!value) return;
  box.removeAttribute("aria-labelledby");
  value.removeAttribute("role");
  value.removeAttribute("aria-readonly");
  const tell = () => box.setAttribute("aria-label", `${name(select)}: ${value.title || "none"}`);
  tell();
  window.django
    .jQuery(select)
    .on("change", () => setTimeout(tell))
    .on("select2:open", () => {
      const field = document.querySelector(".select2-container--open .select2-search__field");
      field?.setAttribute("aria-label", `Search: ${name(select)}`);
    });
}

// Select2 is made in jQuery's own "ready", later than the document's; its turns come in order.
window.django.jQuery(() => {
  for (const select of document.querySelectorAll("select.admin-autocomplete")) nameBox(select);
});
