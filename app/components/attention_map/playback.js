// The sound, and what moves with it. Nothing else is drawn while it plays.

function play({ start, end }) {
  if (!payload?.audio) return;
  const from = Math.max(0, start);
  driver = audio;
  sliceStart = from;
  sliceEnd = Math.max(end, from + SHORTEST);
  audio.currentTime = from;
  audio.play().catch(() => {}); // a click that is followed by another
}

function stop() {
  audio.pause();
  sliceEnd = Infinity;
}

function tick() {
  frame = 0;
  if (driver === audio && audio.currentTime >= sliceEnd) {
    stop();
    audio.currentTime = sliceStart; // so that the cursor rests on what was chosen
  }
  moveCursor();
  if (!driver.paused && !driver.ended && element.isConnected) frame = requestAnimationFrame(tick);
}

/** The cursor, the spoken word and the dot on the path: all that changes while sound plays. */
function moveCursor() {
  if (!passage || !place) return;
  const time = driver.currentTime;
  const idle = driver.paused && (time === 0 || driver.ended);
  for (const track of tracks) highlight(track, idle ? null : time);
  const inside = !idle && time >= passage.start && time <= passage.start + passage.seconds;
  for (const name of ["cursor", "dot", "band"]) $(name).hidden = !inside;
  if (!inside) {
    if (!driver.paused) turnTo(time);
    return;
  }
  const x = xOf(time, place, passage);
  const row = rowAt(passage, time);
  $("cursor").style.transform = `translateX(${x}px)`;
  $("cursor").style.height = `${place.axis}px`;
  $("cursor").dataset.seconds = time.toFixed(3);
  $("dot").style.transform = `translate(${x}px, ${(row + 0.5) * place.row}px)`;
  const word = passage.words[spokenAt(passage.words, time)];
  $("band").hidden = !word;
  if (word) {
    const left = xOf(word.start, place, passage);
    $("band").style.transform = `translateX(${left}px)`;
    $("band").style.width = `${Math.max(1, xOf(word.end, place, passage) - left)}px`;
    $("band").style.height = `${place.axis}px`;
  }
  if (!driver.paused) follow(x);
}

/** Turn the page to the passage that is being played. */
function turnTo(time) {
  const index = payload.passages.findLastIndex((raw) => raw.start <= time);
  const raw = payload.passages[index];
  if (raw && index !== wanted && time < raw.start + raw.shape[3] * payload.seconds_per_token) goTo(index);
}

function onPlay(event) {
  if (!element.isConnected) return listening.abort();
  const player = event.target;
  const streamed = props.player && player.closest?.(props.player);
  if (player !== audio && !streamed) return void audio.pause(); // another map or recording speaks
  driver = player;
  if (player !== audio) stop();
  if (passage) ask(passage.index + 1); // the sound will soon be there
  if (!frame) frame = requestAnimationFrame(tick);
}
