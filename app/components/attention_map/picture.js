// The picture itself: tokens down the side, the matrix, the words, waveform and mel strip beneath, seconds.

const STRIP_HEIGHTS = { words: 20, wave: 40, mel: 40, axis: 22, gap: 5 }; // px, heights beneath the matrix
const MAX_ROW_HEIGHT = 20; // px, tallest row
const MIN_ROW_HEIGHT = 7; // px, lowest row
const MATRIX_HEIGHT = 520; // px, height that many rows share
const MIN_LABELED_ROW_HEIGHT = 9; // px, lowest row whose label is always written
const MAX_CANVAS_WIDTH = 8192; // device px, what every browser can hold

/** Where everything lies, in px. */
function computeLayout(passage, width, zoom, ratio) {
  const row = Math.max(MIN_ROW_HEIGHT, Math.min(MAX_ROW_HEIGHT, Math.floor(MATRIX_HEIGHT / passage.rows)));
  const stage = Math.min(Math.max(Math.round(width * zoom), 50), Math.floor(MAX_CANVAS_WIDTH / ratio));
  const words = row * passage.rows + STRIP_HEIGHTS.gap;
  const wave = words + STRIP_HEIGHTS.words;
  const mel = wave + STRIP_HEIGHTS.wave + STRIP_HEIGHTS.gap;
  const axis = mel + STRIP_HEIGHTS.mel;
  return { row, width: stage, matrix: row * passage.rows, words, wave, mel, axis, height: axis + STRIP_HEIGHTS.axis, ratio };
}

