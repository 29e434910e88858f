"""What is found below a folder, how long it is searched, and what is said of the rest."""

import asyncio
import csv
import io
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from recording_send import RecordingSend, http_scope, no_more_request

from fileserve.site.listing import send_listing
from fileserve.site.listing_entries import Notice, NoticeKind
from fileserve.site.listing_query import ListingQuery, QueryRefused, parse_listing_query
from fileserve.site.searching import Piece, SearchLimits, names_with, pieces_of
from storage.descending import Part
from storage.errors import AccessDenied, Unavailable
from storage.folders import Depth, Wanted
from storage.local import Entry, EntryKind, LocalStorage
from storage.names import Name, parse_request_path
from storage.ordering import BY_NAME, Direction, Order, SortKey

ROOT = Name(())

FOUND = [
    # text        name            found  why
    ("film",      "My Film.mkv",  True,  "case"),
    ("FILM",      "film.mkv",     True,  "case-of-the-text"),
    ("straße",    "STRASSE",      True,  "case-folding"),
    ("STRASSE",   "Straße",       True,  "case-folding-of-the-name"),
    ("\u00e9",    "cafe\u0301",   True,  "accent-as-a-character-of-its-own"),
    ("e\u0301",   "caf\u00e9",    True,  "accent-of-the-text"),
    ("\u00c9",    "cafe\u0301",   True,  "accent-and-case"),
    ("i",         "\u0130",       True,  "dotted-capital-i-holds-an-i"),
    ("",          "a",            True,  "nothing-is-in-everything"),
    ("films",     "film",         False, "longer"),
    ("*",         "film",         False, "no-wildcard"),
    (".",         "film",         False, "no-regular-expression"),
    ("\udce9",    "caf\udce9",    True,  "byte-that-is-no-utf-8"),
    ("\udce9",    "caf\u00e9",    False, "another-byte"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name", "is_found"), [row[:3] for row in FOUND], ids=[row[3] for row in FOUND]
)
def test_a_name_is_found_by_a_text_in_it(text: str, name: str, is_found: bool) -> None:
    assert names_with(text)(name) is is_found


TEXTS = [
    # query        text       shown to people
    (b"q=a+b",     "a b",     "a b"),
    (b"q=a%2Bb",   "a+b",     "a+b"),
    (b"q=%C3%A9",  "\u00e9",  "\u00e9"),
    (b"q=\xc3\xa9", "\u00e9", "\u00e9"),
    (b"q=%E9",     "\udce9",  "\ufffd"),
    (b"q=\xe9",    "\udce9",  "\ufffd"),
    (b"q=",        "",        ""),
    (b"q=x&q=y",   "x",       "x"),
    (b"%",         "",        ""),
    (b"&&=&a;b",   "",        ""),
]  # fmt: skip


@pytest.mark.parametrize(("query", "text", "shown"), TEXTS)
def test_a_query_is_read_as_a_form_writes_it(query: bytes, text: str, shown: str) -> None:
    asked = parse_listing_query(query, None)
    assert (asked.text, asked.shown.query) == (text, shown)


ORDERS = [
    (b"", SortKey.NAME, Direction.ASCENDING),
    (b"sort=size", SortKey.SIZE, Direction.ASCENDING),
    (b"sort=modified&order=desc", SortKey.MODIFIED, Direction.DESCENDING),
    (b"order=desc", SortKey.NAME, Direction.DESCENDING),
]


@pytest.mark.parametrize(("query", "sort", "order"), ORDERS)
def test_the_order_is_by_name_upwards_if_nothing_else_is_asked_for(
    query: bytes, sort: SortKey, order: Direction
) -> None:
    shown = parse_listing_query(query, None).shown
    assert (shown.sort, shown.order) == (sort, order)


DEPTHS = [
    (b"format=json", Depth.FOLDER),
    (b"format=json&recursive", Depth.TREE),
    (b"format=json&recursive=1", Depth.TREE),
    (b"format=json&recursive=true", Depth.TREE),
    (b"format=json&recursive=0", Depth.FOLDER),
    (b"format=json&recursive=false", Depth.FOLDER),
    (b"recursive", Depth.FOLDER),  # there is no page of a tree
    (b"format=html&recursive", Depth.FOLDER),
]


@pytest.mark.parametrize(("query", "depth"), DEPTHS)
def test_a_tree_is_for_programs(query: bytes, depth: Depth) -> None:
    assert parse_listing_query(query, None).depth is depth


def test_what_was_sent_is_not_in_the_refusal() -> None:
    with pytest.raises(QueryRefused, match=r"^The value of 'sort' can be 'name', 'size' or 'mod"):
        parse_listing_query(b"sort=<script>", None)


def test_a_text_that_no_name_can_have_in_it_is_refused() -> None:
    assert parse_listing_query(b"q=" + b"%cc%81" * 1020, None).text == "\u0301" * 1020
    with pytest.raises(QueryRefused, match=r"^The value of 'q' has at most 1,020 characters\.$"):
        parse_listing_query(b"q=" + b"%cc%81" * 1021, None)


def test_a_hundred_parameters_are_read() -> None:
    assert parse_listing_query(b"x=1&" * 99 + b"q=a", None).text == "a"
    assert parse_listing_query(b"x=1&" * 100 + b"q=a", None).text == ""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A tree with films at several places."""
    for path in ("films/old", "other/Film", "else"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("films/a.mkv", "films/old/FILM.mkv", "other/film 1", "other/Film/x", "film"):
        (tmp_path / path).touch()
    (tmp_path / "link to films").symlink_to("films")
    return tmp_path


def get(storage: LocalStorage, target: str) -> RecordingSend:
    send, scope = RecordingSend(), http_scope("GET", target)
    name = parse_request_path(scope["raw_path"]).name

    async def run() -> None:
        try:
            await send_listing(scope, no_more_request, send, storage, name)
        finally:
            await storage.close()

    asyncio.run(run())
    return send


EVERYTHING = [
    "else/", "films/", "link%20to%20films/", "other/", "film",
    "films/old/", "films/a.mkv",
    "films/old/FILM.mkv",
    "other/Film/", "other/film%201",
    "other/Film/x",
]  # fmt: skip
WITH_FILM = [
    "films/", "link%20to%20films/", "film", "films/old/FILM.mkv", "other/Film/", "other/film%201",
]  # fmt: skip
DEEP = [("recursive", EVERYTHING), ("q=film", WITH_FILM), ("q=FILM&recursive=0", WITH_FILM)]


@pytest.mark.parametrize(("query", "paths"), DEEP)
def test_every_form_has_the_same_entries_below_a_folder(
    top: Path, query: str, paths: list[str]
) -> None:
    listings = {
        form: get(LocalStorage(top), f"/?format={form}&{query}").content.decode()
        for form in ("json", "ndjson", "csv", "text")
    }
    urls = [f"/{path}" for path in paths]
    assert listings["text"].splitlines() == paths
    assert [record["url"] for record in json.loads(listings["json"])["entries"]] == urls
    assert [json.loads(line)["url"] for line in listings["ndjson"].splitlines()] == urls
    rows = csv.DictReader(io.StringIO(listings["csv"], newline=""))
    assert [row["url"] for row in rows] == urls


def test_the_page_shows_what_is_found_with_its_way(top: Path) -> None:
    page = get(LocalStorage(top), "/?q=film").content.decode()
    assert 'href="films/old/FILM.mkv"' in page
    assert 'href="films/a.mkv"' not in page


def test_a_search_begins_at_its_folder(top: Path) -> None:
    assert get(LocalStorage(top), "/other/?q=film&format=text").content == b"Film/\nfilm%201\n"


def test_each_folder_of_a_tree_is_sorted_for_itself(top: Path) -> None:
    response = get(LocalStorage(top), "/other/?recursive&format=text&order=desc")
    assert response.content == b"Film/\nfilm%201\nFilm/x\n"


def test_a_search_for_markup_is_shown_as_text(top: Path) -> None:
    page = get(LocalStorage(top), "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E%FF").content
    assert b"<script>alert" not in page
    listing = json.loads(get(LocalStorage(top), "/?q=%22%FF&format=json").content)
    assert (listing["query"], listing["entries"], listing["complete"]) == ('"\ufffd', [], True)


def found(asked: ListingQuery, storage: LocalStorage, limits: SearchLimits) -> list[Piece]:
    async def run() -> list[Piece]:
        try:
            return [piece async for piece in pieces_of(storage, ROOT, asked, limits)]
        finally:
            await storage.close()

    return asyncio.run(run())


@pytest.mark.parametrize("results", [0, 1, 5, 6, 7])
def test_a_search_ends_after_so_many_results_and_says_so(top: Path, results: int) -> None:
    asked = parse_listing_query(b"q=film", None)
    pieces = found(asked, LocalStorage(top), SearchLimits(results=results))
    entries = [entry for piece in pieces if isinstance(piece, Part) for entry in piece.entries]
    notices = [piece for piece in pieces if isinstance(piece, Notice)]
    assert len(entries) == min(results, 6)
    detail = f"The search was stopped after {results} results; there may be more."
    cut = [Notice(NoticeKind.CUT_SHORT, ROOT, detail)]
    assert notices == (cut if results < 6 else [])


class NeverEnding(LocalStorage):
    """One result, and then a folder that takes for ever."""

    is_closed = False

    async def descend(
        self, name: Name, order: Order = BY_NAME, wanted: Wanted | None = None
    ) -> AsyncGenerator[Part, None]:
        try:
            yield Part(name, [Entry(b"a", EntryKind.FILE, 1, 0)])
            await asyncio.get_running_loop().create_future()
        finally:
            self.is_closed = True


def test_a_search_ends_after_so_many_seconds_and_says_so(tmp_path: Path) -> None:
    storage = NeverEnding(tmp_path)
    asked = parse_listing_query(b"q=a", None)
    first, last = found(asked, storage, SearchLimits(seconds=0.05))
    assert isinstance(first, Part)
    detail = "The search was stopped after 0.05 seconds; there may be more."
    assert last == Notice(NoticeKind.CUT_SHORT, ROOT, detail)
    assert storage.is_closed


def test_time_is_looked_at_also_where_nothing_is_found(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"{number}").mkdir()
    asked = parse_listing_query(b"q=nothing", None)
    pieces = found(asked, LocalStorage(tmp_path), SearchLimits(seconds=0.0))
    assert isinstance(pieces[-1], Notice)


class PartlyDenied(LocalStorage):
    """A tree with a folder that may not be read and one that does not answer."""

    async def descend(
        self, name: Name, order: Order = BY_NAME, wanted: Wanted | None = None
    ) -> AsyncGenerator[Part, None]:
        yield Part(name, [Entry(b"a", EntryKind.FILE, 1, 0)])
        yield Part(name.child(b"b c"), [], AccessDenied("/srv/secret/b c: permission denied"))
        yield Part(name.child(b"nas"), [], Unavailable("/srv/secret/nas: no answer"))
        yield Part(name.child(b"z"), [Entry(b"end", EntryKind.FILE, 1, 0)])


def test_a_folder_that_cannot_be_read_is_a_record_and_the_rest_follows(tmp_path: Path) -> None:
    response = get(PartlyDenied(tmp_path), "/?recursive&format=ndjson")
    records = [json.loads(line) for line in response.content.splitlines()]
    assert response.is_complete
    assert [(record["type"], record["url"], record.get("detail")) for record in records] == [
        ("file", "/a", None),
        ("error", "/b%20c/", "The server may not read this folder."),
        ("error", "/nas/", "The storage behind this folder does not answer now."),
        ("file", "/z/end", None),
    ]
    assert b"secret" not in response.content
    assert not json.loads(get(PartlyDenied(tmp_path), "/?q=a&format=json").content)["complete"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "self").symlink_to(".")
    os.symlink("a", tmp_path / "b")
    response = get(LocalStorage(tmp_path), "/?recursive&format=text")
    assert response.content == b"a/\nb/\na/self/\na/up/\n"
