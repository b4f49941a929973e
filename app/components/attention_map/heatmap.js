// The component: what is selected, what the pointer and the keys do, and the sound. Runs once for each map of a
// page; `element`, `props`, `trigger` and `watch` come from gr.HTML. The template is fixed, so the page's own
// updates never touch what is built here.

const parts = new Map();
const $ = (name) => parts.get(name) ?? parts.set(name, element.querySelector(`.zm-${name}`)).get(name);
const root = element.querySelector(".zm");
const audio = $("audio");
const stage = $("stage");
const scroller = $("scroller");

const MIN_SLICE_SECONDS = 0.3; // s, a slice that can be made out
const CONTEXT_SECONDS = 0.2; // s before and after a moment between words
const ZOOMS = [1, 2, 4, 8];
const NARROW_GUTTER_WIDTH = 72; // px for the labels of rows on a small screen
const MIN_PX_PER_SECOND = 26; // px a second, below which the time axis starts stretched

let payload = null;
let passage = null;
let layout = null;
let theme = null;
let cell = null; // {row, column} under pointer or keys; row -1 beneath the matrix
let markedRow = -1; // row stressed in the gutter
let tracks = [];
let zoom = 1;
let activePlayer = audio; // the player that moves the cursor
let sliceStart = 0;
let sliceEnd = Infinity;
let animationFrame = 0;
let requestCount = 0; // counts values, so that a late unpacking is dropped
let wantedPassage = 0; // passage to show as soon as its picture is here
let gridView = false; // thumbnails of all heads in place of one matrix
let tokenView = false; // tokens in place of words above the map
const selection = { passage: 0, view: "alignment", point: 0, head: 0, normalize: "softmax" };

// ---- values ----------------------------------------------------------------------------------------------

async function update() {
  const value = props.value;
  if (value?.picture) return receivePicture(value);
  const ownRequest = ++requestCount;
  stop();
  if (!value || !value.passages?.length) {
    payload = passage = null;
    root.dataset.state = "empty";
    $("empty").hidden = false;
    $("body").hidden = true;
    return;
  }
  const opened = await openPassage(value, 0).catch((error) => failed(error));
  if (ownRequest !== requestCount || !opened) return;
  payload = { ...value, passages: value.passages.map((raw) => ({ ...raw })) };
  chooseHead(value.selection);
  $("shared").hidden = true;
  $("example").hidden = !value.example;
  selection.passage = wantedPassage = 0;
  selection.point = Math.min(selection.point, opened.points - 1);
  selection.head = Math.min(selection.head, opened.heads - 1);
  $("empty").hidden = true;
  $("body").hidden = false;
  setSound();
  fillSelectors(opened);
  fillGates($("bars"), payload.gates);
  $("heading").textContent = payload.synthesized
    ? "Gates into the speech tower: how much of the text comes through at each zip point"
    : "Gates into the text tower: how much of the speech comes through at each zip point";
  fillChips($("chips"), payload.heads, showHead);
  const room = $("frame").clientWidth - NARROW_GUTTER_WIDTH;
  zoom = ZOOMS.find((factor) => (room * factor) / opened.seconds >= MIN_PX_PER_SECOND) ?? ZOOMS.at(-1);
  showPassage(opened);
  root.dataset.state = value.example ? "example" : "ready";
}

/** Show the head that a link names; without one what was shown before. */
function chooseHead(chosen) {
  if (!chosen) return;
  Object.assign(selection, chosen);
  gridView = false;
}

function failed(error) {
  console.error("The attention map could not be unpacked:", error);
  $("empty").hidden = false;
  $("empty").textContent = "This browser cannot unpack the attention map; a newer one can.";
  $("body").hidden = true;
}

function setSound() {
  sliceEnd = Infinity;
  audio.hidden = root.querySelector(".zm-strip .zm-hint").hidden = !payload.audio;
  if (payload.audio) audio.src = payload.audio;
  else audio.removeAttribute("src");
}

