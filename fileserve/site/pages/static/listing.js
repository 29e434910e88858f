// What the listing can do with scripts: sort, filter, keys, menus and the size of the whole.

import { linesForFile, linesForFolder, localName } from "./commands.js";
import { commandHint, toggleMenu } from "./menu.js";
import { bindSwitch, isTaken, lettersAct } from "./shortcuts.js";
import { humanSize } from "./sizes.js";
import { forgetArrival, sortRows } from "./sorting.js";

const table = document.querySelector("table[role=table]");
const field = document.querySelector("#search");
const status = document.querySelector("#status");
const totals = document.querySelector("main > .totals");
let allTotals = totals?.textContent;
const HINT = commandHint();
const FOLDER_HINT = `${HINT} The others fetch file by file.`;

document.documentElement.classList.add("scripted");
bindSwitch(document.querySelector("#letters"));
if (table) {
  table.addEventListener("click", sortByClick);
  table.addEventListener("click", openRowMenu);
}
document.querySelector(".more-folder")?.addEventListener("click", openFolderMenu);
document.addEventListener("click", closeChoices);
document.addEventListener("keydown", actOnKey);
field?.addEventListener("input", filterSoon);
if (document.querySelector(".whole-size")) void tellWholeSize();
// Readers do not load what is for writers.
if (document.querySelector("#upload")) void import("./upload.js").then((upload) => upload.bindUpload(refresh));

function sortByClick(event) {
  const link = event.target.closest("thead a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const { search } = link;
  const query = new URLSearchParams(search);
  sortRows(table, query.get("sort"), query.get("order"));
  // What a search found is sorted here only; a reload searches again.
  if (!field?.defaultValue) history.replaceState(null, "", search);
  status.textContent = `Sorted by ${query.get("sort")}, ${query.get("order")}ending`;
}

// Filtering: one pass over names that were read once, and no more often than the screen is drawn.

let names = null;
let isWaiting = false;

function filterSoon() {
  if (!table || isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    filterRows(field.value.trim().toLowerCase());
  });
}

function filterRows(words) {
  names ??= [...table.querySelectorAll("tbody > tr")].map((row) => [row, row.cells[0].textContent.toLowerCase()]);
  let count = 0;
  for (const [row, name] of names) {
    const isShown = name.includes(words);
    if (row.hidden === isShown) row.hidden = !isShown;
    count += isShown;
  }
  for (const group of table.tBodies) {
    group.hidden = !group.querySelector("tr:not([hidden])");
  }
  document.querySelector("#nothing").hidden = count > 0;
  status.textContent = words ? `${count} of ${names.length} shown` : "";
  totals.textContent = words ? status.textContent : allTotals;
}

// What came or went since the page was loaded; the order of the rows is in the address.
async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  const made = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = made.querySelector("table[role=table]");
  if (!table || !fresh) {
    location.reload();
    await new Promise(() => {});
  }
  table.replaceChildren(...fresh.childNodes);
  allTotals = made.querySelector("main > .totals").textContent;
  totals.textContent = allTotals;
  names = null;
  forgetArrival();
  if (field.value) filterRows(field.value.trim().toLowerCase());
  void tellWholeSize();
}

// Menus.

function openRowMenu(event) {
  const button = event.target.closest(".more");
  if (!button) return;
  const row = button.closest("tr");
  const link = row.querySelector("th a");
  const isFolder = row.classList.contains("folder");
  const subject = isFolder ? folderSubject(link.href) : fileSubject(row, link);
  if (document.querySelector("#upload")) subject.deeds = deedsOf(link);
  toggleMenu(button, subject);
}

function deedsOf(link) {
  const name = link.querySelector(":scope > bdi").textContent;
  const doing = (deed) => async () => {
    const isDone = await (await import("./manage.js"))[deed](link.href, name);
    if (isDone) await refresh();
  };
  return [["Rename…", doing("rename")], ["Delete…", doing("remove")]];
}

