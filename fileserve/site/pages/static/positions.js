// Where a film was left, remembered in this browser by address and state of the file.

const PREFIX = "fileserve:at:";
const MAX_KEPT = 300;
// Who left in the first moments, or in the titles at the end, wants to begin anew.
const EDGE_SECONDS = 10;

/** Seconds from the start where file was left; null for a new or a changed file. */
export function recall(file, etag, duration) {
  try {
    const kept = JSON.parse(localStorage.getItem(PREFIX + file));
    const isMiddle = kept?.seconds > EDGE_SECONDS && kept.seconds < duration - EDGE_SECONDS;
    return kept?.etag === etag && isMiddle ? kept.seconds : null;
  } catch {
    return null;
  }
}

/** Keeps a position. */
export function remember(file, etag, seconds) {
  try {
    localStorage.setItem(PREFIX + file, JSON.stringify({ etag, seconds, on: Date.now() }));
    dropOldest();
  } catch {
    // A full or forbidden memory: the film plays all the same.
  }
}

/** Forgets a film that was seen to its end. */
export function forget(file) {
  try {
    localStorage.removeItem(PREFIX + file);
  } catch {
    // As above.
  }
}

function dropOldest() {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  if (keys.length <= MAX_KEPT) return;
  const aged = keys.map((key) => [JSON.parse(localStorage.getItem(key)).on, key]).sort((a, b) => a[0] - b[0]);
  for (const [, key] of aged.slice(0, keys.length - MAX_KEPT)) localStorage.removeItem(key);
}
