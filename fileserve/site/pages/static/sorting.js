// Sorts the rows of the listing where they are, in the order that the server would give them.

const GROUP_ROWS = 100;

let arrival = null;

/** Takes the order in which the rows stand now as that of the server. */
export function forgetArrival() {
  arrival = null;
}

/** Puts all rows of table in order; key is name, size or modified, order asc or desc. */
export function sortRows(table, key, order) {
  const rows = [...table.querySelectorAll("tbody > tr")];
  arrival ??= new Map(rows.map((row, index) => [row, index]));
  const sign = order === "desc" ? -1 : 1;
  const keyed = rows.map((row) => ({ row, rank: rankOf(row, key), value: KEYS[key](row), at: arrival.get(row) }));
  keyed.sort((a, b) => a.rank - b.rank || sign * compare(a.value, b.value) || a.at - b.at);
  regroup(table, keyed.map((item) => item.row));
  mark(table, key, order);
}

const KEYS = {
  name: (row) => row.cells[0].textContent.toLowerCase(),
  size: (row) => Number(row.cells[1].title.replace(/\D/g, "") || -1),
  modified: (row) => row.cells[2].firstElementChild?.dateTime ?? "",
};

// Folders come first, but among dates: who sorts by date wants to see what is new.
function rankOf(row, key) {
  return key === "modified" || row.classList.contains("folder") ? 0 : 1;
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function regroup(table, rows) {
  const groups = [...table.tBodies];
  const size = Math.max(GROUP_ROWS, Math.ceil(rows.length / groups.length));
  groups.forEach((group, index) => {
    group.replaceChildren(...rows.slice(index * size, (index + 1) * size));
    group.hidden = group.rows.length === 0;
  });
}

function mark(table, key, order) {
  for (const head of table.querySelectorAll("thead [data-sort]")) {
    const isSorted = head.dataset.sort === key;
    head.ariaSort = !isSorted ? "none" : order === "asc" ? "ascending" : "descending";
    const next = isSorted ? (order === "asc" ? "desc" : "asc") : FIRST_ORDERS[head.dataset.sort];
    const query = new URLSearchParams({ sort: head.dataset.sort, order: next });
    head.querySelector("a").href = `?${query}`;
  }
}

// As in the page: names from A, sizes and dates from the largest.
const FIRST_ORDERS = { name: "asc", size: "desc", modified: "desc" };
