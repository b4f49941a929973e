// Plays speech while it is still being synthesized, chunk by chunk, and hands over to an audio element at the end.
//
// The value is {run, rate, chunks, url}: chunks grow while the speech is synthesized (base64 of little-endian 16-bit
// samples), url is set once the whole sound exists. Browsers play sound only after a click or a key press, so the first
// of those opens the audio context.
const MIN_BUFFERED = 0.5; // s of sound that must be there before it begins, or playback would run dry at once
const LEAD_TIME = 0.05; // s between that and the first sound
const FADE_TIME = 0.03; // s of the crossfade to the audio element
const END_MARGIN = 0.1; // s before the end of the sound, after which handing over is not worthwhile

const note = element.querySelector(".player-note");
const sound = element.querySelector(".player-sound");

let context = null;
let run = null; // what is played: {id, added, waiting, end, begun, gain, url, timer, over}

function open() {
  context = context || new AudioContext();
  if (context.state === "suspended") context.resume();
}

function begin(id) {
  stop();
  sound.hidden = true;
  note.textContent = "";
  run = { id, added: 0, waiting: [], end: 0, begun: null, gain: null, over: false };
}

function addChunk(chunk, rate) {
  open();
  const bytes = Uint8Array.from(atob(chunk), (character) => character.charCodeAt(0));
  const samples = new DataView(bytes.buffer);
  const buffer = context.createBuffer(1, bytes.length / 2, rate);
  const channel = buffer.getChannelData(0);
  for (let i = 0; i < channel.length; i++) channel[i] = samples.getInt16(2 * i, true) / 32768;
  run.waiting.push(buffer);
  const seconds = run.waiting.reduce((sum, waiting) => sum + waiting.duration, 0);
  if (run.begun === null && seconds < MIN_BUFFERED) return;
  if (run.begun === null) {
    run.gain = context.createGain();
    run.gain.connect(context.destination);
    run.begun = run.end = context.currentTime + LEAD_TIME;
    run.timer = setInterval(showProgress, 100);
  }
  run.waiting.splice(0).forEach(schedule);
}

function schedule(buffer) {
  const late = context.currentTime - run.end;
  if (late > 0) { // the buffer ran dry: shift the start, so that the gap does not count as played
    run.begun += late;
    run.end += late;
  }
  const node = context.createBufferSource();
  node.buffer = buffer;
  node.connect(run.gain);
  node.start(run.end);
  run.end += buffer.duration;
}

// Seconds of the speech that were played so far.
function playedSeconds() {
  if (run.begun === null) return 0;
  return Math.max(0, Math.min(context.currentTime, run.end) - run.begun);
}

function showProgress() {
  if (!run || run.over) return;
  const heard = context.state === "running"; // not where the page was opened by a link and nobody has clicked yet
  note.textContent = heard
    ? `Playing while it is made: ${playedSeconds().toFixed(1)} s`
    : "It can be played as soon as it is made.";
}

async function playWhole(url) {
  const finishing = run;
  finishing.url = url;
  let blob;
  try {
    blob = await (await fetch(url)).blob(); // loaded completely, so that playback can continue at any position
  } catch {
    return fadeOut(finishing);
  }
  if (run !== finishing) return;
  if (sound.src.startsWith("blob:")) URL.revokeObjectURL(sound.src);
  sound.oncanplay = () => {
    sound.oncanplay = null;
    if (run === finishing && !finishing.over) continueInElement(finishing);
  };
  sound.src = URL.createObjectURL(blob);
  sound.hidden = false;
}

function continueInElement(finishing) {
  const time = playedSeconds();
  if (time > sound.duration - END_MARGIN) return fadeOut(finishing); // everything was played
  sound.currentTime = time;
  sound.onplaying = () => {
    sound.onplaying = null;
    fadeOut(finishing);
  };
  sound.play().catch(() => fadeOut(finishing)); // a browser that wants another click first
}

function fadeOut(ending) {
  ending.over = true;
  clearInterval(ending.timer);
  note.textContent = "";
  if (ending.gain) {
    ending.gain.gain.setTargetAtTime(0, context.currentTime, FADE_TIME / 3);
    setTimeout(() => ending.gain.disconnect(), 10 * FADE_TIME * 1000);
  }
}

// Finished speech that was there before anybody asked for it waits until somebody plays it.
function offer({ run: id, url }) {
  run = { id, url, over: true };
  sound.src = url;
  sound.hidden = false;
}

function stop() {
  sound.pause();
  if (run && !run.over) fadeOut(run);
}

function update() {
  const value = props.value;
  if (!value || !value.run) return;
  if (!run || run.id !== value.run) begin(value.run);
  if (value.url && !run.url) return void playWhole(value.url);
  if (run.over || run.url) return;
  for (; run.added < value.chunks.length; run.added++) addChunk(value.chunks[run.added], value.rate);
}

// Other parts of the page, such as the Stop button, end playback with this event.
element.addEventListener("stop-player", stop);
for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, open, { capture: true, once: true });
watch("value", update);
if (props.value?.url) offer(props.value);
