// Shows {caption, words: [[text, mark or null], ...]}. All of it may be user text, so it is only ever set as text.
const classes = { wrong: "wrong", "left out": "missing", added: "added", continued: "continued" };

function marked(text, mark) {
  const part = document.createElement("mark");
  part.className = classes[mark] || "";
  part.textContent = text;
  return part;
}

function hiddenText(text) {
  const part = document.createElement("span");
  part.className = "visually-hidden";
  part.textContent = text;
  return part;
}

function show() {
  const { caption = "", words = [] } = props.value || {};
  element.querySelector(".caption").textContent = caption;
  const container = element.querySelector(".words");
  container.replaceChildren();
  for (const [text, mark] of words) {
    if (container.childNodes.length) container.append(" ");
    if (!mark) container.append(text);
    else container.append(hiddenText(`(${mark}:`), marked(text, mark), hiddenText(")"));
  }
  const kinds = [...new Set(words.map((word) => word[1]).filter(Boolean))];
  element.querySelector(".legend").replaceChildren(...kinds.map((kind) => marked(kind, kind)));
}

watch("value", show);
show();
