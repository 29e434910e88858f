// Command lines for the tools that people download with (pure).

// What a shell takes as it is; everything else stands in single quotes.
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;
// No terminal should get these, and no file name needs them.
const UNFIT = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffd]/;

/** text as one word of a POSIX shell. */
export function quoted(text) {
  return PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The name that a file gets on the user's disk; stays percent-encoded where it is no text. */
export function localName(url) {
  const last = new URL(url).pathname.replace(/\/$/, "").split("/").pop() || new URL(url).hostname;
  let name = last;
  try {
    name = decodeURIComponent(last);
  } catch {
    return last;
  }
  if (UNFIT.test(name) || name.includes("/")) return last;
  // A name that begins with a hyphen would be taken for an option.
  return name.startsWith("-") ? `./${name}` : name;
}

/** Lines for one file: [tool, line] pairs. */
export function linesForFile(url, isMedia) {
  const address = quoted(url);
  const name = quoted(localName(url));
  const lines = [
    ["curl", `curl -fL -C - -o ${name} ${address}`],
    ["wget", `wget -c -O ${name} ${address}`],
    ["aria2", `aria2c -c -x8 -o ${name} ${address}`],
    ["rclone", `rclone copyurl ${address} ${name}`],
  ];
  return isMedia ? [["mpv", `mpv ${address}`], ...lines] : lines;
}

/** Lines for a whole folder; url ends in a slash. */
export function linesForFolder(url) {
  const zip = quoted(`${url}?archive=zip`);
  const folder = localName(url);
  const file = quoted(`${folder}.zip`);
  return [
    ["curl", `curl -fL -C - -o ${file} ${zip}`],
    ["wget", `wget -c -O ${file} ${zip}`],
    ["aria2", `aria2c -c -x8 -o ${file} ${zip}`],
    ["Files", `aria2c -c -d ${quoted(folder)} --follow-metalink=mem ${quoted(`${url}?manifest=metalink`)}`],
    ["rclone", `rclone copy --http-url ${quoted(url)} :http: ${quoted(folder)}`],
  ];
}
