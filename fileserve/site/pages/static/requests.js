// Requests that tell how much of their content went out, and what a refusal says.

/** The server's "no"; isFinal: asking again would change nothing. */
export class Refusal extends Error {
  constructor(answer) {
    super(sentenceOf(answer));
    this.status = answer.status;
    this.isFinal = !PASSING.has(answer.status);
  }
}

// Timed out, somebody else writes, asked too often, and what a restart or a proxy answers.
const PASSING = new Set([408, 409, 423, 425, 429, 460, 500, 502, 503, 504]);

/** The answer to a request: {status, isOk, field(name), text}; rejects when the line breaks. */
export function ask(method, url, { fields = {}, content = null, signal, onProgress } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open(method, url);
    for (const [name, value] of Object.entries(fields)) request.setRequestHeader(name, value);
    // So that a refusal does not make the browser ask for a password of its own.
    request.setRequestHeader("x-requested-with", "XMLHttpRequest");
    request.setRequestHeader("accept", "application/problem+json, application/json");
    if (onProgress) request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    request.addEventListener("load", () => resolve(answerOf(request)));
    for (const end of ["error", "abort", "timeout"]) {
      request.addEventListener(end, () => reject(new Error("The connection broke.")));
    }
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", stop));
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) reject(new Error("Stopped."));
    else request.send(content);
  });
}

function answerOf(request) {
  return {
    status: request.status,
    isOk: request.status >= 200 && request.status < 300,
    field: (name) => request.getResponseHeader(name),
    text: request.responseText,
  };
}

// An answer to HEAD has no words of its own, and that of a proxy none for people.
const WORDS = {
  401: "You are not logged in any more.",
  403: "You may not do this here.",
  409: "There is something of this name already.",
  412: "There is something of this name already.",
  413: "The file is larger than the server takes.",
  507: "The server has no space left.",
};

function sentenceOf(answer) {
  const words = WORDS[answer.status] ?? `The server said ${answer.status}.`;
  if (answer.status === 401) return words;
  try {
    return JSON.parse(answer.text).detail || words;
  } catch {
    return words;
  }
}