function fillSelectors(opened) {
  const option = (value, text) => Object.assign(make("option", "", text), { value });
  const points = Array.from({ length: opened.points }, (_, z) => option(z, `${z + 1}`));
  $("point").replaceChildren(...points);
  $("passages").hidden = payload.passages.length < 2;
}

function fillHeads() {
  const option = (value, text) => Object.assign(make("option", "", text), { value });
  const scores = new Map(payload.heads.map(([z, h, score]) => [`${z} ${h}`, score]));
  const heads = Array.from({ length: passage.heads }, (_, h) => {
    const score = scores.get(`${selection.point} ${h}`) ?? 0;
    return option(h, `${h + 1}${score > 0 ? `, aligns ${score.toFixed(2)}` : ""}`);
  });
  $("head").replaceChildren(option("mean", "mean"), ...heads);
}

function showPassage(opened) {
  passage = opened;
  selection.passage = opened.index;
  cell = null;
  markedRow = -1;
  $("passage").textContent = `passage ${opened.index + 1} of ${payload.passages.length}`;
  $("previous").disabled = opened.index === 0;
  $("next").disabled = opened.index === payload.passages.length - 1;
  fillStrip();
  resize();
  if (!activePlayer.paused) requestPassage(opened.index + 1); // the sound will soon be there
}

async function goToPassage(index) {
  wantedPassage = index;
  if (!payload.passages[index].weights) return requestPassage(index);
  const ownRequest = ++requestCount;
  const opened = await openPassage(payload, index);
  if (ownRequest === requestCount) showPassage(opened);
}

/** Have the picture of a passage sent, unless it is here or there is no such passage. */
function requestPassage(index) {
  const raw = payload?.passages[index];
  if (raw && !raw.weights) trigger("load_passage", { passage: index });
}

/** A picture of a passage arrives; it is dropped if another result is on the page by now. */
function receivePicture({ result, index, picture }) {
  if (payload?.result !== result) return;
  Object.assign(payload.passages[index], picture);
  if (index === wantedPassage && index !== passage.index) goToPassage(index);
}

function fillStrip() {
  const items = $("items");
  items.replaceChildren();
  if (tokenView) {
    const pieces = passage.tokens.map((token) => ({ ...token, text: labelOf(token) }));
    tracks = [addTrack(items, "Text tokens", pieces, "zm-token", play)];
    const codes = passage.codes.map((text, i) => ({
      text, start: passage.start + i * passage.step, end: passage.start + (i + 1) * passage.step,
    }));
    tracks.push(addTrack(items, "Speech tokens, 40 ms each", codes, "zm-code", play));
  } else {
    const words = payload.passages.flatMap((raw) => raw.words.map(asItem));
    tracks = [addTrack(items, "Words", words, "zm-word", play)];
  }
  $("key").hidden = tokenView || payload.synthesized;
  $("show-words").setAttribute("aria-pressed", !tokenView);
  $("show-tokens").setAttribute("aria-pressed", tokenView);
}

// ---- drawing ---------------------------------------------------------------------------------------------

function readTheme() {
  const style = getComputedStyle(root);
  const color = (name) => style.getPropertyValue(`--zm-${name}`).trim();
  const dark = root.closest(".dark") !== null;
  if (!theme || theme.dark !== dark) theme = { dark, colors: colorMap(dark) };
  theme.font = style.fontFamily;
  const names = ["ink", "muted", "border", "boundary", "path", "outline", "wave", "accent", "hover"];
  for (const name of names) theme[name] = color(name);
}

/** Lay out for the present width and theme, and draw everything. */
function resize() {
  if (!passage || !root.offsetWidth) return;
  readTheme();
  const gutter = gutterWidth($("gutter"), passage, theme, root.offsetWidth < 560 ? NARROW_GUTTER_WIDTH : 120);
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  layout = computeLayout(passage, Math.max(60, $("frame").clientWidth - gutter), zoom, ratio);
  layout.gutter = gutter;
  stage.style.width = `${layout.width}px`;
  stage.style.height = `${layout.height}px`;
  $("factor").textContent = `${zoom}×`;
  $("out").disabled = zoom === ZOOMS[0];
  $("in").disabled = zoom === ZOOMS.at(-1);
  const ramp = Float32Array.from({ length: 256 }, (_, i) => i);
  paint($("ramp"), ramp, 256, 1, 255, theme.colors);
  drawGutter($("gutter"), gutter, layout, passage, theme, markedRow);
  draw();
  drawHover($("over"), layout, passage, theme, cell);
  moveCursor();
}

