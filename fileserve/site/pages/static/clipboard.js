// Copies a text, also where the browser gives no clipboard.

/** Whether text was copied; place is an element that can be seen and takes the focus. */
export async function copyText(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without HTTPS there is no clipboard; the old way still works.
    return copyBySelection(text, place);
  }
}

/** Makes a button copy the text of an element. */
export function bindCopy(button, source) {
  button.addEventListener("click", async () => {
    button.textContent = await copyText(source.textContent, button.parentElement) ? "Copied" : "Select";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
    button.focus();
  });
}

function copyBySelection(text, place) {
  const field = document.createElement("textarea");
  Object.assign(field, { value: text, className: "unseen" });
  place.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}
