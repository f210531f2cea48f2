"use strict";

// Everything that comes from the server, from file names or from labels is shown through textContent alone.

const MOST_AT_ONCE = 4; // Requests; the others wait for their turn.
const MEBIBYTE = 1048576;
const byId = (id) => document.getElementById(id);
const results = byId("results");
const waiting = [];
let running = 0;
let tally = { photos: 0, labelled: 0, refused: 0 }; // Since nothing was waiting.
let limits = { image_bytes: 32 * MEBIBYTE };
let severalLabels = false; // An image may have several.

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function say(text) {
  byId("status").textContent = text;
}

// Shares are shown in percent, other scores as numbers.
function shown(score) {
  if (score === null) return "no number";
  if (score < 0 || score > 1) return score.toPrecision(4);
  const percent = 100 * score;
  if (percent > 99.9 && percent < 100) return "> 99.9%";
  return percent > 0 && percent < 0.1 ? "< 0.1%" : `${percent.toFixed(1)}%`;
}

// Tells of one photo what became of it, and of several how many are labelled.
function sayHowFar(ofOne) {
  const refused = tally.refused ? `, ${tally.refused} refused` : "";
  say(tally.photos > 1 ? `${tally.photos} photos: ${tally.labelled} labelled${refused}.` : ofOne);
}

// ---- The classifier

async function showModel() {
  let model;
  try {
    const response = await fetch("model");
    model = await response.json();
    if (!response.ok) throw new Error(model.error);
  } catch {
    byId("model").textContent = "The server does not answer. Reload this page when it runs again.";
    return;
  }
  limits = model.limits;
  const facts = [model.name];
  if (model.network && model.network !== model.name) facts.push(model.network);
  if (model.input) facts.push(`input ${model.input.width} × ${model.input.height} pixels`);
  if (model.test_accuracy !== undefined) {
    facts.push(`accuracy ${(100 * model.test_accuracy).toFixed(1)}% on ${model.test_images} test images`);
  }
  severalLabels = model.multi_label;
  if (severalLabels) facts.push("an image may have several labels, or none");
  byId("model").textContent = facts.join(" · ");
  byId("label-count").textContent = `${model.labels.length} labels`;
  byId("labels").append(...model.labels.map((label) => make("li", "label", label)));
  byId("all-labels").hidden = false;
}

// ---- Labelling

function add(files) {
  const cards = [...files].map((file) => ({ file, card: newCard(file) }));
  if (!cards.length) return;
  results.prepend(...cards.map((each) => each.card.item));
  byId("clear").hidden = false;
  if (!running && !waiting.length) tally = { photos: 0, labelled: 0, refused: 0 };
  tally.photos += cards.length;
  waiting.push(...cards);
  sayHowFar(`Labelling ${cards[0].file.name} …`);
  next();
}

function newCard(file) {
  const item = make("li", "card");
  const preview = make("img", "preview");
  preview.alt = "";
  preview.addEventListener("error", () => preview.replaceWith(make("div", "preview"))); // Not every browser knows every format.
  preview.src = URL.createObjectURL(file);
  const text = make("div");
  const name = make("h3", "name", file.name);
  const content = make("div");
  content.append(make("p", "waiting", "Waiting …"));
  text.append(name, content);
  item.append(preview, text);
  return { item, preview, content };
}