function openFolderMenu(event) {
  toggleMenu(event.currentTarget, folderSubject(new URL("./", location.href).href));
}

function fileSubject(row, link) {
  const view = row.querySelector(".view");
  const links = [["Download", `${link.href}?download`, true], ["Details", `${link.href}?view`, false]];
  if (view) links[1] = [view.textContent, view.href, false];
  links.push(["Open file", link.href, false]);
  const isMedia = row.classList.contains("video") || row.classList.contains("audio");
  const lines = [["Link", link.href], ...linesForFile(link.href, isMedia)];
  return { title: link.querySelector(":scope > bdi").textContent, links, lines, hint: HINT, qr: `${link.href}?qr` };
}

function folderSubject(url) {
  const links = [["Download ZIP", `${url}?archive=zip`, true], ["Download tar", `${url}?archive=tar`, true]];
  const lines = [["Link", url], ...linesForFolder(url)];
  return { title: localName(url).replace(/^\.\//, ""), links, lines, hint: FOLDER_HINT, qr: `${url}?qr` };
}

function closeChoices(event) {
  const open = document.querySelector(".choices[open]");
  if (open && !open.contains(event.target)) open.open = false;
}

// Keys.

function actOnKey(event) {
  if (event.key === "Escape") return leave(event);
  if (event.key === "ArrowDown" && event.target === field) return move(event, 1);
  if (isTaken(event)) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? (lettersAct() ? { j: 1, k: -1 }[event.key] : undefined);
  if (step) move(event, step);
  else if (event.key === "Backspace") goUp(event);
  else if (event.key === "/" && lettersAct() && field) {
    event.preventDefault();
    field.focus();
    field.select();
  }
}

function leave(event) {
  const choices = document.querySelector(".choices[open]");
  if (choices) {
    choices.open = false;
    choices.querySelector("summary").focus();
  } else if (event.target === field && field.value) {
    event.preventDefault();
    field.value = field.defaultValue;
    filterSoon();
  }
}

function goUp(event) {
  const up = document.querySelector("nav a[rel=up]");
  if (!up) return;
  event.preventDefault();
  up.click();
}

// From row to row, past those that the filter hides; the first key press takes the first row.
function move(event, step) {
  if (!table) return;
  const here = document.activeElement.closest?.("tbody > tr");
  const there = here ? neighbour(here, step) : table.querySelector("tbody:not([hidden]) > tr:not([hidden])");
  if (!there) return;
  event.preventDefault();
  const link = there.querySelector("th a");
  link.focus({ preventScroll: true });
  link.scrollIntoView({ block: "nearest" });
}

function neighbour(row, step) {
  const next = step > 0 ? "nextElementSibling" : "previousElementSibling";
  const edge = step > 0 ? "firstElementChild" : "lastElementChild";
  let at = row;
  do {
    const group = at.parentElement;
    at = at[next];
    for (let other = group[next]; !at && other?.tagName === "TBODY"; other = other[next]) at = other[edge];
  } while (at?.hidden);
  return at;
}

// The server plans the archive to tell its size: asked for once the page is quiet, not waited for.
async function tellWholeSize() {
  const words = document.querySelector(".whole-size");
  const leaving = new AbortController();
  addEventListener("pagehide", () => leaving.abort(), { once: true });
  try {
    await new Promise((resolve) => { (window.requestIdleCallback ?? setTimeout)(resolve); });
    const answer = await fetch("?archive=zip", { method: "HEAD", signal: leaving.signal });
    // There is none; unless it is read, Chromium counts the request as broken off.
    await answer.arrayBuffer();
    const length = answer.headers.get("content-length");
    const isTold = answer.ok && length !== null && answer.headers.get("content-type")?.includes("zip");
    words.textContent = isTold ? `, ${humanSize(Number(length))}` : "";
    words.closest("a").title = isTold ? `${Number(length).toLocaleString("en")} bytes` : "";
  } catch {
    // Without its size the button says less, and works as well.
  }
}
