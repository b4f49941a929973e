// Shows {caption, words: [[text, mark or null], ...]}; all of it may quote people, so it is only ever set as text.
const classes = { wrong: "wrong", "left out": "missing", added: "added", continued: "continued" };

function marked(text, mark) {
  const part = document.createElement("mark");
  part.className = classes[mark] || "";
  part.textContent = text;
  return part;
}

function spoken(text) {
  const part = document.createElement("span");
  part.className = "said";
  part.textContent = text;
  return part;
}

function show() {
  const { caption = "", words = [] } = props.value || {};
  element.querySelector(".caption").textContent = caption;
  const line = element.querySelector(".words");
  line.replaceChildren();
  for (const [text, mark] of words) {
    if (line.childNodes.length) line.append(" ");
    if (!mark) line.append(text);
    else line.append(spoken(`(${mark}:`), marked(text, mark), spoken(")"));
  }
  const kinds = [...new Set(words.map((word) => word[1]).filter(Boolean))];
  element.querySelector(".legend").replaceChildren(...kinds.map((kind) => marked(kind, kind)));
}

watch("value", show);
show();
