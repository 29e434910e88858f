// The files of what was dropped or chosen, folders with everything below them: [{file, path}].

/** Reads what a drop brought; has to be called while its event is handled. */
export async function filesOfDrop(transfer) {
  // The list is emptied as soon as the event is over.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  // What comes from another page, and not from a disk, has no entry.
  if (entries.length === 0) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await collect(entry, "", found);
  return found;
}

/** The files that were chosen in an input, of a folder or one by one. */
export function filesOfInput(input) {
  return [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

async function collect(entry, above, found) {
  const path = above + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    found.push({ file, path });
    return;
  }
  const reader = entry.createReader();
  // A reader gives about a hundred at a time, and nothing at the end.
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (some.length === 0) return;
    for (const one of some) await collect(one, `${path}/`, found);
  }
}