function next() {
  while (running < MOST_AT_ONCE && waiting.length) {
    running += 1;
    label(waiting.shift()).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function label({ file, card }) {
  let parts, result;
  try {
    const answer = await classify(file);
    parts = answerParts(answer);
    const best = bestOf(answer).map(({ label, score }) => `${label}, ${shown(score)}`);
    result = best.length ? `${best.join("; ")}.` : "no label is above its threshold.";
  } catch (error) {
    parts = [make("p", "error", `Error: ${error.message}`)];
    result = error.message;
  }
  if (!card.item.isConnected) return; // The results were cleared meanwhile.
  card.content.replaceChildren(...parts);
  tally[parts[0].className === "error" ? "refused" : "labelled"] += 1;
  sayHowFar(`${file.name}: ${result}`);
}

async function classify(file) {
  if (file.size > limits.image_bytes) {
    throw new Error(`The file is larger than ${Math.floor(limits.image_bytes / MEBIBYTE)} MiB. Choose a smaller one.`);
  }
  let response;
  try {
    response = await fetch("classify", { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Error(`The server answered with status ${response.status}.`);
  }
  if (!response.ok) throw new Error(answer.error);
  return answer[0];
}

// The best prediction; of images with several labels, all whose score is above the threshold.
function bestOf(answer) {
  return severalLabels ? answer.predictions : answer.predictions.slice(0, 1);
}

function answerParts(answer) {
  if (!answer.predictions.length) return [make("p", "best", "No label is above its threshold.")];
  const list = make("ol", "answers");
  list.append(...answer.predictions.map(({ label, score }) => {
    const item = make("li", "answer");
    const track = make("span", "track");
    const bar = make("span", "bar");
    bar.style.width = `${100 * Math.min(1, Math.max(0, score))}%`;
    track.setAttribute("aria-hidden", "true");
    track.append(bar);
    item.append(make("span", "label", label), make("span", "value", shown(score)), track);
    return item;
  }));
  return [make("p", "best label", bestOf(answer).map(({ label }) => label).join(", ")), list];
}

function clear() {
  waiting.length = 0;
  tally = { photos: 0, labelled: 0, refused: 0 };
  for (const preview of results.querySelectorAll("img")) URL.revokeObjectURL(preview.src);
  results.replaceChildren();
  byId("clear").hidden = true;
  say("No photo yet.");
  byId("files").focus();
}

// ---- Files, drops and pastes

byId("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = ""; // So that the same file can be chosen again.
});
byId("clear").addEventListener("click", clear);

let depth = 0; // Of the elements that a file is dragged over.
const drop = byId("drop");
const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
document.addEventListener("dragenter", (event) => {
  if (!hasFiles(event)) return;
  depth += 1;
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!hasFiles(event)) return;
  depth = Math.max(0, depth - 1);
  if (!depth) drop.classList.remove("over");
});
document.addEventListener("dragover", (event) => {
  if (hasFiles(event)) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  depth = 0;
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  const files = event.clipboardData ? event.clipboardData.files : [];
  if (files.length) {
    event.preventDefault();
    add(files);
  } else {
    say("There is no image in the clipboard.");
  }
});

// ---- The camera

const video = byId("video");
const openCamera = byId("open-camera");

openCamera.addEventListener("click", async () => {
  openCamera.disabled = true;
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    const denied = error.name === "NotAllowedError";
    say(denied ? "The browser does not allow the camera. Allow it for this page, and try again." : "There is no camera that can be used.");
    return;
  } finally {
    openCamera.disabled = false;
  }
  byId("camera").hidden = false;
  openCamera.hidden = true;
  byId("shoot").focus();
});

byId("close-camera").addEventListener("click", () => {
  for (const track of video.srcObject.getTracks()) track.stop();
  video.srcObject = null;
  byId("camera").hidden = true;
  openCamera.hidden = false;
  openCamera.focus();
});

let shots = 0;
byId("shoot").addEventListener("click", () => {
  if (!video.videoWidth) {
    say("The camera shows no picture yet.");
    return;
  }
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => {
    shots += 1;
    add([new File([blob], `camera ${shots}.jpg`, { type: "image/jpeg" })]);
  }, "image/jpeg", 0.95);
});

if (!navigator.mediaDevices) openCamera.hidden = true; // Browsers offer the camera to this machine's pages and to https alone.
byId("place").textContent = location.hostname === "localhost" || location.hostname.startsWith("127.") || location.hostname === "[::1]" ? "this computer" : location.host;
showModel();
