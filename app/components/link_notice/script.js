// Shows a sentence, only ever as text, and tells the server if the address is that of a link.
const line = element.querySelector("p");

function show() {
  line.textContent = props.value || "";
}

watch("value", show);
show();
if (new URLSearchParams(location.search).has("tab")) trigger("opened", {});
