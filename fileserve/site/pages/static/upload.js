// The upload panel: what is chosen or dropped, a few at a time, and what becomes of it.

import { filesOfDrop, filesOfInput } from "./dropped.js";
import { counted, humanSize } from "./sizes.js";
import { discard, Upload } from "./tus.js";
import { forgetUpload, unfinishedIn } from "./unfinished.js";
import { button, UploadRow } from "./upload_rows.js";

const MAX_AT_ONCE = 3;
// More rows tell nobody more; the others get theirs when their turn comes.
const MAX_WAITING_ROWS = 100;
const MAX_DONE_ROWS = 100;
const SAID = "fileserve:said";

const panel = document.querySelector("#upload");
const list = panel.querySelector("#uploads");
const totals = panel.querySelector("#upload-totals");
const status = panel.querySelector("#upload-status");
const replaces = panel.querySelector("#replace");
const left = panel.querySelector("#unfinished");
const uploads = new Set();
const rows = new Map();
let refresh = () => {};

/** Brings the panel to life; onArrival is called when all that was asked for has arrived. */
export function bindUpload(onArrival) {
  refresh = onArrival;
  bindInput("#choose-files", "#files");
  bindInput("#choose-folder", "#folder");
  addEventListener("dragenter", showTarget);
  addEventListener("dragover", showTarget);
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) hideTarget(); });
  addEventListener("drop", take);
  addEventListener("beforeunload", warn);
  left.addEventListener("click", forgetOne);
  tellUnfinished();
  repeatWords();
  panel.classList.add("ready");
}

function bindInput(opener, chooser) {
  const input = panel.querySelector(chooser);
  panel.querySelector(opener).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add(filesOfInput(input));
    // The same file may be chosen again.
    input.value = "";
  });
}

// Dropping.

function bringsFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

function showTarget(event) {
  if (!bringsFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  document.body.classList.add("dropping");
}

function hideTarget() {
  document.body.classList.remove("dropping");
}

async function take(event) {
  hideTarget();
  if (!bringsFiles(event)) return;
  event.preventDefault();
  try {
    add(await filesOfDrop(event.dataTransfer));
  } catch {
    say("The browser could not read what was dropped.");
  }
}

// The queue.

function add(files) {
  panel.open = true;
  const known = new Set([...uploads].filter((one) => one.state !== "done").map((one) => one.path));
  for (const { file, path } of files) {
    if (known.has(path)) continue;
    const upload = new Upload(file, path, changed);
    upload.replaces = replaces.checked;
    uploads.add(upload);
    if (rows.size < MAX_WAITING_ROWS) show(upload);
  }
  tellUnfinished();
  say(files.length ? `${counted(files.length, "file")} to upload` : "There is no file in it.");
  schedule();
}

function show(upload) {
  const row = new UploadRow(upload, act);
  rows.set(upload, row);
  list.append(row.element);
  return row;
}

function changed(upload) {
  (rows.get(upload) ?? show(upload)).draw();
  if (upload.state === "failed") say(`${upload.path}: ${upload.reason}`);
  if (upload.state === "cancelled") drop(upload);
  if (!upload.isActive && upload.state !== "waiting") schedule();
  tellTotals();
}

function schedule() {
  const all = [...uploads];
  let active = all.filter((one) => one.isActive).length;
  for (const upload of all) {
    if (active >= MAX_AT_ONCE) return;
    if (upload.state !== "waiting") continue;
    active += 1;
    void upload.start();
  }
  if (active === 0) finish(all);
}

function finish(all) {
  const done = all.filter((one) => one.state === "done");
  const isQuiet = all.every((one) => one.state !== "waiting");
  if (!isQuiet || done.length === 0) return;
  const failed = all.filter((one) => one.state === "failed").length;
  const words = `${counted(done.length, "file")} uploaded${failed ? `, ${failed} failed` : ""}`;
  say(words);
  for (const upload of done.slice(0, -MAX_DONE_ROWS)) drop(upload);
  tellUnfinished();
  // An empty folder has no rows to add to, so its page is loaded anew, unless something is left.
  if (done.length === all.length) void refreshSaying(words);
  else if (document.querySelector("table[role=table]")) void refresh();
  else tellNotEmpty();
}

function tellNotEmpty() {
  const empty = document.querySelector("p.empty");
  if (empty !== null) empty.textContent = "Load this page again to see what was uploaded.";
}

async function refreshSaying(words) {
  sessionStorage.setItem(SAID, words);
  await refresh();
  sessionStorage.removeItem(SAID);
}

function repeatWords() {
  const words = sessionStorage.getItem(SAID);
  if (words === null) return;
  sessionStorage.removeItem(SAID);
  panel.open = true;
  say(words);
}

function drop(upload) {
  rows.get(upload)?.element.remove();
  rows.delete(upload);
  uploads.delete(upload);
}

function act(upload, action) {
  if (action === "pause") upload.pause();
  else if (action === "remove") void upload.cancel();
  else if (action === "log in") open(document.querySelector("#upload").dataset.login, "_blank", "noopener");
  else {
    if (action === "replace") upload.replaceExisting();
    upload.tell("waiting");
    schedule();
  }
}

// What is said.

let isTelling = false;

function tellTotals() {
  if (isTelling) return;
  isTelling = true;
  requestAnimationFrame(() => {
    isTelling = false;
    const all = [...uploads];
    const done = all.filter((one) => one.state === "done").length;
    const sent = all.reduce((sum, one) => sum + (one.state === "done" ? one.file.size : one.sent), 0);
    const size = all.reduce((sum, one) => sum + one.file.size, 0);
    totals.textContent = all.length > 1
      ? `${done} of ${counted(all.length, "file")}, ${humanSize(sent)} of ${humanSize(size)}` : "";
  });
}

function say(sentence) {
  status.textContent = sentence;
}

function warn(event) {
  const isBusy = [...uploads].some((one) => one.isActive || one.state === "waiting");
  if (isBusy) event.preventDefault();
}

// What an earlier visit left.

function tellUnfinished() {
  const begun = unfinishedIn(new URL("./", location.href).pathname);
  const known = new Set([...uploads].map((one) => one.key));
  const others = begun.filter((one) => !known.has(one.key));
  left.hidden = others.length === 0;
  if (others.length) panel.open = true;
  left.querySelector("ul").replaceChildren(...others.map(itemOf));
}

function itemOf({ key, url, path, size }) {
  const item = document.createElement("li");
  const name = document.createElement("bdi");
  name.textContent = path;
  const forget = button("discard", path);
  Object.assign(forget.dataset, { key, url });
  item.append(name, ` (${humanSize(size)}) `, forget);
  return item;
}

function forgetOne(event) {
  const { key, url } = event.target.closest("button")?.dataset ?? {};
  if (!key) return;
  forgetUpload(key);
  void discard(url);
  tellUnfinished();
  panel.querySelector("#choose-files").focus();
}
