// The cell under the pointer or the keys: what it says, and what it plays.

function cellAt(event) {
  const box = stage.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) / box.width) * passage.columns);
  const y = event.clientY - box.top;
  const row = y < layout.matrix ? Math.floor(y / layout.row) : -1;
  return { row: Math.max(-1, row), column: Math.min(passage.columns - 1, Math.max(0, column)) };
}

function describeCell({ row, column }) {
  const time = seconds(timeOf(passage, column));
  if (row < 0) {
    const word = passage.words[itemIndexAt(passage.words, timeOf(passage, column))];
    return word ? `“${word.text}”, ${time}` : time;
  }
  const token = passage.tokens[row];
  const value = matrixOf(passage, payload.heads, selection).values[row * passage.columns + column];
  const within = token.word === token.text ? "" : ` in “${token.word}”`;
  const relative = selection.normalize === "softmax" ? "" : " of the row's maximum";
  return `“${token.text}”${within} × ${time}: ${value.toFixed(3)}${relative}, ${headsName()}`;
}

function selectCell(to) {
  cell = to;
  drawHover($("over"), layout, passage, theme, cell);
  markRow(cell ? cell.row : -1);
  const tip = $("tip");
  tip.style.display = cell ? "block" : "none";
  if (!cell) return;
  tip.textContent = describeCell(cell);
  const frameBox = $("frame").getBoundingClientRect();
  const stageBox = stage.getBoundingClientRect();
  const x = stageBox.left - frameBox.left + ((cell.column + 0.5) / passage.columns) * layout.width;
  const y = (cell.row < 0 ? layout.words : cell.row * layout.row) - 8;
  tip.style.left = `${Math.min(Math.max(x - tip.offsetWidth / 2, 0), frameBox.width - tip.offsetWidth)}px`;
  tip.style.top = `${y - tip.offsetHeight < -40 ? y + layout.row + 18 : y - tip.offsetHeight}px`;
}

function markRow(row) {
  if (row === markedRow) return;
  markedRow = row;
  drawGutter($("gutter"), layout.gutter, layout, passage, theme, markedRow);
}

/** The word spoken at a moment, or what surrounds it. */
function playMoment(time) {
  const word = passage.words[itemIndexAt(passage.words, time)];
  play(word ?? { start: time - CONTEXT_SECONDS, end: time + CONTEXT_SECONDS });
}

function onKey(event) {
  if (!passage || event.ctrlKey || event.metaKey || event.altKey) return;
  const leap = event.shiftKey ? 10 : 1;
  const at = cell && cell.row >= 0 ? cell : { row: 0, column: passage.path[1] };
  const to = { ...at };
  if (event.key === "ArrowLeft") to.column -= leap;
  else if (event.key === "ArrowRight") to.column += leap;
  else if (event.key === "ArrowUp") to.row -= leap;
  else if (event.key === "ArrowDown") to.row += leap;
  else if (event.key === "Home") to.column = 0;
  else if (event.key === "End") to.column = passage.columns - 1;
  else if (event.key === "Enter" || event.key === " ") playMoment(timeOf(passage, at.column));
  else if (event.key === "Escape") return selectCell(null);
  else return;
  event.preventDefault();
  to.row = Math.min(passage.rows - 1, Math.max(0, to.row));
  to.column = Math.min(passage.columns - 1, Math.max(0, to.column));
  keepInView((to.column / passage.columns) * layout.width);
  selectCell(to);
  $("readout").textContent = describeCell(to);
}

/** Keep a position of the stage in sight while it is stretched. */
function keepInView(x) {
  const room = scroller.clientWidth;
  if (x < scroller.scrollLeft || x > scroller.scrollLeft + room * 0.9) scroller.scrollLeft = x - room * 0.15;
}
