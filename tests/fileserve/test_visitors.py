"""What a page tells its visitor, and what it names of the folders above."""

import re
from pathlib import Path

import pytest
from starlette.types import Scope

from fileserve.access.links import Link
from fileserve.access.visit import ANYBODY, Segments, Visit, note_visit
from fileserve.settings import Settings
from fileserve.site.listing_page import PageListing, crumbs_above
from fileserve.site.visitors import STRANGER, Visitor, page_fields, visitor_of
from storage.local import Entry, EntryKind
from storage.names import Name

ROOT = Name(())
FILMS = Name((b"films",))
COOKIE = (b"cookie", b"a=b; __Host-fileserve=1.2.editor")
WRITER = Visit("token editor", (), (b"films",))


def scope_of(
    visit: Visit | None, *fields: tuple[bytes, bytes], path: bytes = b"/films/", query: bytes = b""
) -> Scope:
    scope: Scope = {"type": "http", "method": "GET", "raw_path": path}
    scope |= {"query_string": query, "headers": fields}
    if visit is not None:
        note_visit(scope, visit)
    return scope


def settings_of(**chosen: bool) -> Settings:
    return Settings(root=Path("/"), **chosen)


def asked(scope: Scope, name: Name = FILMS, **chosen: bool) -> Visitor:
    return visitor_of(scope, name, settings_of(**chosen))


def test_a_public_read_only_page_knows_nobody() -> None:
    assert asked(scope_of(None)) == STRANGER
    assert asked(scope_of(ANYBODY, COOKIE)) == STRANGER
    assert page_fields(settings_of()) == ()


def test_a_stranger_is_told_where_to_log_in_and_comes_back_here() -> None:
    scope = scope_of(ANYBODY, path=b"/films/100%25/", query=b"sort=size&order=desc")
    visitor = asked(scope, writable=True)
    assert visitor.login_url == "/-/login?next=/films/100%2525/%3Fsort%3Dsize%26order%3Ddesc"
    assert (visitor.who, visitor.may_write, visitor.logout_url) == ("", False, "")


def test_who_logged_in_can_log_out_and_who_sends_a_token_cannot() -> None:
    assert asked(scope_of(WRITER, COOKIE), writable=True).logout_url == "/-/logout"
    visitor = asked(scope_of(WRITER), writable=True)
    assert (visitor.who, visitor.logout_url) == ("editor", "")


WRITING = [
    # writes        folder   --writable  may write   id
    ((b"films",),   FILMS,   True,       True,       "its-folder"),
    ((),            ROOT,    True,       True,       "everything"),
    ((b"films",),   ROOT,    True,       False,      "above-its-folder"),
    (None,          FILMS,   True,       False,      "a-reader"),
    ((),            FILMS,   False,      False,      "a-server-that-takes-nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("writes", "folder", "is_writable", "expected"),
    [row[:-1] for row in WRITING],
    ids=[row[-1] for row in WRITING],
)
def test_uploads_are_offered_to_who_may_write_here(
    writes: Segments | None, folder: Name, *, is_writable: bool, expected: bool
) -> None:
    scope = scope_of(Visit("token t", (), writes))
    assert asked(scope, folder, private=True, writable=is_writable).may_write is expected
    page = PageListing(folder, "", visitor=asked(scope, folder, writable=is_writable)).tail()
    assert ('type="file"' in page) is expected


def test_who_may_read_a_part_is_told_of_no_folder_above() -> None:
    visitor = asked(scope_of(Visit("token t", (b"films", b"new"))), private=True)
    assert visitor.hidden_depth == 2


LINKS = [
    # expires_at     note                                                  id
    (None,           "Shared with you by a link",                          "for-ever"),
    (1_767_323_045,  "Shared with you by a link, until 2026-01-02 03:04 UTC", "for-a-while"),
    (10**17,         "Shared with you by a link",                          "beyond-calendars"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expires_at", "note"), [row[:-1] for row in LINKS], ids=[row[-1] for row in LINKS]
)
def test_a_link_says_how_long_it_holds_and_offers_no_login(
    expires_at: int | None, note: str
) -> None:
    link = Link("4f2a", (b"films",), is_folder=True, expires_at=expires_at)
    visit = Visit("link 4f2a", (b"films",), link=link)
    assert asked(scope_of(visit), writable=True) == Visitor(note=note, hidden_depth=1)


CRUMBS = [
    # folder                   hidden  labels above             id
    ((b"a", b"b", b"c"),       0,      ["Files", "a", "b"],     "all"),
    ((b"a", b"b", b"c"),       1,      ["a", "b"],              "all-but-the-root"),
    ((b"a", b"b", b"c"),       2,      ["b"],                   "one"),
    ((b"a", b"b", b"c"),       3,      [],                      "the-linked-folder-itself"),
    ((),                       0,      [],                      "the-root"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("segments", "hidden_depth", "labels"),
    [row[:-1] for row in CRUMBS],
    ids=[row[-1] for row in CRUMBS],
)
def test_crumbs_begin_where_the_visitor_may_begin(
    segments: Segments, hidden_depth: int, labels: list[str]
) -> None:
    crumbs = crumbs_above(Name(segments), hidden_depth)
    assert [crumb.label for crumb in crumbs] == labels
    count = len(segments)
    assert [crumb.url for crumb in crumbs] == [
        "../" * n for n in range(count - hidden_depth, 0, -1)
    ]


def test_pages_that_know_visitors_are_no_ones_to_cache() -> None:
    for chosen in ({"private": True}, {"writable": True}):
        assert dict(page_fields(settings_of(**chosen)))[b"vary"] == b"Cookie, Authorization"


def test_no_name_of_a_token_and_no_address_breaks_the_page() -> None:
    visitor = Visitor(who='<b>"', login_url='/-/login?next="><script>', may_write=True)
    form = PageListing(FILMS, "", visitor=visitor)
    page = form.head() + form.rows([Entry(b"a", EntryKind.FILE, 1, 0)]) + form.tail()
    assert "<script>" not in re.sub(r"<script type=\"module\"[^>]*></script>", "", page)
    assert '<b>"' not in page


@pytest.mark.parametrize("private", [True, False])
def test_who_reads_by_a_token_is_told_that_programs_need_it(private: bool) -> None:
    visitor = asked(scope_of(WRITER, COOKIE), private=private, writable=True)
    assert visitor.needs_token is private
