// Sizes and times in words, as the server writes them (pure).

/** A size in bytes for people: 999 B, 1.4 GiB. */
export function humanSize(size) {
  if (size < 1000) return `${size} B`;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let value = size / 1024;
  while (value >= 999.5 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value.toFixed(value < 99.95 ? 1 : 0)} ${units[0]}`;
}

/** About how long: 40 s, 12 min, 3 h. */
export function humanDuration(seconds) {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** A count with its word: 1 file, 2 files. */
export function counted(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}
