"""A folder's listing as an HTML page, made piece by piece.

It works without scripts; with them rows are sorted and filtered in place.  A row is put together
by hand: a template would cost five times as much, and a folder has 50,000 of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from fileserve.site.appearance import VIEW_WORDS, Family, counted, family_of, human_size
from fileserve.site.listing_entries import (
    Notice,
    NoticeKind,
    Shown,
    entry_url,
    quoted,
    reachable,
    rfc3339,
)
from fileserve.site.pages import template
from fileserve.site.readme import Readme, load_readme, readme_rank
from fileserve.site.visitors import STRANGER, Visitor
from storage.local import Entry, EntryKind, LocalStorage
from storage.names import Name, printable
from storage.ordering import Direction, SortKey

ROOT_LABEL = "Files"

# The order that the first click on a column asks for: who sorts by size looks for the largest.
_COLUMNS = (
    (SortKey.NAME, "Name", Direction.ASCENDING),
    (SortKey.SIZE, "Size", Direction.DESCENDING),
    (SortKey.MODIFIED, "Changed (UTC)", Direction.DESCENDING),
)
_OPPOSITE = {
    Direction.ASCENDING: Direction.DESCENDING,
    Direction.DESCENDING: Direction.ASCENDING,
}
_ARIA_SORT = {Direction.ASCENDING: "ascending", Direction.DESCENDING: "descending"}
# A tree may have 100,000 folders that cannot be read; nobody reads 100,000 sentences.
_MAX_NOTICES = 5


@dataclass(frozen=True, slots=True)
class Crumb:
    """A folder above, and where it is from here."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class _Column:
    """The head of a column: its key, its words, and the order that a click asks for."""

    key: str
    label: str
    url: str
    aria_sort: str


