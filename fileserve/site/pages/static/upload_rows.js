// One row for each upload: its name, how far it is, and what can be done about it.

import { humanDuration, humanSize } from "./sizes.js";

const STEP_MILLISECONDS = 250;
// The rate is told of the last few seconds, so that it follows the line.
const WINDOW_MILLISECONDS = 6000;
const WORDS = {
  waiting: "Waiting",
  broken: "The connection broke; trying again",
  paused: "Paused",
  done: "Done",
  cancelled: "Cancelled",
};
const ACTIONS = {
  waiting: ["remove"],
  sending: ["pause", "remove"],
  broken: ["pause", "remove"],
  paused: ["go on", "remove"],
  failed: ["try again", "remove"],
};

/** The row of an upload; onAction(upload, action) is called with an action's name. */
export class UploadRow {
  constructor(upload, onAction) {
    this.upload = upload;
    this.onAction = onAction;
    this.marks = [];
    this.drawn = 0;
    this.shown = "";
    this.element = document.createElement("li");
    this.words = made("span", "words");
    this.bar = made("progress");
    this.buttons = made("span", "buttons");
    this.build();
    this.draw();
  }

  build() {
    const name = document.createElement("bdi");
    name.textContent = this.upload.path;
    this.bar.max = Math.max(this.upload.file.size, 1);
    this.bar.value = 0;
    this.bar.setAttribute("aria-label", this.upload.path);
    this.buttons.addEventListener("click", (event) => {
      const action = event.target.closest("button")?.value;
      if (action) this.onAction(this.upload, action);
    });
    this.element.append(wrapped(name), this.words, this.bar, this.buttons);
  }

  /** Shows the state; progress alone no more often than an eye follows. */
  draw() {
    const now = performance.now();
    const isSame = this.shown === this.upload.state;
    if (isSame && now - this.drawn < STEP_MILLISECONDS) return;
    this.drawn = now;
    this.shown = this.upload.state;
    this.bar.value = this.upload.state === "done" ? this.bar.max : this.upload.sent;
    this.words.textContent = this.sentence(now);
    if (isSame) return;
    this.element.className = this.upload.state;
    this.marks = [];
    this.offer(actionsOf(this.upload));
  }

  sentence(now) {
    const { upload } = this;
    if (upload.state === "failed") return upload.reason;
    if (upload.state !== "sending") return `${WORDS[upload.state]}${this.partWords()}`;
    const rate = this.rate(now);
    const left = rate ? `, ${humanSize(rate)}/s, ${humanDuration((upload.file.size - upload.sent) / rate)} left` : "";
    return `${percent(upload)} of ${humanSize(upload.file.size)}${left}`;
  }

  partWords() {
    const { state, sent, file } = this.upload;
    if (state === "done") return `, ${humanSize(file.size)}`;
    return sent ? ` at ${percent(this.upload)}` : "";
  }

  rate(now) {
    this.marks.push([now, this.upload.sent]);
    while (this.marks.length > 2 && now - this.marks[0][0] > WINDOW_MILLISECONDS) this.marks.shift();
    const [[then, before]] = this.marks;
    return now - then < 1000 ? 0 : Math.max(((this.upload.sent - before) * 1000) / (now - then), 0);
  }

  // The button that has the focus may vanish; its successor takes the focus over.
  offer(actions) {
    const hadFocus = this.buttons.contains(document.activeElement);
    this.buttons.replaceChildren(...actions.map((action) => button(action, this.upload.path)));
    if (hadFocus) (this.buttons.firstElementChild ?? this.element.parentElement)?.focus();
  }
}

function actionsOf({ state, status, replaces }) {
  if (state !== "failed") return ACTIONS[state] ?? [];
  if (status === 401) return ["log in", ...ACTIONS.failed];
  return (status === 409 || status === 412) && !replaces ? ["replace", "remove"] : ACTIONS.failed;
}

/** A button for an action on the upload of that path. */
export function button(action, path) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "plain";
  made.value = action;
  made.textContent = action[0].toUpperCase() + action.slice(1);
  made.setAttribute("aria-label", `${made.textContent}: ${path}`);
  return made;
}

function percent({ sent, file }) {
  return file.size ? `${Math.floor((100 * sent) / file.size)} %` : "0 %";
}

function made(tag, className = "") {
  return Object.assign(document.createElement(tag), { className });
}

function wrapped(child) {
  const outer = made("span", "name");
  outer.append(child);
  return outer;
}
