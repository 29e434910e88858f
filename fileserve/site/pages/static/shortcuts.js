// Which keys may act as shortcuts now.

const SWITCH = "fileserve:letters";

/** Whether single letters and signs are shortcuts: who speaks to the computer switches them off. */
export function lettersAct() {
  try {
    return localStorage.getItem(SWITCH) !== "off";
  } catch {
    return true;
  }
}

/** Makes a checkbox the switch for letters. */
export function bindSwitch(checkbox) {
  if (!checkbox) return;
  checkbox.checked = lettersAct();
  checkbox.addEventListener("change", () => {
    try {
      localStorage.setItem(SWITCH, checkbox.checked ? "on" : "off");
    } catch {
      // Without a memory it holds for as long as the page is open, and that is no loss.
    }
  });
}

/** Whether a key press belongs to a field, a menu or the browser rather than to the page. */
export function isTaken(event) {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return true;
  return Boolean(event.target.closest?.("input, select, textarea, [popover], [contenteditable]"));
}
