// Plays speech while it is still being made, chunk by chunk, and hands over to an ordinary audio element at the end.
//
// The value is {run, rate, chunks, url}: chunks grow while the speech is made (base64 of little-endian 16-bit samples),
// url is the whole sound once it is there. A page may only begin to sound after a click or a key, so the first of
// those opens the audio context.
const START = 0.5; // s of sound that must be there before it begins, or the first pause comes at once
const LEAD = 0.05; // s between that and the first sound
const FADE = 0.03; // s of the crossfade to the audio element
const END = 0.1; // s before the end of the sound, from which nothing is worth playing

const note = element.querySelector(".player-note");
const sound = element.querySelector(".player-sound");

let context = null;
let run = null; // what is being played: {id, taken, end, begun, gain, url, timer, over}

function open() {
  context = context || new AudioContext();
  if (context.state === "suspended") context.resume();
}

function begin(id) {
  stop();
  sound.hidden = true;
  note.textContent = "";
  run = { id, taken: 0, waiting: [], end: 0, begun: null, gain: null, over: false };
}

function take(chunk, rate) {
  open();
  const bytes = Uint8Array.from(atob(chunk), (character) => character.charCodeAt(0));
  const samples = new DataView(bytes.buffer);
  const buffer = context.createBuffer(1, bytes.length / 2, rate);
  const channel = buffer.getChannelData(0);
  for (let i = 0; i < channel.length; i++) channel[i] = samples.getInt16(2 * i, true) / 32768;
  run.waiting.push(buffer);
  const seconds = run.waiting.reduce((sum, waiting) => sum + waiting.duration, 0);
  if (run.begun === null && seconds < START) return;
  if (run.begun === null) {
    run.gain = context.createGain();
    run.gain.connect(context.destination);
    run.begun = run.end = context.currentTime + LEAD;
    run.timer = setInterval(tell, 100);
  }
  run.waiting.splice(0).forEach(schedule);
}

function schedule(buffer) {
  const late = context.currentTime - run.end;
  if (late > 0) { // it ran dry; the clock of what was heard stands still meanwhile
    run.begun += late;
    run.end += late;
  }
  const node = context.createBufferSource();
  node.buffer = buffer;
  node.connect(run.gain);
  node.start(run.end);
  run.end += buffer.duration;
}

// Seconds of the speech that were heard so far.
function heard() {
  if (run.begun === null) return 0;
  return Math.max(0, Math.min(context.currentTime, run.end) - run.begun);
}

function tell() {
  if (run && !run.over) note.textContent = `Playing while it is made: ${heard().toFixed(1)} s`;
}

async function finish(url) {
  const mine = run;
  mine.url = url;
  let blob;
  try {
    blob = await (await fetch(url)).blob(); // at hand as a whole, so that it can go on at any moment
  } catch {
    return silence(mine);
  }
  if (run !== mine) return;
  if (sound.src.startsWith("blob:")) URL.revokeObjectURL(sound.src);
  sound.oncanplay = () => {
    sound.oncanplay = null;
    if (run === mine && !mine.over) goOn(mine);
  };
  sound.src = URL.createObjectURL(blob);
  sound.hidden = false;
}

function goOn(mine) {
  const time = heard();
  if (time > sound.duration - END) return silence(mine); // everything was heard
  sound.currentTime = time;
  sound.onplaying = () => {
    sound.onplaying = null;
    silence(mine);
  };
  sound.play().catch(() => silence(mine)); // a browser that wants another click first
}

function silence(old) {
  old.over = true;
  clearInterval(old.timer);
  note.textContent = "";
  if (old.gain) {
    old.gain.gain.setTargetAtTime(0, context.currentTime, FADE / 3);
    setTimeout(() => old.gain.disconnect(), 10 * FADE * 1000);
  }
}

function stop() {
  sound.pause();
  if (run && !run.over) silence(run);
}

function update() {
  const value = props.value;
  if (!value || !value.run) return;
  if (!run || run.id !== value.run) begin(value.run);
  if (value.url && !run.url) return void finish(value.url);
  if (run.over || run.url) return;
  for (; run.taken < value.chunks.length; run.taken++) take(value.chunks[run.taken], value.rate);
}

// Other parts of the page ask for silence with this event, such as the Stop button.
element.addEventListener("silence", stop);
for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, open, { capture: true, once: true });
watch("value", update);