@dataclass(slots=True)
class _Totals:
    """What was listed so far."""

    folders: int = 0
    files: int = 0
    links: int = 0
    file_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.folders or self.files or self.links)

    def add(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            match entry.kind:
                case EntryKind.FOLDER:
                    self.folders += 1
                case EntryKind.FILE:
                    self.files += 1
                    self.file_bytes += entry.size or 0
                case EntryKind.UNKNOWN:
                    self.links += 1

    def sentence(self) -> str:
        """The counts in words; empty for an empty folder."""
        parts = [
            counted(self.folders, "folder"),
            counted(self.files, "file"),
            human_size(self.file_bytes) if self.files else "",
            counted(self.links, "link"),
        ]
        return ", ".join(part for part in parts if part)


class PageListing:
    """A ListingForm whose links are relative, so that they work under any prefix.

    root_path (ASGI) is the part of a URL's path that we are mounted under.
    """

    content_type = "text/html; charset=utf-8"

    def __init__(
        self,
        folder: Name,
        root_path: str,
        shown: Shown | None = None,
        visitor: Visitor = STRANGER,
    ) -> None:
        self._folder = folder
        self._root_path = root_path
        self._shown = shown or Shown()
        self._visitor = visitor
        self._totals = _Totals()
        self._readme_entry: Entry | None = None
        self._readme: Readme | None = None
        self._notices: list[str] = []

    def head(self) -> str:
        """Up to the search field; the table begins with the first row."""
        return template("listing_head.html").render(
            label=folder_label(self._folder),
            crumbs=crumbs_above(self._folder, self._visitor.hidden_depth),
            root_path=self._root_path,
            query=self._shown.query,
            visitor=self._visitor,
        )

    def rows(self, entries: Sequence[Entry]) -> str:
        """The next entries of the folder itself."""
        listed = reachable(self._folder, entries)
        for entry in listed:
            self._note_readme(entry)
        return self._group("", "", listed)

    def found(self, folder: Name, entries: Sequence[Entry]) -> str:
        """The next results of a search, all of one folder at or below the listed one."""
        below = folder.segments[len(self._folder.segments) :]
        path = "".join(f"{quoted(segment)}/" for segment in below)
        way = "".join(f"<bdi>{escape(printable(segment))}</bdi>/" for segment in below)
        return self._group(path, f'<span class="way">{way}</span>' if way else "", entries)

    def notice(self, notice: Notice) -> str:
        """Keep what there is to say for the tail, the last word of a search and a few others."""
        if notice.kind is NoticeKind.CUT_SHORT or len(self._notices) < _MAX_NOTICES:
            self._notices.append(notice.detail)
        return ""

    async def read_readme(self, storage: LocalStorage) -> None:
        """Read the README that was among the rows, if any, for the tail to show it."""
        if self._readme_entry is not None:
            name = self._folder.child(self._readme_entry.segment)
            self._readme = await load_readme(storage, name)

    def tail(self) -> str:
        """The end of the table, the totals and the README."""
        return template("listing_tail.html").render(
            summary=self._totals.sentence(),
            notices=self._notices,
            query=self._shown.query,
            readme=self._readme,
            visitor=self._visitor,
        )

    def _group(self, path: str, way: str, entries: Sequence[Entry]) -> str:
        """Rows in a group of their own: browsers lay out only the groups that are in sight."""
        if not entries:
            return ""
        opening = self._opening() if self._totals.is_empty else "</tbody>\n"
        self._totals.add(entries)
        rows = "".join([_row(path, way, entry) for entry in entries])
        return f"{opening}<tbody role=rowgroup>\n{rows}"

    def _opening(self) -> str:
        return template("listing_table.html").render(
            query=self._shown.query, columns=[*self._columns()], visitor=self._visitor
        )

    def _columns(self) -> Iterator[_Column]:
        shown = self._shown
        for key, label, first_order in _COLUMNS:
            is_sorted = key == shown.sort and not shown.query
            order = _OPPOSITE[shown.order] if is_sorted else first_order
            url = f"?sort={key.value}&order={order.value}"
            yield _Column(key.value, label, url, _ARIA_SORT[shown.order] if is_sorted else "none")

    def _note_readme(self, entry: Entry) -> None:
        best = self._readme_entry
        rank = readme_rank(entry)
        if rank is not None and (best is None or rank < (readme_rank(best) or 0)):
            self._readme_entry = entry


def folder_label(folder: Name) -> str:
    """What a folder is called on its page."""
    return printable(folder.last) or ROOT_LABEL


def crumbs_above(folder: Name, hidden_depth: int = 0) -> list[Crumb]:
    """The folders above, from the root down, without the first hidden_depth."""
    count = len(folder.segments)
    labels = (ROOT_LABEL, *map(printable, folder.segments[:-1]))
    crumbs = [Crumb(label, "../" * (count - depth)) for depth, label in enumerate(labels[:count])]
    return crumbs[hidden_depth:]


def _row(path: str, way: str, entry: Entry) -> str:
    """One row; path leads percent-encoded to the entry's folder, way names it in HTML."""
    family = family_of(entry)
    url = path + entry_url(entry)
    label = escape(printable(entry.segment))
    return (
        f'<tr role=row class={family.value}><th role=rowheader><a href="{url}">{way}'
        f"<bdi>{label}</bdi></a></th>{_size_cell(entry)}{_time_cell(entry)}"
        f"<td role=cell>{_actions(url, family)}</td></tr>\n"
    )


def _size_cell(entry: Entry) -> str:
    if entry.kind is not EntryKind.FILE or entry.size is None:
        return "<td role=cell></td>"
    return f'<td role=cell title="{entry.size:,} bytes">{human_size(entry.size)}</td>'


def _time_cell(entry: Entry) -> str:
    modified = rfc3339(entry.modified_ns)
    if modified is None:
        return "<td role=cell></td>"
    words = f"{modified[:10]} <i>{modified[11:16]}</i>"
    return f'<td role=cell><time datetime="{modified}">{words}</time></td>'


def _actions(url: str, family: Family) -> str:
    """View, download and copy, as far as there is something to view, download or copy."""
    if family is Family.LINK:
        return ""
    copy = "<button class=more>More</button>"
    if family is Family.FOLDER:
        return copy
    word = VIEW_WORDS.get(family)
    view = f'<a class=view href="{url}?view">{word}</a>' if word else ""
    return f'{view}<a class=get href="{url}?download">Download</a>{copy}'