/** Draw the matrix that is selected; all that a change of head costs. */
function draw() {
  if (!passage || !layout) return;
  const matrix = matrixOf(passage, payload.heads, selection);
  for (const button of $("views").children) {
    button.setAttribute("aria-pressed", button.dataset.view === currentView());
  }
  for (const label of root.querySelectorAll(".zm-of-head")) label.hidden = currentView() !== "head";
  $("grid").hidden = !gridView;
  for (const name of ["frame", "readout", "below", "details"]) $(name).hidden = gridView;
  if (!$("shared").hidden) $("shared").hidden = true; // that was the link to another picture
  $("chips").hidden = gridView || selection.view !== "alignment" || !payload.heads[0][2];
  $("name").textContent = `${payload.title}: ${gridView ? "all heads, each by its own largest weight" : matrixName()}`;
  $("high").textContent = gridView ? "largest" : matrix.largest.toFixed(2);
  $("explain").textContent = explanation();
  if (gridView) {
    fillGrid($("grid"), passage, payload.heads, selection, theme, showHead);
    return;
  }
  fillHeads();
  $("point").value = selection.point;
  $("head").value = selection.view === "point" ? "mean" : selection.head;
  const options = { path: $("with-path").checked, words: $("with-words").checked };
  drawBase($("base"), layout, passage, matrix, theme, options);
  stage.setAttribute("aria-label", summarize(matrix));
  if ($("details").open) fillTable($("table"), passage, matrix);
}

function currentView() {
  return gridView ? "grid" : selection.view === "point" ? "head" : selection.view;
}

function headsName() {
  const { view, point, head } = selection;
  if (view === "alignment") return `mean of ${payload.heads.length} alignment heads`;
  if (view === "mean") return `mean of all ${passage.points * passage.heads} heads`;
  return `zip point ${point + 1}, ${view === "head" ? `head ${head + 1}` : `mean of ${passage.heads} heads`}`;
}

function matrixName() {
  return `${headsName()}, ${selection.normalize === "softmax" ? "softmax weights" : "each row by its maximum"}`;
}

function explanation() {
  const stronger = theme.dark ? "brighter" : "darker";
  const recognition = payload.direction === "text_from_speech";
  const seen = recognition
    ? `Each row is a piece of the text, each column 40 ms of the sound: the ${stronger} a spot, the more the model ` +
      "looked at that moment when it wrote that piece."
    : `Each column is 40 ms of the sound, each row a piece of the text: the ${stronger} a spot, the more the model ` +
      "looked at that piece when it made that moment.";
  const scale =
    selection.normalize === "row maximum"
      ? "Each row is divided by its largest weight, so that faint rows show as well."
      : `Weights are as the softmax gave them: a ${recognition ? "row" : "column"} sums to at most 1.`;
  return `${seen} ${scale}`;
}

function summarize(matrix) {
  const { tokens, start, seconds: length } = passage;
  const way = payload.direction === "text_from_speech" ? "from text to speech" : "from speech to text";
  return (
    `Attention map ${way}, ${matrixName()}: ${tokens.length} text tokens by ${length.toFixed(1)} seconds from ` +
    `${start.toFixed(1)} s, largest value ${matrix.largest.toFixed(2)}. The path runs from “${tokens[0].word}” to ` +
    `“${tokens.at(-1).word}”. Arrow keys move through it, Enter plays.`
  );
}

function showHead(point, head) {
  Object.assign(selection, { view: "head", point, head });
  gridView = false;
  draw();
  $("views").querySelector('[data-view="head"]').focus(); // what was chosen from is gone, and the focus with it
}
