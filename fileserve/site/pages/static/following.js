// Shows what is appended to a text while it is open.

// A log may go on for days; a page keeps the end of it.
const MAX_CHARACTERS = 2 ** 20;
const WORDS = {
  idle: "Nothing came for a while; follow again to wait on.",
  deleted: "The file is not there any more.",
  replaced: "Another file has taken its place.",
  truncated: "The file was cut short.",
};

/** Makes a link follow the text of the file at url in place of going there. */
export function bindFollow(link, url) {
  const text = document.querySelector(".plain-text");
  const status = document.querySelector("#follow-status");
  let stream = null;
  let length = 0;

  function stop(sentence) {
    stream?.close();
    stream = null;
    link.textContent = "Follow as it grows";
    status.textContent = sentence;
  }

  function append(line) {
    const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
    text.append(`${line}\n`);
    length += line.length + 1;
    while (length > MAX_CHARACTERS && text.childNodes.length > 1) {
      length -= text.firstChild.length;
      text.firstChild.remove();
    }
    if (isAtEnd) scrollTo({ top: document.documentElement.scrollHeight });
  }

  function start() {
    text.replaceChildren();
    length = 0;
    link.textContent = "Stop";
    status.textContent = "Following";
    stream = new EventSource(`${url}?follow&tail=65536`);
    stream.addEventListener("message", (event) => append(event.data));
    stream.addEventListener("end", (event) => stop(WORDS[event.data] ?? "It ended."));
    stream.addEventListener("error", () => { if (stream?.readyState === EventSource.CLOSED) stop("The server does not answer."); });
  }

  link.addEventListener("click", (event) => {
    event.preventDefault();
    if (stream) stop("");
    else start();
  });
}
