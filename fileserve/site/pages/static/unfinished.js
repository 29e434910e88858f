// Uploads that were begun and not finished, remembered in this browser, so that a reload loses none.

const PREFIX = "fileserve:upload:";
const MAX_KEPT = 500;

/** What tells a file from others: where it goes, its size, and when it was changed. */
export function keyOf(folder, path, file) {
  return `${PREFIX}${folder}\n${path}\n${file.size}\n${file.lastModified}`;
}

/** The address of the upload that was begun under key, or null. */
export function recallUpload(key) {
  return parsed(key)?.url ?? null;
}

/** Keeps where an upload of path (size bytes) to folder can be continued. */
export function rememberUpload(key, { url, folder, path, size }) {
  try {
    localStorage.setItem(key, JSON.stringify({ url, folder, path, size, on: Date.now() }));
    dropOldest();
  } catch {
    // A full or forbidden memory: the upload goes on, only not after a reload.
  }
}

/** Forgets what is finished or gone. */
export function forgetUpload(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // As above.
  }
}

/** What was begun in folder: [{key, url, path, size}], the newest first. */
export function unfinishedIn(folder) {
  const kept = keys().map((key) => ({ key, ...parsed(key) }));
  return kept.filter((one) => one.folder === folder).sort((a, b) => b.on - a.on);
}

function keys() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  } catch {
    return [];
  }
}

function parsed(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function dropOldest() {
  const all = keys();
  if (all.length <= MAX_KEPT) return;
  const aged = all.map((key) => [parsed(key)?.on ?? 0, key]).sort((a, b) => a[0] - b[0]);
  for (const [, key] of aged.slice(0, all.length - MAX_KEPT)) localStorage.removeItem(key);
}
