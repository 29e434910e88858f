// What the view page can do with scripts: keys, the remembered position, speed and menus.

import { bindCopy } from "./clipboard.js";
import { linesForFile } from "./commands.js";
import { commandHint, toggleMenu } from "./menu.js";
import { recall, remember, forget } from "./positions.js";
import { bindSwitch, isTaken, lettersAct } from "./shortcuts.js";

const STEP_SECONDS = 5;
const VOLUME_STEP = 0.05;
const SAVE_EVERY_SECONDS = 5;

const media = document.querySelector("#media");
const picture = document.querySelector("#picture");
const speed = document.querySelector("#speed");
const file = new URL(document.body.dataset.file, location.href).href;
const etag = document.body.dataset.etag;
const title = document.querySelector("h1").textContent;

document.documentElement.classList.add("scripted");
bindSwitch(document.querySelector("#letters"));
document.querySelector(".more-folder").addEventListener("click", openMenu);
// Before the player's own keys, which would act a second time.
document.addEventListener("keydown", actOnKey, { capture: true });
if (media) bindMedia();
if (picture) bindPicture();
const digest = document.querySelector("#sha256");
if (digest) bindCopy(document.querySelector("#copy-sha256"), digest);
const following = document.querySelector("#follow");
if (following) void import("./following.js").then((module) => module.bindFollow(following, file));

function openMenu(event) {
  const links = [["Download", `${file}?download`, true], ["Open file", file, false]];
  const lines = [["Link", file], ...linesForFile(file, Boolean(media))];
  toggleMenu(event.currentTarget, { title, links, lines, hint: commandHint(), qr: `${file}?qr` });
}

// The player.

function bindMedia() {
  const isKnown = media.readyState >= HTMLMediaElement.HAVE_METADATA;
  if (isKnown) takeUp();
  else media.addEventListener("loadedmetadata", takeUp, { once: true });
  media.addEventListener("error", tellFailure);
  if (media.error) tellFailure();
  media.addEventListener("timeupdate", saveNowAndThen);
  media.addEventListener("pause", save);
  media.addEventListener("ended", () => forget(file));
  addEventListener("pagehide", save);
  speed.addEventListener("change", () => { media.playbackRate = Number(speed.value); });
  media.addEventListener("ratechange", showSpeed);
  document.querySelector("#restart").addEventListener("click", startOver);
}

// Who came here by "Play" wants to hear it; who opened a link may sit in a library.
function takeUp() {
  const position = recall(file, etag, media.duration);
  if (position !== null) {
    media.currentTime = position;
    document.querySelector("#resumed").textContent = `Continues at ${clock(position)}`;
    document.querySelector("#restart").hidden = false;
  }
  const from = document.referrer && new URL(document.referrer);
  if (from && from.origin === location.origin) media.play().catch(() => {});
}

function startOver() {
  media.currentTime = 0;
  document.querySelector("#resumed").textContent = "";
  document.querySelector("#restart").hidden = true;
  media.focus();
}

let savedAt = 0;

function saveNowAndThen() {
  if (Math.abs(media.currentTime - savedAt) >= SAVE_EVERY_SECONDS) save();
}

function save() {
  if (media.ended || !media.currentTime) return;
  savedAt = media.currentTime;
  remember(file, etag, media.currentTime);
}

function showSpeed() {
  const isOffered = [...speed.options].some((option) => Number(option.value) === media.playbackRate);
  if (isOffered) speed.value = String(media.playbackRate);
}

function tellFailure() {
  const line = linesForFile(file, true)[0][1];
  document.querySelector("#failure-line").textContent = media ? line : file;
  document.querySelector("#failure").hidden = false;
}

function bindPicture() {
  picture.addEventListener("error", tellFailure);
  if (picture.complete && !picture.naturalWidth) tellFailure();
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  return [Math.floor(whole / 3600), ...parts].join(":");
}

// Keys.

const PLAYER_KEYS = {
  " ": () => (media.paused ? media.play().catch(() => {}) : media.pause()),
  ArrowLeft: () => seek(-STEP_SECONDS),
  ArrowRight: () => seek(STEP_SECONDS),
  ArrowUp: () => changeVolume(VOLUME_STEP),
  ArrowDown: () => changeVolume(-VOLUME_STEP),
};
const PLAYER_LETTERS = {
  f: toggleFullscreen,
  m: () => { media.muted = !media.muted; },
  c: toggleSubtitles,
  "<": () => changeSpeed(-1),
  ">": () => changeSpeed(1),
};
const OTHER_KEYS = { ArrowLeft: () => follow("prev"), ArrowRight: () => follow("next") };
const PAGE_KEYS = { Backspace: () => follow("up") };
const PAGE_LETTERS = { p: () => follow("prev"), n: () => follow("next") };

function actOnKey(event) {
  if (isTaken(event) || belongsToControl(event)) return;
  const letters = lettersAct() ? { ...PAGE_LETTERS, ...(media ? PLAYER_LETTERS : {}) } : {};
  const action = { ...PAGE_KEYS, ...(media ? PLAYER_KEYS : OTHER_KEYS), ...letters }[event.key];
  if (!action || action() === false) return;
  event.preventDefault();
  event.stopPropagation();
}

// The space bar presses the button that has the focus, as everywhere.
function belongsToControl(event) {
  return event.key === " " && Boolean(event.target.closest?.("a, button, summary"));
}

function seek(seconds) {
  const end = Number.isFinite(media.duration) ? media.duration : Infinity;
  media.currentTime = Math.min(Math.max(media.currentTime + seconds, 0), end);
}

function changeVolume(step) {
  media.volume = Math.min(Math.max(media.volume + step, 0), 1);
}

function changeSpeed(step) {
  const index = Math.min(Math.max(speed.selectedIndex + step, 0), speed.options.length - 1);
  speed.selectedIndex = index;
  media.playbackRate = Number(speed.value);
}

function toggleFullscreen() {
  if (document.fullscreenElement) void document.exitFullscreen();
  else media.requestFullscreen?.().catch(() => {});
}

function toggleSubtitles() {
  const tracks = [...media.textTracks];
  const shown = tracks.findIndex((track) => track.mode === "showing");
  tracks.forEach((track, index) => { track.mode = index === shown + 1 ? "showing" : "disabled"; });
}

// False where there is nothing to follow: the key is the browser's then.
function follow(rel) {
  const link = document.querySelector(`a[rel=${rel}]`);
  if (!link) return false;
  link.click();
  return true;
}
