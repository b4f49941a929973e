// The picture itself: tokens down the side, the matrix, the words, waveform and mel strip beneath, seconds.

const LANES = { words: 20, wave: 40, mel: 40, axis: 22, gap: 5 }; // px, heights beneath the matrix
const ROOMY = 20; // px, tallest row
const TIGHT = 7; // px, lowest row
const MATRIX = 520; // px, height that many rows share
const LEGIBLE = 9; // px, lowest row whose label is always written
const WIDEST_CANVAS = 8192; // device px, what every browser can hold

/** Where everything lies, in px. */
function layOut(passage, width, zoom, ratio) {
  const row = Math.max(TIGHT, Math.min(ROOMY, Math.floor(MATRIX / passage.rows)));
  const stage = Math.min(Math.max(Math.round(width * zoom), 50), Math.floor(WIDEST_CANVAS / ratio));
  const words = row * passage.rows + LANES.gap;
  const wave = words + LANES.words;
  const mel = wave + LANES.wave + LANES.gap;
  const axis = mel + LANES.mel;
  return { row, width: stage, matrix: row * passage.rows, words, wave, mel, axis, height: axis + LANES.axis, ratio };
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
function drawBase(canvas, place, passage, shown, look, options) {
  const context = prepare(canvas, place.width, place.height, place.ratio);
  const { columns, rows } = passage;
  const cells = paint(document.createElement("canvas"), shown.values, columns, rows, shown.largest, look.colors);
  context.imageSmoothingEnabled = false;
  context.drawImage(cells, 0, 0, place.width, place.matrix);
  context.imageSmoothingEnabled = true;
  context.drawImage(melImage(passage, look), 0, place.mel, place.width, LANES.mel);
  drawWave(context, place, passage, look);
  if (options.words) drawBoundaries(context, place, passage, look);
  drawWordLane(context, place, passage, look);
  if (options.path) drawPath(context, place, passage, look);
  drawAxis(context, place, passage, look);
  context.strokeStyle = look.line;
  context.strokeRect(0.5, 0.5, place.width - 1, place.matrix - 1);
}

/** Low bands below; kept until the colors change. */
function melImage(passage, look) {
  if (passage.melColors !== look.colors) {
    const { bands, frames, mel } = passage;
    const turned = new Uint8Array(mel.length);
    for (let band = 0; band < bands; band++) {
      turned.set(mel.subarray(band * frames, (band + 1) * frames), (bands - 1 - band) * frames);
    }
    passage.melCanvas = paint(document.createElement("canvas"), turned, frames, bands, 255, look.colors);
    passage.melColors = look.colors;
  }
  return passage.melCanvas;
}

function drawWave(context, place, passage, look) {
  const { peaks } = passage;
  const pairs = peaks.length / 2;
  const middle = place.wave + LANES.wave / 2;
  const half = LANES.wave / 2;
  context.fillStyle = look.wave;
  for (let x = 0; x < place.width; x++) {
    const first = Math.floor((x / place.width) * pairs);
    const stop = Math.max(first + 1, Math.floor(((x + 1) / place.width) * pairs));
    let low = 0;
    let high = 0;
    for (let i = first; i < stop && i < pairs; i++) {
      low = Math.min(low, peaks[2 * i]);
      high = Math.max(high, peaks[2 * i + 1]);
    }
    context.fillRect(x, middle - (high / 127) * half, 1, Math.max(1, ((high - low) / 127) * half));
  }
}

function drawBoundaries(context, place, passage, look) {
  const times = new Set(passage.words.flatMap((word) => [word.start, word.end]));
  context.strokeStyle = look.boundary;
  context.globalAlpha = Math.min(0.9, Math.max(0.35, place.width / times.size / 50)); // many would hide the matrix
  context.lineWidth = 1;
  context.setLineDash([1, 3]);
  context.beginPath();
  for (const time of times) {
    const x = Math.round(xOf(time, place, passage)) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, place.axis);
  }
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function drawWordLane(context, place, passage, look) {
  context.font = `12px ${look.font}`;
  context.textBaseline = "middle";
  context.textAlign = "center";
  context.fillStyle = look.ink;
  for (const word of passage.words) {
    const left = xOf(word.start, place, passage);
    const room = xOf(word.end, place, passage) - left - 3;
    const text = fitted(context, word.text, room);
    if (text) context.fillText(text, left + room / 2 + 1.5, place.words + LANES.words / 2);
  }
}

/** A text, or as much of it as fits with an ellipsis; nothing below two letters. */
function fitted(context, text, room) {
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
function drawPath(context, place, passage, look) {
  const { path, columns } = passage;
  context.beginPath();
  for (let i = 0; i < path.length; i += 2) {
    context.lineTo(((path[i + 1] + 0.5) / columns) * place.width, (path[i] + 0.5) * place.row);
  }
  context.lineJoin = context.lineCap = "round";
  context.strokeStyle = look.casing;
  context.lineWidth = 3.5;
  context.stroke();
  context.strokeStyle = look.path;
  context.lineWidth = 1.5;
  context.stroke();
  context.lineWidth = 1;
}

function drawAxis(context, place, passage, look) {
  const scale = place.width / passage.seconds; // px per second
  const step = [0.1, 0.2, 0.5, 1, 2, 5].find((seconds) => seconds * scale >= 56) ?? 10;
  context.font = `11px ${look.font}`;
  context.textBaseline = "alphabetic";
  context.fillStyle = context.strokeStyle = look.dim;
  context.beginPath();
  for (let n = Math.ceil(passage.start / step - 1e-6); n * step <= passage.start + passage.seconds; n++) {
    const x = Math.round(xOf(n * step, place, passage)) + 0.5;
    context.moveTo(x, place.axis);
    context.lineTo(x, place.axis + 4);
    const text = `${(n * step).toFixed(step < 1 ? 1 : 0)} s`;
    const half = context.measureText(text).width / 2;
    context.textAlign = "left";
    context.fillText(text, Math.min(Math.max(x - half, 0), place.width - 2 * half), place.axis + 16);
  }
  context.stroke();
}

/** Width that the token labels need. */
function gutterWidth(canvas, passage, look, room) {
  const context = canvas.getContext("2d");
  context.font = `12px ${look.font}`;
  const crowded = MATRIX / passage.rows < LEGIBLE;
  const labels = passage.tokens.map((token) => (crowded && token.opens ? token.word : labelOf(token)));
  const widest = Math.max(...labels.map((label) => context.measureText(label).width));
  return Math.ceil(Math.min(Math.max(widest + 14, 44), room));
}

/** Pieces inside a word open with a dot. */
function labelOf(token) {
  return token.opens ? token.text : `·${token.text}`;
}

/** The labels beside the rows; `marked` is the row to stress, -1 for none. Crowded rows name whole words. */
function drawGutter(canvas, width, place, passage, look, marked) {
  const context = prepare(canvas, width, place.height, place.ratio);
  const size = Math.min(12, Math.max(10, place.row - 2));
  const crowded = place.row < LEGIBLE;
  context.textAlign = "right";
  context.textBaseline = "middle";
  let free = 0; // y below which nothing is written yet
  passage.tokens.forEach((token, row) => {
    const y = (row + 0.5) * place.row;
    const hidden = crowded && (!token.opens || y < free || (marked >= 0 && Math.abs(row - marked) * place.row < size));
    if (hidden && row !== marked) return;
    free = y + size;
    context.font = `${row === marked ? 600 : 400} ${size}px ${look.font}`;
    context.fillStyle = row === marked ? look.accent : token.opens ? look.ink : look.dim;
    const text = crowded && row !== marked ? token.word : labelOf(token);
    context.fillText(fitted(context, text, width - 8) || "…", width - 6, y);
  });
  context.font = `11px ${look.font}`;
  context.fillStyle = look.dim;
  for (const [text, top, height] of [
    ["words", place.words, LANES.words],
    ["sound", place.wave, LANES.wave],
    ["mel", place.mel, LANES.mel],
  ]) {
    context.fillText(text, width - 6, top + height / 2);
  }
}

/** The cell under the pointer or the keyboard, with lines to both axes. */
function drawOver(canvas, place, passage, look, cell) {
  const context = prepare(canvas, place.width, place.height, place.ratio);
  if (!cell) return;
  const wide = place.width / passage.columns;
  const x = cell.column * wide;
  const y = cell.row * place.row;
  context.fillStyle = look.veil;
  context.fillRect(x, 0, Math.max(wide, 1), place.axis);
  if (cell.row < 0) return;
  context.fillRect(0, y, place.width, place.row);
  const [w, h] = [Math.max(wide, 5), Math.max(place.row, 5)];
  context.lineWidth = 3;
  context.strokeStyle = look.casing;
  context.strokeRect(x + wide / 2 - w / 2 - 1, y + place.row / 2 - h / 2 - 1, w + 2, h + 2);
  context.lineWidth = 1.5;
  context.strokeStyle = look.accent;
  context.strokeRect(x + wide / 2 - w / 2 - 1, y + place.row / 2 - h / 2 - 1, w + 2, h + 2);
}

function xOf(time, place, passage) {
  return ((time - passage.start) / passage.seconds) * place.width;
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
