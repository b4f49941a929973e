// A microphone that sends its sound about once a second and shows what the server has transcribed so far.
//
// Only one message is under way at a time: the next one is sent when the last is answered, and holds all sound recorded
// since. No sound is lost while the server is busy, and a repeated message does no harm, because each names the sample
// at which it begins. Text from the server is only ever set as text.
const SEND_INTERVAL = 1000; // ms between messages
const ANSWER_TIMEOUT = 60000; // ms after which a message that was not answered is sent again
const SILENCE_TIMEOUT = 4000; // ms without any sound after which the person is told
const PREFERRED_RATE = 16000; // Hz; browsers that cannot give it record at their own rate

const button = element.querySelector(".live-button");
const level = element.querySelector(".live-level");
const clock = element.querySelector(".live-clock");
const note = element.querySelector(".live-note");
const finalText = element.querySelector(".live-text .live-final");
const tentativeText = element.querySelector(".live-text .live-tentative");
const maxSeconds = Number(props.seconds) || 60;

let current = null; // the recording under way: {name, rate, chunks, start, recorded, last, waiting, sentAt, stream, context, timer}

const RECORDER = `registerProcessor("recorder", class extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0] && inputs[0][0]) this.port.postMessage(inputs[0][0].slice());
    return true;
  }
});`;

function showNote(text) {
  note.textContent = text;
}

function microphoneError(error) {
  if (!window.isSecureContext || !navigator.mediaDevices)
    return "A browser only opens the microphone on https or localhost; upload a recording instead.";
  if (error && error.name === "NotAllowedError")
    return "The browser does not allow the microphone; allow it next to the address and try again.";
  if (error && error.name === "NotFoundError") return "No microphone was found.";
  return "The microphone could not be opened.";
}

async function openMicrophone(recording) {
  recording.stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  try {
    recording.context = new AudioContext({ sampleRate: PREFERRED_RATE });
    recording.context.createMediaStreamSource(recording.stream).disconnect();
  } catch {
    recording.context = new AudioContext();
  }
  recording.rate = Math.round(recording.context.sampleRate);
  const module = URL.createObjectURL(new Blob([RECORDER], { type: "text/javascript" }));
  try {
    await recording.context.audioWorklet.addModule(module);
  } finally {
    URL.revokeObjectURL(module);
  }
  const node = new AudioWorkletNode(recording.context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
  node.port.onmessage = (event) => appendSamples(recording, event.data);
  recording.context.createMediaStreamSource(recording.stream).connect(node);
  node.connect(recording.context.destination); // its output is silence; some browsers only run what is connected
  await recording.context.resume();
}

function appendSamples(recording, samples) {
  if (recording.last) return;
  const whole = new Int16Array(samples.length);
  let peak = 0;
  for (let i = 0; i < samples.length; i++) {
    const value = Math.max(-1, Math.min(1, samples[i]));
    whole[i] = Math.round(value * 32767);
    peak = Math.max(peak, Math.abs(value));
  }
  recording.chunks.push(whole);
  recording.recorded += whole.length;
  recording.peak = Math.max(recording.peak, peak);
  if (peak > 0.003) recording.lastSoundAt = performance.now();
}

async function start() {
  const name = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
  const recording = { name, chunks: [], start: 0, recorded: 0, peak: 0, last: false, waiting: false, sentAt: 0 };
  button.disabled = true;
  finalText.textContent = tentativeText.textContent = "";
  showNote("Opening the microphone …");
  try {
    await openMicrophone(recording);
  } catch (error) {
    release(recording);
    showNote(microphoneError(error));
    return;
  } finally {
    button.disabled = false;
  }
  current = recording;
  current.sentAt = current.lastSoundAt = performance.now();
  current.timer = setInterval(tick, 100);
  button.textContent = "Stop and read it all";
  button.setAttribute("aria-pressed", "true");
  showNote("Listening: speak.");
}

function tick() {
  const now = performance.now();
  level.value = Math.min(1, Math.sqrt(current.peak) * 1.2);
  current.peak *= 0.6;
  const seconds = current.recorded / current.rate;
  clock.textContent = `${seconds.toFixed(0)} / ${maxSeconds} s`;
  if (!element.isConnected) return release(current);
  if (!current.last && seconds >= maxSeconds) stop();
  else if (!current.last && now - current.lastSoundAt > SILENCE_TIMEOUT) showNote("The microphone gives no sound; is it muted?");
  else if (!current.last && note.textContent.startsWith("The microphone")) showNote("Listening: speak.");
  if (current.waiting ? now - current.sentAt > ANSWER_TIMEOUT : !current.last && now - current.sentAt >= SEND_INTERVAL) send();
}

function send() {
  let length = 0;
  for (const chunk of current.chunks) length += chunk.length;
  const sound = new Int16Array(length);
  let offset = 0;
  for (const chunk of current.chunks) {
    sound.set(chunk, offset);
    offset += chunk.length;
  }
  current.chunks = [sound];
  current.waiting = true;
  current.sentAt = performance.now();
  const message = { recording: current.name, rate: current.rate, start: current.start, sound: base64(sound), last: current.last };
  trigger("chunk", message);
}

function base64(sound) {
  const bytes = new Uint8Array(sound.buffer); // little-endian on every machine that runs a browser
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

function stop() {
  current.last = true;
  release(current, true);
  button.textContent = "Start speaking";
  button.setAttribute("aria-pressed", "false");
  button.disabled = true;
  showNote("Reading the rest …");
  if (!current.waiting) send();
}

function release(recording, keepTimer) {
  if (recording.stream) recording.stream.getTracks().forEach((track) => track.stop());
  if (recording.context && recording.context.state !== "closed") recording.context.close();
  if (recording.timer && !keepTimer) clearInterval(recording.timer);
  level.value = 0;
}

function endRecording(text) {
  release(current);
  current = null;
  button.disabled = false;
  button.textContent = "Start speaking";
  button.setAttribute("aria-pressed", "false");
  showNote(text);
}

function dropReceived(received) {
  let rest = received - current.start;
  while (rest > 0 && current.chunks.length) {
    const chunk = current.chunks[0];
    if (chunk.length <= rest) current.chunks.shift();
    else current.chunks[0] = chunk.slice(rest);
    rest -= chunk.length;
  }
  current.start = received;
}

watch("value", () => {
  const answer = props.value;
  if (!current || !answer || answer.recording !== current.name) return;
  current.waiting = false;
  if (answer.problem && answer.received === undefined) return endRecording(answer.problem); // the server holds no sound of it
  if (answer.problem) showNote(answer.problem);
  dropReceived(answer.received);
  finalText.textContent = answer.final;
  tentativeText.textContent = answer.tentative;
  finalText.parentElement.scrollTop = finalText.parentElement.scrollHeight;
  if (answer.finished) {
    endRecording(answer.problem ? answer.problem : answer.full ? `That was ${maxSeconds} s, the most for a live recording; all words are final.` : "All words are final.");
    trigger("finished", {});
  } else if (current.last) send();
});

button.addEventListener("click", () => (current ? stop() : start()));
if (!window.isSecureContext || !navigator.mediaDevices) showNote(microphoneError());
