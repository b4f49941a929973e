// The sound, and what moves with it. Nothing else is drawn while it plays.

function play({ start, end }) {
  if (!payload?.audio) return;
  const from = Math.max(0, start);
  activePlayer = audio;
  sliceStart = from;
  sliceEnd = Math.max(end, from + MIN_SLICE_SECONDS);
  audio.currentTime = from;
  audio.play().catch(() => {}); // a click that is followed by another
}

function stop() {
  audio.pause();
  sliceEnd = Infinity;
}

function tick() {
  animationFrame = 0;
  if (activePlayer === audio && audio.currentTime >= sliceEnd) {
    stop();
    audio.currentTime = sliceStart; // so that the cursor rests on what was chosen
  }
  moveCursor();
  if (!activePlayer.paused && !activePlayer.ended && element.isConnected) animationFrame = requestAnimationFrame(tick);
}

/** The cursor, the spoken word and the dot on the path: all that changes while sound plays. */
function moveCursor() {
  if (!passage || !layout) return;
  const time = activePlayer.currentTime;
  const idle = activePlayer.paused && (time === 0 || activePlayer.ended);
  for (const track of tracks) highlight(track, idle ? null : time);
  const inside = !idle && time >= passage.start && time <= passage.start + passage.seconds;
  for (const name of ["cursor", "dot", "band"]) $(name).hidden = !inside;
  if (!inside) {
    if (!activePlayer.paused) goToPlayedPassage(time);
    return;
  }
  const x = xOf(time, layout, passage);
  const row = rowAt(passage, time);
  $("cursor").style.transform = `translateX(${x}px)`;
  $("cursor").style.height = `${layout.axis}px`;
  $("cursor").dataset.seconds = time.toFixed(3);
  $("dot").style.transform = `translate(${x}px, ${(row + 0.5) * layout.row}px)`;
  const word = passage.words[itemIndexAt(passage.words, time)];
  $("band").hidden = !word;
  if (word) {
    const left = xOf(word.start, layout, passage);
    $("band").style.transform = `translateX(${left}px)`;
    $("band").style.width = `${Math.max(1, xOf(word.end, layout, passage) - left)}px`;
    $("band").style.height = `${layout.axis}px`;
  }
  if (!activePlayer.paused) keepInView(x);
}

/** Turn the page to the passage that is being played. */
function goToPlayedPassage(time) {
  const index = payload.passages.findLastIndex((raw) => raw.start <= time);
  const raw = payload.passages[index];
  if (raw && index !== wantedPassage && time < raw.start + raw.shape[3] * payload.seconds_per_token) goToPassage(index);
}

function onPlay(event) {
  if (!element.isConnected) return listening.abort();
  const player = event.target;
  const streamed = props.player && player.closest?.(props.player);
  if (player !== audio && !streamed) return void audio.pause(); // another map or recording speaks
  activePlayer = player;
  if (player !== audio) stop();
  if (passage) requestPassage(passage.index + 1); // the sound will soon be there
  if (!animationFrame) animationFrame = requestAnimationFrame(tick);
}
