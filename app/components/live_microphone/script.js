// A microphone that sends its sound about once a second and shows what the server has read of it so far.
//
// One message is under way at a time: the next one goes out when the last is answered, and holds everything that was
// recorded since. So nothing is lost while the server is busy, and a message that comes twice does no harm, as it
// names the sample at which it begins. Text from the server is only ever set as text.
const EVERY = 1000; // ms between messages
const ANSWER = 60000; // ms after which a message that was not answered is sent again
const SILENCE = 4000; // ms without any sound after which the person is told
const WANTED_RATE = 16000; // Hz; browsers that cannot give it record at their own rate

const button = element.querySelector(".live-button");
const level = element.querySelector(".live-level");
const clock = element.querySelector(".live-clock");
const note = element.querySelector(".live-note");
const finalText = element.querySelector(".live-text .live-final");
const tentativeText = element.querySelector(".live-text .live-tentative");
const most = Number(props.seconds) || 60;

let take = null; // the recording: {name, rate, chunks, start, recorded, last, waiting, sentAt, stream, context, timer}

const RECORDER = `registerProcessor("recorder", class extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0] && inputs[0][0]) this.port.postMessage(inputs[0][0].slice());
    return true;
  }
});`;

function say(text) {
  note.textContent = text;
}

function refusal(error) {
  if (!window.isSecureContext || !navigator.mediaDevices)
    return "A browser only opens the microphone on https or localhost; upload a recording instead.";
  if (error && error.name === "NotAllowedError")
    return "The browser does not allow the microphone; allow it next to the address and try again.";
  if (error && error.name === "NotFoundError") return "No microphone was found.";
  return "The microphone could not be opened.";
}

async function listen(fresh) {
  fresh.stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  try {
    fresh.context = new AudioContext({ sampleRate: WANTED_RATE });
    fresh.context.createMediaStreamSource(fresh.stream).disconnect();
  } catch {
    fresh.context = new AudioContext();
  }
  fresh.rate = Math.round(fresh.context.sampleRate);
  const module = URL.createObjectURL(new Blob([RECORDER], { type: "text/javascript" }));
  try {
    await fresh.context.audioWorklet.addModule(module);
  } finally {
    URL.revokeObjectURL(module);
  }
  const node = new AudioWorkletNode(fresh.context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
  node.port.onmessage = (event) => keep(fresh, event.data);
  fresh.context.createMediaStreamSource(fresh.stream).connect(node);
  node.connect(fresh.context.destination); // its output is silence; some browsers only run what is connected
  await fresh.context.resume();
}

function keep(fresh, samples) {
  if (fresh.last) return;
  const whole = new Int16Array(samples.length);
  let peak = 0;
  for (let i = 0; i < samples.length; i++) {
    const value = Math.max(-1, Math.min(1, samples[i]));
    whole[i] = Math.round(value * 32767);
    peak = Math.max(peak, Math.abs(value));
  }
  fresh.chunks.push(whole);
  fresh.recorded += whole.length;
  fresh.peak = Math.max(fresh.peak, peak);
  if (peak > 0.003) fresh.heardAt = performance.now();
}

async function start() {
  const name = Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
  const fresh = { name, chunks: [], start: 0, recorded: 0, peak: 0, last: false, waiting: false, sentAt: 0 };
  button.disabled = true;
  finalText.textContent = tentativeText.textContent = "";
  say("Opening the microphone …");
  try {
    await listen(fresh);
  } catch (error) {
    release(fresh);
    say(refusal(error));
    return;
  } finally {
    button.disabled = false;
  }
  take = fresh;
  take.sentAt = take.heardAt = performance.now();
  take.timer = setInterval(tick, 100);
  button.textContent = "Stop and read it all";
  button.setAttribute("aria-pressed", "true");
  say("Listening: speak.");
}

function tick() {
  const now = performance.now();
  level.value = Math.min(1, Math.sqrt(take.peak) * 1.2);
  take.peak *= 0.6;
  const seconds = take.recorded / take.rate;
  clock.textContent = `${seconds.toFixed(0)} / ${most} s`;
  if (!element.isConnected) return release(take);
  if (!take.last && seconds >= most) stop();
  else if (!take.last && now - take.heardAt > SILENCE) say("The microphone gives no sound; is it muted?");
  else if (!take.last && note.textContent.startsWith("The microphone")) say("Listening: speak.");
  if (take.waiting ? now - take.sentAt > ANSWER : !take.last && now - take.sentAt >= EVERY) send();
}

function send() {
  let length = 0;
  for (const chunk of take.chunks) length += chunk.length;
  const sound = new Int16Array(length);
  let at = 0;
  for (const chunk of take.chunks) {
    sound.set(chunk, at);
    at += chunk.length;
  }
  take.chunks = [sound];
  take.waiting = true;
  take.sentAt = performance.now();
  const message = { take: take.name, rate: take.rate, start: take.start, sound: base64(sound), last: take.last };
  trigger("heard", message);
}

function base64(sound) {
  const bytes = new Uint8Array(sound.buffer); // little-endian on every machine that runs a browser
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

function stop() {
  take.last = true;
  release(take, true);
  button.textContent = "Start speaking";
  button.setAttribute("aria-pressed", "false");
  button.disabled = true;
  say("Reading the rest …");
  if (!take.waiting) send();
}

function release(old, keepTimer) {
  if (old.stream) old.stream.getTracks().forEach((track) => track.stop());
  if (old.context && old.context.state !== "closed") old.context.close();
  if (old.timer && !keepTimer) clearInterval(old.timer);
  level.value = 0;
}

function end(text) {
  release(take);
  take = null;
  button.disabled = false;
  button.textContent = "Start speaking";
  button.setAttribute("aria-pressed", "false");
  say(text);
}

function forget(received) {
  let known = received - take.start;
  while (known > 0 && take.chunks.length) {
    const chunk = take.chunks[0];
    if (chunk.length <= known) take.chunks.shift();
    else take.chunks[0] = chunk.slice(known);
    known -= chunk.length;
  }
  take.start = received;
}

watch("value", () => {
  const answer = props.value;
  if (!take || !answer || answer.take !== take.name) return;
  take.waiting = false;
  if (answer.problem && answer.received === undefined) return end(answer.problem); // the server holds no sound of it
  if (answer.problem) say(answer.problem);
  forget(answer.received);
  finalText.textContent = answer.final;
  tentativeText.textContent = answer.tentative;
  finalText.parentElement.scrollTop = finalText.parentElement.scrollHeight;
  if (answer.finished) {
    end(answer.problem ? answer.problem : answer.full ? `That was ${most} s, the most for a live recording; all words are final.` : "All words are final.");
    trigger("whole", {});
  } else if (take.last) send();
});

button.addEventListener("click", () => (take ? stop() : start()));
if (!window.isSecureContext || !navigator.mediaDevices) say(refusal());
