"""What each form says of the entries of a folder, however strange their names are."""

import asyncio
import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_send import RecordingSend, http_scope, no_more_request

from fileserve.site.listing import send_listing
from fileserve.site.listing_entries import (
    ListingForm,
    Notice,
    NoticeKind,
    Shown,
    quoted,
    reachable,
    rfc3339,
)
from fileserve.site.listing_json import JsonListing
from fileserve.site.listing_page import PageListing
from fileserve.site.listing_rows import CsvListing, NdjsonListing, TextListing
from storage.local import Entry, EntryKind, LocalStorage
from storage.names import Name, is_staging, parse_request_path

HERE = Name((b"f",))
MakeForm = Callable[[Name, str, Shown], ListingForm]
FILE, FOLDER, UNKNOWN = EntryKind.FILE, EntryKind.FOLDER, EntryKind.UNKNOWN


class Links(HTMLParser):
    """The links of a page that are entries, and all its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.elements: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        href = dict(attrs).get("href") or "?"
        if tag == "a" and "?" not in href:
            self.hrefs.append(href)


def _of_html(text: str) -> list[str]:
    return Links(text).hrefs


def _of_json(text: str) -> list[str]:
    return [record["url"] for record in json.loads(text)["entries"]]


def _of_ndjson(text: str) -> list[str]:
    return [json.loads(line)["url"] for line in text.splitlines()]


def _of_csv(text: str) -> list[str]:
    return [row["url"] for row in csv.DictReader(io.StringIO(text, newline=""))]


def _of_text(text: str) -> list[str]:
    return [line for line in text.split("\n") if line and not line.startswith("#")]


# How a program reads the URLs out of each form.
READERS: dict[MakeForm, Callable[[str], list[str]]] = {
    PageListing: _of_html,
    JsonListing: _of_json,
    NdjsonListing: _of_ndjson,
    CsvListing: _of_csv,
    TextListing: _of_text,
}
FORMS = list(READERS)
NAMES = {"html": PageListing, "json": JsonListing, "ndjson": NdjsonListing,
         "csv": CsvListing, "text": TextListing}  # fmt: skip


def whole(form: MakeForm, *parts: tuple[Name, Sequence[Entry]], top: Name = HERE) -> str:
    """The listing of top that has these entries, each part of one folder."""
    listing = form(top, "", Shown())
    return "".join([listing.head(), *(listing.found(*part) for part in parts), listing.tail()])


def paths(form: MakeForm, text: str, base: str = "/f/") -> list[bytes]:
    """The exact paths behind the URLs, as a client of base resolves them."""
    return [unquote_to_bytes(urljoin(base, url)) for url in READERS[form](text)]


STRANGE_NAMES = [
    b"plain.txt",
    b"a b & c.txt",
    b"100%.txt",
    b"100%25.txt",
    b"#1?.txt",
    b"# comment",
    b"back\\slash",
    b"javascript:alert(1)",
    b"http:",
    b"//host",
    b"<script>alert(1)",
    b"</script>",
    b'"onmouseover="x',
    b"'quoted'",
    b'quote","comma',
    b"=1+1",
    b"+1",
    b"-rf",
    b"@SUM(A1)",
    b"\tTab",
    b"latin1-\xe9",
    b"\xff\xfe",
    b"line\nbreak",
    b"carriage\rreturn\r\n",
    b"\xe2\x80\xaegpj.exe",
    b"\xe2\x81\xa6isolate",
    b"\xe2\x80\xa8line-separator",
    b"\xed\xa0\x80surrogate",
    "e\u0301 \u00e9 \u05d0\u05d1".encode(),
    "😀 ".encode() * 10,
    b" leading and trailing ",
    b"x" * 255,
    b"...",
    b"-",
    b"~",
    b"\x7f\x01",
]  # fmt: skip
# What has no slash is a name on the disk; the others only reach the forms themselves.
ON_DISK = [name for name in STRANGE_NAMES if b"/" not in name and not name.startswith(b".")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [FILE, FOLDER, UNKNOWN])
@pytest.mark.parametrize("name", ON_DISK)
def test_each_url_leads_to_its_entry(form: MakeForm, kind: EntryKind, name: bytes) -> None:
    text = whole(form, (HERE, [Entry(name, kind, None, 0)]))
    slash = b"/" if kind is FOLDER else b""
    expected = [b"/f/" + name + slash]
    # Above the page's rows is the way to the root.
    assert paths(form, text)[-1:] == expected


@pytest.mark.parametrize("form", FORMS)
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4))
def test_any_path_below_survives_every_form(form: MakeForm, raw: list[bytes]) -> None:
    segments = [name.replace(b"/", b"_").replace(b"\0", b"_") for name in raw]
    # Names that are never listed.
    segments = [b"x" if name in (b".", b"..") or is_staging(name) else name for name in segments]
    *above, last = segments
    text = whole(form, (Name((b"f", *above)), [Entry(last, FILE, 1, 0)]))
    assert paths(form, text)[-1] == b"/f/" + b"/".join(segments)
    assert parse_request_path(urljoin("/f/", READERS[form](text)[-1]).encode("ascii"))


@pytest.mark.parametrize(("query", "form"), NAMES.items())
def test_each_url_requested_gives_that_file(tmp_path: Path, query: str, form: MakeForm) -> None:
    top = os.fsencode(tmp_path)
    for name in ON_DISK:
        if name != b"-":  # the service's own
            Path(os.fsdecode(os.path.join(top, name))).write_bytes(name)

    async def scenario() -> list[bytes]:
        storage, send = LocalStorage(tmp_path), RecordingSend()
        scope = http_scope("GET", f"/?format={query}")
        await send_listing(scope, no_more_request, send, storage, Name(()))
        contents = []
        for url in READERS[form](send.content.decode("utf-8")):
            name = parse_request_path(urljoin("/", url).encode("ascii")).name
            blob = await storage.open(name)
            contents.append(await blob.read(0, 300))
            assert contents[-1] == name.last
            await blob.close()
        await storage.close()
        return contents

    assert sorted(asyncio.run(scenario())) == sorted(set(ON_DISK) - {b"-"})


def test_no_name_becomes_markup() -> None:
    page = whole(PageListing, (HERE, [Entry(name, FILE, 1, 0) for name in ON_DISK]))
    plain = whole(PageListing, (HERE, [Entry(b"plain", FILE, 1, 0)]))
    assert Links(page).elements == Links(plain).elements
    assert "onmouseover=" not in page.replace("onmouseover=&quot;", "")


LINES_FORMS = [JsonListing, NdjsonListing, TextListing]


@pytest.mark.parametrize("form", LINES_FORMS)
def test_forms_for_programs_are_ascii_without_a_break_in_a_line(form: MakeForm) -> None:
    entries = [Entry(name, FILE, 1, 0) for name in ON_DISK]
    text = whole(form, (HERE, entries))
    assert text.isascii()
    extra = 2 if form is JsonListing else 0
    assert len(text.splitlines()) == len(entries) + extra


RECORDS = [
    (
        Entry(b"a b.mkv", FILE, 2000, 1_767_323_045_999_999_999),
        ["a b.mkv", "a b.mkv", "file", 2000, "2026-01-02T03:04:05Z", "video/x-matroska",
         "/m/f/a%20b.mkv"],
    ),
    (
        Entry(b"films", FOLDER, None, 0),
        ["films", "films", "folder", None, "1970-01-01T00:00:00Z", None, "/m/f/films/"],
    ),
    (
        Entry(b"elsewhere", UNKNOWN, None, None),
        ["elsewhere", "elsewhere", "unknown", None, None, None, "/m/f/elsewhere"],
    ),
    (
        Entry(b"caf\xe9", FILE, 0, None),
        ["caf\ufffd", "caf\ufffd", "file", 0, None, "application/octet-stream", "/m/f/caf%E9"],
    ),
    (
        Entry("é\n".encode(), FILE, 1 << 62, 1 << 70),
        ["é\n", "é\n", "file", 1 << 62, None, "application/octet-stream", "/m/f/%C3%A9%0A"],
    ),
]  # fmt: skip
MEMBERS = ["name", "path", "type", "size", "modified", "media_type", "url"]


@pytest.mark.parametrize(("entry", "values"), RECORDS)
def test_a_record_says_what_is_known(entry: Entry, values: list[str | int | None]) -> None:
    line = NdjsonListing(HERE, "/m", Shown()).rows([entry])
    assert line.endswith("}\n")
    assert json.loads(line) == dict(zip(MEMBERS, values, strict=True))
    assert list(json.loads(line)) == MEMBERS
    listing = CsvListing(HERE, "/m", Shown())
    rows = list(csv.reader(io.StringIO(listing.head() + listing.rows([entry]), newline="")))
    cells = ["" if value is None else str(value) for value in values]
    assert rows == [[*MEMBERS, "detail"], [*cells, ""]]


def test_the_path_of_a_record_is_relative_to_the_listed_folder() -> None:
    below = Name((b"f", b"disc 1", b"<\xe9>"))
    entry = Entry(b'a"b', FILE, 1, 0)
    record = json.loads(NdjsonListing(HERE, "", Shown()).found(below, [entry]))
    assert record["path"] == 'disc 1/<\ufffd>/a"b'
    assert record["url"] == "/f/disc%201/%3C%E9%3E/a%22b"
    assert TextListing(HERE, "", Shown()).found(below, [entry]) == "disc%201/%3C%E9%3E/a%22b\n"
    assert CsvListing(HERE, "", Shown()).found(below, [entry]).startswith('"a""b","disc 1/')


def test_a_prefix_that_needs_escaping_is_escaped() -> None:
    record = json.loads(NdjsonListing(HERE, '/"m\\', Shown()).rows([Entry(b"a", FILE, 1, 0)]))
    assert record["url"] == '/"m\\/f/a'


def test_json_is_one_object_around_the_records() -> None:
    top = Name((b"a b", b"\xe9"))
    listing = JsonListing(top, "/m", Shown(query='x"'))
    rows = listing.rows([Entry(b"1", FILE, 1, 0)]) + listing.rows([Entry(b"2", FILE, 1, 0)])
    found = json.loads(listing.head() + rows + listing.tail())
    assert [record["name"] for record in found.pop("entries")] == ["1", "2"]
    assert found == {
        "path": "/a b/\ufffd/", "url": "/m/a%20b/%E9/", "query": 'x"', "complete": True,
    }  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_folder_is_a_whole_listing(form: MakeForm) -> None:
    assert READERS[form](whole(form, top=Name(()))) == []


def test_csv_has_lines_as_rfc_4180_ends_them_and_does_not_alter_cells() -> None:
    text = whole(CsvListing, (HERE, [Entry(b"=1+1", FILE, 1, None)]))
    assert text == (
        "name,path,type,size,modified,media_type,url,detail\r\n"
        "=1+1,=1+1,file,1,,application/octet-stream,/f/%3D1%2B1,\r\n"
    )


DENIED = Notice(NoticeKind.UNREADABLE, Name((b"f", b"a b")), "No, never.")
ENDED = Notice(NoticeKind.CUT_SHORT, HERE, "Too many.")
NOTICES = [
    (DENIED, ["a b", "a b", "error", None, None, None, "/f/a%20b/", "No, never."], "# a%20b/ No, "),
    (ENDED, ["f", "", "end", None, None, None, "/f/", "Too many."], "# Too many."),
]


@pytest.mark.parametrize(("notice", "values", "comment"), NOTICES)
def test_what_is_missing_is_a_record_of_its_own(
    notice: Notice, values: list[str | None], comment: str
) -> None:
    record = dict(zip([*MEMBERS, "detail"], values, strict=True))
    assert json.loads(NdjsonListing(HERE, "", Shown()).notice(notice)) == record
    listing = JsonListing(HERE, "", Shown())
    parts = [listing.head(), listing.notice(notice), listing.tail()]
    found = json.loads("".join(parts))
    assert (found["entries"], found["complete"]) == ([record], False)
    (row,) = csv.reader(io.StringIO(CsvListing(HERE, "", Shown()).notice(notice), newline=""))
    assert row == ["" if value is None else value for value in values]
    assert TextListing(HERE, "", Shown()).notice(notice).startswith(comment)


def test_a_name_reserved_for_the_service_is_left_out_in_the_root_alone() -> None:
    entries = [Entry(b"-", FILE, 1, 0), Entry(b"a", FILE, 1, 0)]
    assert reachable(Name(()), entries) == entries[1:]
    assert reachable(HERE, entries) == entries


def test_a_name_too_long_for_any_url_is_left_out() -> None:
    folder = Name((b"d" * 255,) * 15 + (b"d" * 200,))  # 4,040 bytes with its slashes
    fits, too_long = (Entry(b"x" * length, FILE, 1, 0) for length in (54, 55))
    assert folder.child(fits.segment)
    assert reachable(folder, [fits, too_long]) == [fits]


@given(st.binary(max_size=255))
def test_a_name_is_quoted_as_the_urls_of_names_are(segment: bytes) -> None:
    assert quoted(segment) == quote(segment, safe="")


TIMES = [
    (0, "1970-01-01T00:00:00Z"),
    (999_999_999, "1970-01-01T00:00:00Z"),
    (-1, "1969-12-31T23:59:59Z"),
    (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
    (1_767_323_045_000_000_000, "2026-01-02T03:04:05Z"),
    (253_402_300_799_000_000_000, "9999-12-31T23:59:59Z"),
    (253_402_300_800_000_000_000, None),
    (-62_135_596_800_000_000_000, "0001-01-01T00:00:00Z"),
    (-62_135_596_801_000_000_000, None),
    (-(1 << 80), None),
    (1 << 200, None),
    (None, None),
]


@pytest.mark.parametrize(("modified_ns", "text"), TIMES)
def test_times_are_rfc_3339_in_utc(modified_ns: int | None, text: str | None) -> None:
    assert rfc3339(modified_ns) == text
