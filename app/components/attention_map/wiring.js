// What the controls do, and the start. Comes last.

const listening = new AbortController(); // ends what listens outside of the element
document.addEventListener("play", onPlay, { capture: true, signal: listening.signal });
for (const name of ["pause", "seeked", "ended", "timeupdate"]) {
  audio.addEventListener(name, () => {
    if (!animationFrame) animationFrame = requestAnimationFrame(tick);
  });
}
audio.addEventListener("pause", () => {
  sliceEnd = Infinity;
});

stage.addEventListener("pointermove", (event) => passage && selectCell(cellAt(event)));
stage.addEventListener("pointerleave", () => passage && selectCell(null));
stage.addEventListener("click", (event) => {
  if (!passage) return;
  selectCell(cellAt(event));
  playMoment(timeOf(passage, cell.column));
});
stage.addEventListener("keydown", onKey);
stage.addEventListener("focus", () => {
  if (passage && !cell && stage.matches(":focus-visible")) selectCell({ row: passage.path[0], column: passage.path[1] });
});
stage.addEventListener("blur", () => passage && selectCell(null));

$("views").addEventListener("click", (event) => {
  const { view } = event.target.dataset;
  if (!view) return;
  gridView = view === "grid";
  if (!gridView) selection.view = view;
  draw();
});
$("point").addEventListener("change", (event) => {
  selection.point = Number(event.target.value);
  draw();
});
$("head").addEventListener("change", (event) => {
  selection.view = event.target.value === "mean" ? "point" : "head";
  if (selection.view === "head") selection.head = Number(event.target.value);
  draw();
});
$("normalize").addEventListener("change", (event) => {
  selection.normalize = event.target.value;
  draw();
});
for (const name of ["with-path", "with-words"]) $(name).addEventListener("change", draw);
for (const [name, by] of [["out", -1], ["in", 1]]) {
  $(name).addEventListener("click", () => {
    zoom = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, ZOOMS.indexOf(zoom) + by))];
    resize();
  });
}
for (const [name, by] of [["previous", -1], ["next", 1]]) {
  $(name).addEventListener("click", () => goToPassage(passage.index + by));
}
for (const [name, tokens] of [["show-words", false], ["show-tokens", true]]) {
  $(name).addEventListener("click", () => {
    tokenView = tokens;
    fillStrip();
  });
}
$("details").addEventListener("toggle", draw);
$("copy").addEventListener("click", share);
$("export").addEventListener("click", () => {
  trigger("export", { ...selection, direction: payload.direction, result: payload.result });
});

new ResizeObserver(resize).observe($("frame"));
const themes = new MutationObserver(resize);
for (const node of [document.documentElement, document.body]) {
  themes.observe(node, { attributes: true, attributeFilter: ["class"] });
}

update();
watch("value", update);
