// Renames and deletes what a row stands for, after a question.

import { ask, Refusal } from "./requests.js";

/** Asks for another name and moves the file or folder at url there; whether that was done. */
export function rename(url, name) {
  const words = "With a slash in it, the name leads into another folder.";
  return asked({ title: `Rename ${name}`, words, value: name, action: "Rename" }, async (wanted) => {
    if (wanted === name) return;
    const way = wanted.split("/").map(encodeURIComponent).join("/");
    const folder = new URL(url.endsWith("/") ? "../" : "./", url);
    const destination = new URL(folder.href + way).pathname;
    done(await ask("MOVE", url, { fields: { destination, overwrite: "F" } }));
  });
}

/** Deletes the file or folder at url when the visitor says so; whether that was done. */
export function remove(url, name) {
  const words = "It will be gone for everybody.";
  let target = url;
  return asked({ title: `Delete ${name}?`, words, value: null, action: "Delete" }, async () => {
    const answer = await ask("DELETE", target);
    if (answer.status === 409 && target === url && url.endsWith("/")) {
      target = `${url}?recursive`;
      throw new Error("The folder is not empty. Delete it with everything in it?");
    }
    done(answer);
  });
}

function done(answer) {
  if (!answer.isOk) throw new Refusal(answer);
}

// A dialog that stays until attempt(value) succeeds or the visitor leaves it.
function asked({ title, words, value, action }, attempt) {
  const question = element("dialog", { className: "question" });
  const heading = element("h2", { id: "question-title" }, title);
  const field = element("input", { type: "text", value: value ?? "", required: true, autocomplete: "off" });
  field.setAttribute("aria-label", "New name");
  const failure = element("p", { className: "failed" });
  failure.setAttribute("role", "alert");
  const go = element("button", { className: action === "Delete" ? "button danger" : "button" }, action);
  const leave = element("button", { type: "button", className: "plain" }, "Cancel");
  const form = element("form", {}, heading, element("p", {}, words), ...(value === null ? [] : [field]),
    failure, element("p", { className: "buttons" }, go, leave));
  question.setAttribute("aria-labelledby", "question-title");
  question.append(form);
  document.body.append(question);
  return new Promise((resolve) => {
    leave.addEventListener("click", () => question.close());
    question.addEventListener("close", () => { question.remove(); resolve(question.returnValue === "done"); });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        await attempt(field.value.trim());
        question.close("done");
      } catch (error) {
        failure.textContent = error.message;
      }
      go.disabled = false;
    });
    question.showModal();
    if (value === null) leave.focus();
    else selectStem(field);
  });
}

// The part before the extension is what is mostly changed.
function selectStem(field) {
  field.focus();
  const dot = field.value.lastIndexOf(".");
  field.setSelectionRange(0, dot > 0 ? dot : field.value.length);
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
