// What stands around the picture: words and tokens, heads as thumbnails, gates, the table. Text of people goes
// into the page as textContent only.

const MIN_SURE = 0.8; // confidence from which a word counts as sure
const MIN_FAIR = 0.5; // and less sure
const THUMBNAIL_SIZE = [180, 90]; // px, most of a thumbnail

function make(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function seconds(time) {
  return `${time.toFixed(2)} s`;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** A button for an item with times. */
function itemButton(item, index, className) {
  const button = make("button", className, item.text);
  button.type = "button";
  button.tabIndex = index ? -1 : 0;
  button.title = `${seconds(item.start)} to ${seconds(item.end)}`;
  if (typeof item.confidence === "number") {
    button.classList.add(item.confidence >= MIN_SURE ? "zm-sure" : item.confidence >= MIN_FAIR ? "zm-fair" : "zm-unsure");
    button.title += `, confidence ${percent(item.confidence)}`;
  }
  return button;
}

/** A labeled row of items, one of them in the tab order and the others reached by arrow keys. */
function addTrack(parent, label, items, className, play) {
  const container = make("div", `zm-track ${className}-track`);
  container.setAttribute("role", "group");
  container.setAttribute("aria-label", label);
  const buttons = items.map((item, index) => itemButton(item, index, className));
  container.append(...buttons);
  container.addEventListener("click", (event) => {
    const index = buttons.indexOf(event.target);
    if (index >= 0) play(items[index]);
  });
  container.addEventListener("keydown", (event) => {
    const index = buttons.indexOf(event.target);
    const to = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[index].tabIndex = -1;
    buttons[to].tabIndex = 0;
    buttons[to].focus();
  });
  parent.append(container);
  return { items, buttons, container, now: -1 };
}

/** Mark the item spoken at a time, null for none, and keep it in sight within its own box. */
function highlight(track, time) {
  const index = time === null ? -1 : itemIndexAt(track.items, time);
  if (index === track.now) return;
  track.buttons[track.now]?.classList.remove("zm-now");
  track.now = index;
  const button = track.buttons[index];
  if (!button) return;
  button.classList.add("zm-now");
  const box = track.container;
  if (box.scrollHeight > box.clientHeight + 2) box.scrollTop = button.offsetTop - box.offsetTop - box.clientHeight / 2;
}

/** A thumbnail for every head, zip point by zip point. */
function fillGrid(grid, passage, heads, selection, theme, choose) {
  const rows = [];
  for (let point = 0; point < passage.points; point++) {
    const row = make("div", "zm-grid-row");
    row.append(make("span", "zm-grid-name", `zip point ${point + 1}`));
    for (let head = 0; head < passage.heads; head++) {
      row.append(thumbnail(passage, heads, { ...selection, view: "head", point, head }, theme, choose));
    }
    rows.push(row);
  }
  grid.replaceChildren(...rows);
}

function thumbnail(passage, heads, selection, theme, choose) {
  const { point, head } = selection;
  const { values, largest } = matrixOf(passage, heads, selection);
  const score = heads.find(([z, h]) => z === point && h === head)?.[2] ?? 0;
  const button = make("button", "zm-thumb");
  button.type = "button";
  const [columns, rows] = [Math.min(passage.columns, THUMBNAIL_SIZE[0]), Math.min(passage.rows, THUMBNAIL_SIZE[1])];
  const pooled = pool(values, passage.columns, passage.rows, columns, rows);
  const canvas = paint(make("canvas"), pooled, columns, rows, largest, theme.colors);
  canvas.setAttribute("aria-hidden", "true");
  const name = make("span", "zm-thumb-name", `head ${head + 1}`);
  if (score > 0) name.append(make("span", "zm-score", `aligns ${score.toFixed(2)}`));
  const aligns = score > 0 ? `, alignment head, monotonicity ${score.toFixed(2)}` : "";
  button.setAttribute("aria-label", `Zip point ${point + 1}, head ${head + 1}${aligns}: enlarge`);
  button.append(canvas, name);
  button.addEventListener("click", () => choose(point, head));
  return button;
}

/** Largest value of each of fewer cells: shrunk by averaging, a sharp head would fade away. */
function pool(values, columns, rows, fewerColumns, fewerRows) {
  const pooled = new Float32Array(fewerColumns * fewerRows);
  for (let row = 0, i = 0; row < rows; row++) {
    const first = Math.floor((row * fewerRows) / rows) * fewerColumns;
    for (let column = 0; column < columns; column++, i++) {
      const at = first + Math.floor((column * fewerColumns) / columns);
      if (values[i] > pooled[at]) pooled[at] = values[i];
    }
  }
  return pooled;
}

/** The heads whose mean is shown, each with the score that chose it. */
function fillChips(chips, heads, choose) {
  const buttons = heads.map(([point, head, score]) => {
    const chip = make("button", "zm-chip", `zip ${point + 1}, head ${head + 1}`);
    chip.type = "button";
    if (score > 0) chip.append(make("span", "zm-score", score.toFixed(2)));
    chip.title = `Show this head alone. Monotonicity ${score.toFixed(2)}: 1 follows the speech without fail`;
    chip.addEventListener("click", () => choose(point, head));
    return chip;
  });
  chips.replaceChildren(make("span", "zm-hint", "chosen as they follow the speech, by monotonicity:"), ...buttons);
}

/** Two bars a zip point, from closed in the middle to fully open at either end. */
function fillGates(bars, gates) {
  bars.replaceChildren(...gates.map(([attention, feedForward], point) => {
    const card = make("div", "zm-gate");
    card.append(make("span", "zm-gate-name", `zip point ${point + 1}`));
    card.append(gateBar("attention", attention), gateBar("feed-forward", feedForward));
    return card;
  }));
}

function gateBar(name, value) {
  const row = make("div", "zm-gate-row");
  const track = make("span", "zm-gate-track");
  const bar = make("span", `zm-gate-bar zm-gate-${name}`);
  const size = Math.min(1, Math.abs(value)) * 50;
  bar.style.left = `${value < 0 ? 50 - size : 50}%`;
  bar.style.width = `${size}%`;
  track.append(bar);
  const written = make("span", "zm-gate-value", value.toFixed(2).replace("-", "−"));
  row.append(make("span", "zm-gate-label", name), track, written);
  return row;
}

/** For each token when it is spoken, and where the selected matrix is largest. */
function fillTable(box, passage, matrix) {
  const table = make("table");
  const head = table.createTHead().insertRow();
  for (const title of ["token", "from", "to", "strongest at", "there"]) {
    const cell = make("th", "", title);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  passage.tokens.forEach((token, row) => {
    const rowValues = matrix.values.subarray(row * passage.columns, (row + 1) * passage.columns);
    const best = rowValues.reduce((top, value, column) => (value > rowValues[top] ? column : top), 0);
    const times = [token.start, token.end, timeOf(passage, best)].map(seconds);
    const tr = body.insertRow();
    for (const text of [labelOf(token), ...times, rowValues[best].toFixed(3)]) tr.append(make("td", "", text));
  });
  box.replaceChildren(table);
}

/** Middle of a column in seconds of the whole. */
function timeOf(passage, column) {
  return passage.start + (column + 0.5) * passage.step;
}