/** A canvas of a size in px, its context scaled to the screen and cleared. */
function prepare(canvas, width, height, ratio) {
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Everything that does not move. */
function drawBase(canvas, layout, passage, matrix, theme, options) {
  const context = prepare(canvas, layout.width, layout.height, layout.ratio);
  const { columns, rows } = passage;
  const cells = paint(document.createElement("canvas"), matrix.values, columns, rows, matrix.largest, theme.colors);
  context.imageSmoothingEnabled = false;
  context.drawImage(cells, 0, 0, layout.width, layout.matrix);
  context.imageSmoothingEnabled = true;
  context.drawImage(melImage(passage, theme), 0, layout.mel, layout.width, STRIP_HEIGHTS.mel);
  drawWave(context, layout, passage, theme);
  if (options.words) drawBoundaries(context, layout, passage, theme);
  drawWordStrip(context, layout, passage, theme);
  if (options.path) drawPath(context, layout, passage, theme);
  drawAxis(context, layout, passage, theme);
  context.strokeStyle = theme.border;
  context.strokeRect(0.5, 0.5, layout.width - 1, layout.matrix - 1);
}

/** Low bands below; kept until the colors change. */
function melImage(passage, theme) {
  if (passage.melColors !== theme.colors) {
    const { bands, frames, mel } = passage;
    const turned = new Uint8Array(mel.length);
    for (let band = 0; band < bands; band++) {
      turned.set(mel.subarray(band * frames, (band + 1) * frames), (bands - 1 - band) * frames);
    }
    passage.melCanvas = paint(document.createElement("canvas"), turned, frames, bands, 255, theme.colors);
    passage.melColors = theme.colors;
  }
  return passage.melCanvas;
}

function drawWave(context, layout, passage, theme) {
  const { peaks } = passage;
  const pairs = peaks.length / 2;
  const middle = layout.wave + STRIP_HEIGHTS.wave / 2;
  const half = STRIP_HEIGHTS.wave / 2;
  context.fillStyle = theme.wave;
  for (let x = 0; x < layout.width; x++) {
    const first = Math.floor((x / layout.width) * pairs);
    const stop = Math.max(first + 1, Math.floor(((x + 1) / layout.width) * pairs));
    let low = 0;
    let high = 0;
    for (let i = first; i < stop && i < pairs; i++) {
      low = Math.min(low, peaks[2 * i]);
      high = Math.max(high, peaks[2 * i + 1]);
    }
    context.fillRect(x, middle - (high / 127) * half, 1, Math.max(1, ((high - low) / 127) * half));
  }
}

function drawBoundaries(context, layout, passage, theme) {
  const times = new Set(passage.words.flatMap((word) => [word.start, word.end]));
  context.strokeStyle = theme.boundary;
  context.globalAlpha = Math.min(0.9, Math.max(0.35, layout.width / times.size / 50)); // many would hide the matrix
  context.lineWidth = 1;
  context.setLineDash([1, 3]);
  context.beginPath();
  for (const time of times) {
    const x = Math.round(xOf(time, layout, passage)) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, layout.axis);
  }
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function drawWordStrip(context, layout, passage, theme) {
  context.font = `12px ${theme.font}`;
  context.textBaseline = "middle";
  context.textAlign = "center";
  context.fillStyle = theme.ink;
  for (const word of passage.words) {
    const left = xOf(word.start, layout, passage);
    const room = xOf(word.end, layout, passage) - left - 3;
    const text = truncated(context, word.text, room);
    if (text) context.fillText(text, left + room / 2 + 1.5, layout.words + STRIP_HEIGHTS.words / 2);
  }
}

/** A text, or as much of it as fits with an ellipsis; nothing below two letters. */
function truncated(context, text, room) {
  if (room < 8) return "";
  if (context.measureText(text).width <= room) return text;
  const letters = [...text];
  for (let count = letters.length - 1; count >= 2; count--) {
    const cut = `${letters.slice(0, count).join("")}…`;
    if (context.measureText(cut).width <= room) return cut;
  }
  return "";
}

/** The warping path, cased so that it shows on any color. */
function drawPath(context, layout, passage, theme) {
  const { path, columns } = passage;
  context.beginPath();
  for (let i = 0; i < path.length; i += 2) {
    context.lineTo(((path[i + 1] + 0.5) / columns) * layout.width, (path[i] + 0.5) * layout.row);
  }
  context.lineJoin = context.lineCap = "round";
  context.strokeStyle = theme.outline;
  context.lineWidth = 3.5;
  context.stroke();
  context.strokeStyle = theme.path;
  context.lineWidth = 1.5;
  context.stroke();
  context.lineWidth = 1;
}

function drawAxis(context, layout, passage, theme) {
  const scale = layout.width / passage.seconds; // px per second
  const step = [0.1, 0.2, 0.5, 1, 2, 5].find((seconds) => seconds * scale >= 56) ?? 10;
  context.font = `11px ${theme.font}`;
  context.textBaseline = "alphabetic";
  context.fillStyle = context.strokeStyle = theme.muted;
  context.beginPath();
  for (let n = Math.ceil(passage.start / step - 1e-6); n * step <= passage.start + passage.seconds; n++) {
    const x = Math.round(xOf(n * step, layout, passage)) + 0.5;
    context.moveTo(x, layout.axis);
    context.lineTo(x, layout.axis + 4);
    const text = `${(n * step).toFixed(step < 1 ? 1 : 0)} s`;
    const half = context.measureText(text).width / 2;
    context.textAlign = "left";
    context.fillText(text, Math.min(Math.max(x - half, 0), layout.width - 2 * half), layout.axis + 16);
  }
  context.stroke();
}

/** Width that the token labels need. */
function gutterWidth(canvas, passage, theme, room) {
  const context = canvas.getContext("2d");
  context.font = `12px ${theme.font}`;
  const crowded = MATRIX_HEIGHT / passage.rows < MIN_LABELED_ROW_HEIGHT;
  const labels = passage.tokens.map((token) => (crowded && token.startsWord ? token.word : labelOf(token)));
  const widest = Math.max(...labels.map((label) => context.measureText(label).width));
  return Math.ceil(Math.min(Math.max(widest + 14, 44), room));
}

/** Pieces inside a word open with a dot. */
function labelOf(token) {
  return token.startsWord ? token.text : `·${token.text}`;
}

/** The labels beside the rows; `markedRow` is the row to stress, -1 for none. Crowded rows name whole words. */
function drawGutter(canvas, width, layout, passage, theme, markedRow) {
  const context = prepare(canvas, width, layout.height, layout.ratio);
  const size = Math.min(12, Math.max(10, layout.row - 2));
  const crowded = layout.row < MIN_LABELED_ROW_HEIGHT;
  context.textAlign = "right";
  context.textBaseline = "middle";
  let free = 0; // y below which nothing is written yet
  passage.tokens.forEach((token, row) => {
    const y = (row + 0.5) * layout.row;
    const hidden = crowded && (!token.startsWord || y < free || (markedRow >= 0 && Math.abs(row - markedRow) * layout.row < size));
    if (hidden && row !== markedRow) return;
    free = y + size;
    context.font = `${row === markedRow ? 600 : 400} ${size}px ${theme.font}`;
    context.fillStyle = row === markedRow ? theme.accent : token.startsWord ? theme.ink : theme.muted;
    const text = crowded && row !== markedRow ? token.word : labelOf(token);
    context.fillText(truncated(context, text, width - 8) || "…", width - 6, y);
  });
  context.font = `11px ${theme.font}`;
  context.fillStyle = theme.muted;
  for (const [text, top, height] of [
    ["words", layout.words, STRIP_HEIGHTS.words],
    ["sound", layout.wave, STRIP_HEIGHTS.wave],
    ["mel", layout.mel, STRIP_HEIGHTS.mel],
  ]) {
    context.fillText(text, width - 6, top + height / 2);
  }
}

/** The cell under the pointer or the keyboard, with lines to both axes. */
function drawHover(canvas, layout, passage, theme, cell) {
  const context = prepare(canvas, layout.width, layout.height, layout.ratio);
  if (!cell) return;
  const wide = layout.width / passage.columns;
  const x = cell.column * wide;
  const y = cell.row * layout.row;
  context.fillStyle = theme.hover;
  context.fillRect(x, 0, Math.max(wide, 1), layout.axis);
  if (cell.row < 0) return;
  context.fillRect(0, y, layout.width, layout.row);
  const [w, h] = [Math.max(wide, 5), Math.max(layout.row, 5)];
  context.lineWidth = 3;
  context.strokeStyle = theme.outline;
  context.strokeRect(x + wide / 2 - w / 2 - 1, y + layout.row / 2 - h / 2 - 1, w + 2, h + 2);
  context.lineWidth = 1.5;
  context.strokeStyle = theme.accent;
  context.strokeRect(x + wide / 2 - w / 2 - 1, y + layout.row / 2 - h / 2 - 1, w + 2, h + 2);
}

function xOf(time, layout, passage) {
  return ((time - passage.start) / passage.seconds) * layout.width;
}

/** The row that the path passes at a time, for the dot. */
function rowAt(passage, time) {
  const column = Math.min(passage.columns - 1, Math.max(0, Math.floor((time - passage.start) / passage.step)));
  const { path } = passage;
  let low = 0;
  let high = path.length / 2 - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (path[2 * middle + 1] < column) low = middle + 1;
    else high = middle;
  }
  return path[2 * low];
}
