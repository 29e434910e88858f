// Uploads a file with tus-js-client: node tus_js_upload.mjs FILE ENDPOINT TOKEN PARALLEL PROTOCOL
// At a third, at two thirds, and before parts are joined, it says so, and waits for a line on its
// standard input.

import fs from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(`${process.cwd()}/`);
const tus = require("tus-js-client");
const [file, endpoint, token, parallel, protocol] = process.argv.slice(2);
const pauses = [1 / 3, 2 / 3];
// Five minutes: as long as a server may take to start on a busy machine, and more.
const patience = Array.from({ length: 600 }, () => 500);

function waitForLine() {
  for (;;) {
    try {
      fs.readSync(0, Buffer.alloc(1));
      return;
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

function pause(words) {
  fs.writeSync(1, `at ${words}\n`);
  waitForLine();
}

let hasJoined = false;
let triesToJoin = patience.length;

// By the draft it does not tell of a file on the disk which piece is the last (4.3.1).
const isTus = protocol === "tus-v1";
const source = isTus ? fs.createReadStream(file) : fs.readFileSync(file);

const upload = new tus.Upload(source, {
  endpoint,
  protocol,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "folder/from-js.bin" },
  chunkSize: parallel === "1" ? 8 * 1024 * 1024 : Infinity,
  parallelUploads: Number(parallel),
  retryDelays: patience,
  onProgress(sent, total) {
    if (pauses.length && sent >= pauses[0] * total && sent < total) {
      pauses.shift();
      pause(`${sent} of ${total}`);
    }
  },
  onBeforeRequest(request) {
    if (!hasJoined && request.getHeader("Upload-Concat")?.startsWith("final")) {
      hasJoined = true;
      pause("the end of all parts");
    }
  },
  onError(error) {
    console.error(String(error));
    // It tries every request again but the one that joins parts; that is for who uses it.
    if (!hasJoined || triesToJoin-- === 0) process.exit(1);
    setTimeout(() => upload.start(), patience[0]);
  },
  onSuccess() {
    fs.writeSync(1, "done\n");
    process.exit(0);
  },
});
upload.start();
