// The payload of the server, unpacked: see app/components/attention_map/payload.py for what each field holds.

const SQUARES = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255) ** 2);

/** Base64 of deflated bytes, as bytes. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** One passage of a payload with its arrays unpacked. */
async function openPassage(payload, index) {
  const raw = payload.passages[index];
  const [weights, path, peaks, mel] = await Promise.all([raw.weights, raw.path, raw.peaks, raw.mel].map(unpack));
  const [points, heads, rows, columns] = raw.shape;
  const tokens = raw.tokens.map(([text, start, end, startsWord]) => ({ text: text || "␣", start, end, startsWord, word: "" }));
  nameWords(tokens);
  return {
    index, points, heads, rows, columns, weights, tokens,
    start: raw.start,
    step: payload.seconds_per_token,
    seconds: columns * payload.seconds_per_token,
    maxima: raw.maxima,
    path: new Uint16Array(path.buffer),
    peaks: new Int8Array(peaks.buffer),
    mel, bands: raw.mel_shape[0], frames: raw.mel_shape[1],
    words: raw.words.map(asItem),
    codes: raw.codes,
    matrices: new Map(),
  };
}

/** [text, start, end, confidence] of the payload with names. */
function asItem([text, start, end, confidence]) {
  return { text, start, end, confidence };
}

/** Tell each token the whole word it belongs to. */
function nameWords(tokens) {
  for (let first = 0; first < tokens.length; ) {
    let stop = first + 1;
    while (stop < tokens.length && !tokens[stop].startsWord) stop++;
    const word = tokens.slice(first, stop).map((token) => token.text).join("");
    for (; first < stop; first++) tokens[first].word = word;
  }
}

/** The matrix that a selection shows: values row by row, and the largest of them. Kept once computed. */
function matrixOf(passage, heads, selection) {
  const { view, point, head, normalize } = selection;
  const key = [view, view === "head" || view === "point" ? point : "", view === "head" ? head : "", normalize].join();
  if (!passage.matrices.has(key)) {
    if (passage.matrices.size > 40) passage.matrices.clear();
    const values = meanOf(passage, chosenHeads(passage, heads, selection));
    if (normalize === "row maximum") scaleRows(values, passage.rows, passage.columns);
    let largest = 0;
    for (let i = 0; i < values.length; i++) if (values[i] > largest) largest = values[i];
    passage.matrices.set(key, { values, largest });
  }
  return passage.matrices.get(key);
}

/** [zip point, head] pairs that a selection averages. */
function chosenHeads(passage, heads, { view, point, head }) {
  if (view === "head") return [[point, head]];
  if (view === "alignment") return heads.map(([z, h]) => [z, h]);
  const points = view === "point" ? [point] : Array.from({ length: passage.points }, (_, z) => z);
  return points.flatMap((z) => Array.from({ length: passage.heads }, (_, h) => [z, h]));
}

function meanOf(passage, chosen) {
  const size = passage.rows * passage.columns;
  const sum = new Float32Array(size);
  for (const [point, head] of chosen) {
    const slot = point * passage.heads + head;
    const factor = passage.maxima[slot] / chosen.length;
    const bytes = passage.weights.subarray(slot * size, (slot + 1) * size);
    for (let i = 0; i < size; i++) sum[i] += factor * SQUARES[bytes[i]];
  }
  return sum;
}

function scaleRows(values, rows, columns) {
  for (let row = 0; row < rows; row++) {
    const rowValues = values.subarray(row * columns, (row + 1) * columns);
    let largest = 0;
    for (const value of rowValues) if (value > largest) largest = value;
    if (largest > 0) for (let i = 0; i < columns; i++) rowValues[i] /= largest;
  }
}

/** Index of the item spoken at a time, -1 for none; starts rise. */
function itemIndexAt(items, time) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].start <= time) low = middle + 1;
    else high = middle;
  }
  return low > 0 && time < items[low - 1].end ? low - 1 : -1;
}
