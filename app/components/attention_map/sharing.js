// The link to what is shown: the result's own, from the server, and the head that is selected.

/** The selected head as a link names it; empty for the alignment heads, which every result opens with. */
function headOfLink() {
  const { view, point, head } = selection;
  if (view === "mean") return "&head=mean";
  if (view === "point") return `&head=${point + 1}.mean`;
  return view === "head" ? `&head=${point + 1}.${head + 1}` : "";
}

/** Copy the link, and show it in a field in any case: not every browser lets a page write to the clipboard. */
async function share() {
  const field = $("address");
  const note = $("shared-note");
  $("shared").hidden = false;
  field.hidden = !payload.link;
  if (!payload.link) {
    note.textContent = payload.no_link;
    return;
  }
  field.value = `${location.origin}${location.pathname}?${payload.link}${headOfLink()}`;
  try {
    await navigator.clipboard.writeText(field.value);
    note.textContent = "Copied: this link opens the page with the same result.";
  } catch {
    note.textContent = "Copy this link from the field: it opens the page with the same result.";
    field.focus();
    field.select();
  }
}
