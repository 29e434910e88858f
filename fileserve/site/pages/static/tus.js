// Sends one file by tus 1.0, in pieces, and goes on where it was after whatever came between.

import { ask, Refusal } from "./requests.js";
import { forgetUpload, keyOf, recallUpload, rememberUpload } from "./unfinished.js";

const TUS = { "tus-resumable": "1.0.0" };
const PIECE_TYPE = { "content-type": "application/offset+octet-stream" };
// A piece is on the server's disk when it is answered; common proxies take no more than 100 MB.
const PIECE_BYTES = 64 * 2 ** 20;
// So little that a second request would take longer than the bytes.
const AT_ONCE_BYTES = 2 ** 20;
const LONGEST_WAIT_SECONDS = 30;
const GONE = new Set([403, 404, 410]);

/**
 * One file on its way; path is relative to the folder, with slashes below it.
 *
 * state: waiting, sending, broken (tries again by itself), paused, done, failed, cancelled.
 * sent: bytes that went out; reason: why it failed; status: the answer's that ended it.
 */
export class Upload {
  constructor(file, path, onChange) {
    this.file = file;
    this.path = path;
    this.state = "waiting";
    this.sent = 0;
    this.reason = "";
    this.status = 0;
    this.replaces = false;
    this.onChange = onChange;
    this.folder = new URL("./", location.href).pathname;
    this.key = keyOf(this.folder, path, file);
    this.url = null;
    this.offset = 0;
    this.stopping = null;
  }

  get isActive() {
    return this.state === "sending" || this.state === "broken";
  }

  async start() {
    this.stopping = new AbortController();
    const { signal } = this.stopping;
    this.tell("sending");
    try {
      await this.sendAll(signal);
      this.tell("done");
    } catch (error) {
      if (signal.aborted) return;
      this.reason = error.message;
      this.status = error.status ?? 0;
      this.tell("failed");
    }
  }

  /** Waits to be started again; what has arrived stays on the server. */
  pause() {
    this.stopping?.abort();
    this.tell("paused");
  }

  /** Gives it up, here and on the server. */
  async cancel() {
    this.stopping?.abort();
    this.tell("cancelled");
    forgetUpload(this.key);
    if (this.url) await discard(this.url);
  }

  /** Begins anew, to take the place of the file that has the name. */
  replaceExisting() {
    this.replaces = true;
    forgetUpload(this.key);
    if (this.url) void discard(this.url);
    this.url = null;
    this.advance(0);
  }

  tell(state) {
    this.state = state;
    this.onChange(this);
  }

  async sendAll(signal) {
    for (let failures = 0; ; failures += 1) {
      try {
        await this.locate(signal);
        this.tell("sending");
        while (this.offset < this.file.size) {
          await this.sendPiece(signal);
          failures = 0;
        }
        forgetUpload(this.key);
        return;
      } catch (error) {
        if (signal.aborted || error.isFinal) throw error;
        await requireReadable(this.file);
        this.tell("broken");
        await waited(Math.min(2 ** failures, LONGEST_WAIT_SECONDS), signal);
      }
    }
  }

  /** Finds out how much the server has, or makes the upload known to it. */
  async locate(signal) {
    this.url ??= recallUpload(this.key);
    if (this.url) {
      const answer = await ask("HEAD", this.url, { fields: TUS, signal });
      const length = answer.field("upload-length");
      if (answer.isOk && (length === null || Number(length) === this.file.size)) {
        this.advance(Number(answer.field("upload-offset")));
        return;
      }
      if (!answer.isOk && !GONE.has(answer.status)) throw new Refusal(answer);
      forgetUpload(this.key);
      this.url = null;
    }
    await this.create(signal);
  }

  async create(signal) {
    const { size } = this.file;
    const isSmall = size > 0 && size <= AT_ONCE_BYTES;
    const fields = { ...TUS, "upload-length": String(size), "upload-metadata": this.metadata() };
    if (isSmall) Object.assign(fields, PIECE_TYPE);
    const answer = await ask("POST", this.folder, { fields, content: isSmall ? this.file : null, signal });
    if (!answer.isOk) throw asked(answer);
    // A proxy may have another name or scheme; the way is the same.
    this.url = new URL(answer.field("location"), location.href).pathname;
    this.advance(Number(answer.field("upload-offset") ?? 0));
    if (this.offset < size) rememberUpload(this.key, { url: this.url, folder: this.folder, path: this.path, size });
  }

  async sendPiece(signal) {
    const from = this.offset;
    const answer = await ask("PATCH", this.url, {
      fields: { ...TUS, ...PIECE_TYPE, "upload-offset": String(from) },
      content: this.file.slice(from, from + PIECE_BYTES),
      signal,
      onProgress: (loaded) => this.progress(from + loaded),
    });
    if (!answer.isOk) {
      // It expired or was discarded: what is known of it is of no use any more.
      if (answer.status === 404 || answer.status === 410) throw new Error("The upload is gone.");
      throw new Refusal(answer);
    }
    this.advance(Number(answer.field("upload-offset")));
  }

  advance(offset) {
    this.offset = offset;
    this.progress(offset);
  }

  progress(sent) {
    this.sent = sent;
    this.onChange(this);
  }

  metadata() {
    const pairs = [["filename", this.path]];
    if (this.replaces) pairs.push(["replace", "true"]);
    return pairs.map(([key, text]) => `${key} ${base64(text)}`).join(",");
  }
}

/** Tells the server that nobody goes on with the upload at url. */
export async function discard(url) {
  try {
    await ask("DELETE", url, { fields: TUS });
  } catch {
    // It expires by itself.
  }
}

// Who asks for a name that is taken gets the same answer again, other than after a piece.
function asked(answer) {
  const refusal = new Refusal(answer);
  if (answer.status === 409) refusal.isFinal = true;
  return refusal;
}

// A browser tells of a file that was moved or changed meanwhile as of a line that broke.
async function requireReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error("The file was changed or removed meanwhile. Choose it again.");
  }
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

// Ends early when the computer is online again.
function waited(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    addEventListener("online", resolve, { once: true });
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new Error("Stopped."));
    });
  });
}
