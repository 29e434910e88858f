// The menu of a file or folder: links, and command lines to copy.  One for the whole page.

import { copyText } from "./clipboard.js";

let menu = null;
let opener = null;

/** What people should know of the ready command lines. */
export function commandHint() {
  const hint = "curl, wget and aria2 go on where they were cut off.";
  const needsToken = document.querySelector(".visitor[data-needs-token]") !== null;
  return needsToken ? `${hint} Here they need your token, too, like curl -u any:TOKEN.` : hint;
}

/** Opens the menu beside a button, or closes it where it is open for that button already. */
export function toggleMenu(button, subject) {
  if (menu?.matches(":popover-open") && opener === button) {
    menu.hidePopover();
    return;
  }
  menu ??= makeMenu();
  menu.hidePopover();
  opener = button;
  fill(subject);
  menu.showPopover();
  place(button);
  menu.querySelector("a, button").focus();
}

function makeMenu() {
  const made = document.createElement("div");
  made.className = "menu";
  made.popover = "auto";
  made.setAttribute("role", "dialog");
  made.setAttribute("aria-labelledby", "menu-title");
  made.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) void copy(button);
  });
  made.addEventListener("toggle", (event) => {
    opener?.setAttribute("aria-expanded", String(event.newState === "open"));
    // Escape gives the focus back; a click elsewhere keeps it where the user clicked.
    if (event.newState === "closed" && document.activeElement === document.body) opener?.focus();
  });
  document.body.append(made);
  return made;
}

function fill({ title, links, lines, hint, qr, deeds = [] }) {
  const heading = element("h2", { id: "menu-title" }, element("bdi", {}, title));
  const nav = element("p", { className: "links" }, ...links.map(linkOf), ...deeds.map(deedOf));
  const list = element("dl", {}, ...lines.map(rowOf));
  const words = element("p", { className: "hint", role: "status" }, hint);
  menu.replaceChildren(heading, nav, list, pictureOf(qr, title), words);
}

function linkOf([label, href, isDownload]) {
  const link = element("a", { href }, label);
  if (isDownload) link.download = "";
  return link;
}

function deedOf([label, act]) {
  const button = element("button", { type: "button" }, label);
  button.addEventListener("click", () => {
    menu.hidePopover();
    void act();
  });
  return button;
}

// The server draws it, so not before somebody wants to see it.
function pictureOf(url, title) {
  const summary = element("summary", {}, "QR code, to open it on a phone");
  const details = element("details", { className: "qr" }, summary);
  details.addEventListener("toggle", () => {
    const picture = element("img", { src: url, alt: `QR code of the address of ${title}` });
    picture.addEventListener("load", () => place(opener));
    details.append(picture);
  }, { once: true });
  return details;
}

function rowOf([tool, text]) {
  const button = element("button", { type: "button" }, "Copy");
  button.dataset.copy = text;
  button.setAttribute("aria-label", `Copy ${tool}`);
  const code = element("code", { title: text }, text);
  return element("div", {}, element("dt", {}, tool), element("dd", {}, code, button));
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

async function copy(button) {
  const text = button.dataset.copy;
  const isCopied = await copyText(text, menu);
  button.textContent = isCopied ? "Copied" : "Select";
  menu.querySelector(".hint").textContent = isCopied
    ? "Copied."
    : "The browser does not allow copying here; select the line and copy it by hand.";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

// Below the button, above it where there is no room; on a phone the style sheet has it at the bottom.
function place(button) {
  menu.style.removeProperty("left");
  menu.style.removeProperty("top");
  if (matchMedia("(max-width: 44rem)").matches) return;
  const at = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const edge = 8;
  const left = Math.min(Math.max(at.right - width, edge), innerWidth - width - edge);
  const isRoomBelow = at.bottom + height + edge < innerHeight;
  const top = isRoomBelow ? at.bottom + 4 : Math.max(at.top - height - 4, edge);
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
}
