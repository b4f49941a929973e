// Shows {text, busy, share}; text may contain user text, so it is only ever set as text.
const sentence = element.querySelector("p");
const bar = element.querySelector("progress");

function show() {
  const state = props.value || {};
  sentence.textContent = state.text || "";
  bar.hidden = !state.busy;
  if (typeof state.share === "number") bar.value = state.share;
  else bar.removeAttribute("value");
}

watch("value", show);
show();
