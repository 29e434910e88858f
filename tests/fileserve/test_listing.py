"""What a folder looks like to browsers and programs, however large and strange it is."""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_send import RecordingSend, http_scope, no_more_request
from starlette.types import Message, Scope, Send

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.listing import send_listing
from fileserve.site.listing_entries import rfc3339
from fileserve.site.listing_json import JsonListing
from fileserve.site.listing_page import PageListing, human_size
from storage.errors import Unavailable
from storage.local import Entry, EntryKind, LocalStorage
from storage.names import Name, parse_request_path

ROOT = Name(())


def list_folder(
    storage: LocalStorage,
    scope: Scope,
    send: Send,
    name: Name = ROOT,
    extra_fields: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    async def run() -> None:
        try:
            await send_listing(scope, no_more_request, send, storage, name, extra_fields)
        finally:
            await storage.close()

    asyncio.run(run())


def get(root: Path, target: str = "/", method: str = "GET", **fields: str) -> RecordingSend:
    send = RecordingSend()
    scope = http_scope(method, target, **fields)
    list_folder(LocalStorage(root), scope, send, parse_request_path(scope["raw_path"]).name)
    return send


class Links(HTMLParser):
    """The links of a page with their labels, in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.elements: list[str] = []
        self._href: str | None = None
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag == "a":
            self._href = dict(attrs)["href"]

    def handle_data(self, data: str) -> None:
        if self._href is not None:
            self.found.append((self._href, data))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._href = None


STRANGE_NAMES = [
    b"plain.txt",
    b"a b & c.txt",
    b"100%.txt",
    b"#1?.txt",
    b"back\\slash",
    b"javascript:alert(1)",
    b"<script>alert(1)",
    b'"onmouseover="x',
    b"'quoted'",
    b"latin1-\xe9",
    b"\xff\xfe",
    b"line\nbreak",
    b"\xe2\x80\xaegpj.exe",
    "😀 ".encode() * 10,
    b"x" * 255,
    b"...",
]


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    for name in STRANGE_NAMES:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(b"")
    return tmp_path


def listed_names(root: Path) -> list[bytes]:
    visible = sorted(name for name in os.listdir(os.fsencode(root)) if not name.startswith(b"."))
    assert len(visible) == len(STRANGE_NAMES) - 1
    return visible


def test_each_link_of_the_page_leads_to_its_file(strange: Path) -> None:
    links = Links(get(strange).content).found
    names = [
        parse_request_path(urljoin("/", href).encode("ascii")).name.last for href, _label in links
    ]
    assert sorted(names) == listed_names(strange)
    assert all(urljoin("http://host/", href).startswith("http://host/") for href, _ in links)


def test_each_url_of_the_json_leads_to_its_file(strange: Path) -> None:
    entries = json.loads(get(strange, "/?format=json").content)["entries"]
    names = [parse_request_path(entry["url"].encode("ascii")).name.last for entry in entries]
    assert sorted(names) == listed_names(strange)
    assert [entry["name"] for entry in entries] == [
        name.decode("utf-8", "replace") for name in names
    ]


def test_no_name_becomes_markup(strange: Path) -> None:
    elements = set(Links(get(strange).content).elements)
    assert "script" not in elements
    assert b'onmouseover="' not in get(strange).content


def test_names_are_isolated_from_the_direction_of_their_surroundings(strange: Path) -> None:
    page = get(strange).content.decode()
    assert page.count("</bdi></a></td>") == len(STRANGE_NAMES) - 1
    assert "\u202e" not in page


@given(st.binary(min_size=1, max_size=255).filter(lambda b: b not in (b".", b"..")))
def test_any_name_is_listed_with_a_link_that_works(segment: bytes) -> None:
    segment = segment.replace(b"/", b"_").replace(b"\0", b"_")
    entry = Entry(segment, EntryKind.FILE, 1, 0)
    folder = Name((b"f",))
    member = json.loads("[" + JsonListing(folder, "").rows([entry]) + "]")[0]
    assert unquote_to_bytes(member["url"]) == b"/f/" + segment
    ((href, _label),) = Links(PageListing(folder, "").rows([entry]).encode()).found[:1]
    assert unquote_to_bytes(urljoin("/f/", href)) == b"/f/" + segment


def test_json_says_what_is_known_of_each_entry(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "a b.mkv").write_bytes(b"x" * 2000)
    os.utime(tmp_path / "films", ns=(0, 0))
    os.utime(tmp_path / "a b.mkv", ns=(0, 1_767_323_045_999_999_999))
    response = get(tmp_path, accept="application/json")
    assert response.fields["content-type"] == "application/json"
    assert json.loads(response.content) == {
        "path": "/",
        "url": "/",
        "entries": [
            {
                "name": "films",
                "type": "folder",
                "size": None,
                "modified": "1970-01-01T00:00:00Z",
                "media_type": None,
                "url": "/films/",
            },
            {
                "name": "a b.mkv",
                "type": "file",
                "size": 2000,
                "modified": "2026-01-02T03:04:05Z",
                "media_type": "video/x-matroska",
                "url": "/a%20b.mkv",
            },
        ],
    }


def test_folders_come_first_in_every_form(tmp_path: Path) -> None:
    for name in ("b", "Z"):
        (tmp_path / name).mkdir()
    for name in ("a", "C"):
        (tmp_path / name).touch()
    entries = json.loads(get(tmp_path, "/?format=json").content)["entries"]
    assert [entry["url"] for entry in entries] == ["/b/", "/Z/", "/a", "/C"]
    assert [href for href, _ in Links(get(tmp_path).content).found] == ["b/", "Z/", "a", "C"]


def test_breadcrumbs_lead_to_every_folder_above(tmp_path: Path) -> None:
    (tmp_path / "a b" / "<c>" / "d").mkdir(parents=True)
    links = Links(get(tmp_path, "/a%20b/%3Cc%3E/d/").content).found
    here = "/a%20b/%3Cc%3E/d/"
    assert [(urljoin(here, href), label) for href, label in links] == [
        ("/", "Files"),
        ("/a%20b/", "a b"),
        ("/a%20b/%3Cc%3E/", "<c>"),
    ]


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    response = get(tmp_path)
    assert b"This folder is empty." in response.content
    assert b"<table" not in response.content
    assert json.loads(get(tmp_path, "/?format=json").content)["entries"] == []


def test_a_name_reserved_for_the_service_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "-").touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "-").touch()
    entries = json.loads(get(tmp_path, "/?format=json").content)["entries"]
    assert [entry["url"] for entry in entries] == ["/below/"]
    entries = json.loads(get(tmp_path, "/below/?format=json").content)["entries"]
    assert [entry["url"] for entry in entries] == ["/below/-"]


def test_a_name_too_long_for_any_url_is_not_listed() -> None:
    folder = Name((b"d" * 255,) * 15 + (b"d" * 200,))  # 4,040 bytes with its slashes
    fits, too_long = (Entry(b"x" * length, EntryKind.FILE, 1, 0) for length in (54, 55))
    rows = JsonListing(folder, "").rows([fits, too_long])
    assert len(json.loads(f"[{rows}]")) == 1


def test_urls_are_right_where_the_site_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    scope = {**http_scope("GET", "/"), "root_path": "/files"}
    page, entries = RecordingSend(), RecordingSend()
    list_folder(LocalStorage(tmp_path), scope, page)
    list_folder(LocalStorage(tmp_path), {**scope, "query_string": b"format=json"}, entries)
    assert b'href="/files/-/static/page.' in page.content
    assert json.loads(entries.content)["entries"][0]["url"] == "/files/a"


NEGOTIATED = [
    # target             Accept                          media type or status
    ("/",                None,                           "text/html; charset=utf-8"),
    ("/",                "*/*",                          "text/html; charset=utf-8"),
    ("/",                "application/json",             "application/json"),
    ("/",                "text/html;q=0.5, application/json", "application/json"),
    ("/",                "image/png",                    "text/html; charset=utf-8"),  # 12.4.1
    ("/?format=json",    "text/html",                    "application/json"),
    ("/?format=html",    "application/json",             "text/html; charset=utf-8"),
    ("/?x=1&format=json", None,                          "application/json"),
    ("/?download",       None,                           "text/html; charset=utf-8"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "accept", "media_type"), NEGOTIATED)
def test_the_form_is_negotiated(
    tmp_path: Path, target: str, accept: str | None, media_type: str
) -> None:
    fields = {} if accept is None else {"accept": accept}
    response = get(tmp_path, target, **fields)
    assert (response.status, response.fields["content-type"]) == (200, media_type)
    assert response.fields["vary"] == "Accept"


@pytest.mark.parametrize("query", ["format=xml", "format=", "format=JSON"])
def test_an_unknown_format_is_a_bad_request(tmp_path: Path, query: str) -> None:
    response = get(tmp_path, f"/?{query}")
    assert response.status == 400
    assert response.fields["content-type"] == "application/problem+json"


@pytest.mark.parametrize("target", ["/", "/?format=json"])
def test_head_has_the_fields_of_get_and_no_content(tmp_path: Path, target: str) -> None:
    head, whole = get(tmp_path, target, "HEAD"), get(tmp_path, target)
    assert (head.status, head.fields, head.content) == (200, whole.fields, b"")
    assert head.is_complete
    assert "content-length" not in whole.fields


def test_nothing_of_a_page_is_kept_or_run(tmp_path: Path) -> None:
    fields = get(tmp_path).fields
    assert fields["cache-control"] == "no-cache"
    assert fields["x-content-type-options"] == "nosniff"
    policy = fields["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert not any(part.startswith("script-src") for part in policy)


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert get(tmp_path, "/gone/").status == 404


@pytest.mark.parametrize("target", ["/", "/gone/", "/?format=xml"])
def test_extra_fields_are_on_every_answer(tmp_path: Path, target: str) -> None:
    send = RecordingSend()
    scope = http_scope("GET", target)
    name = parse_request_path(scope["raw_path"]).name
    list_folder(LocalStorage(tmp_path), scope, send, name, [(b"vary", b"Origin")])
    assert send.fields["vary"] == "Accept, Origin"


class Measuring:
    """An ASGI send that keeps only what it needs to judge a long response."""

    def __init__(self) -> None:
        self.longest = 0
        self.links = 0
        self.last: Message = {}

    async def __call__(self, message: Message) -> None:
        body = message.get("body", b"")
        self.longest = max(self.longest, len(body))
        self.links += len(re.findall(rb'"url": "/\d|<td class="name"', body))
        self.last = message


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("huge")
    for number in range(50_000):
        os.close(os.open(root / f"{number:05}.bin", os.O_CREAT | os.O_WRONLY, 0o600))
    return root


@pytest.mark.parametrize("target", ["/?format=html", "/?format=json"])
def test_fifty_thousand_entries_leave_in_small_pieces(huge: Path, target: str) -> None:
    send = Measuring()
    list_folder(LocalStorage(huge), http_scope("GET", target), send)
    assert send.links == 50_000
    assert send.longest < 128 << 10
    assert send.last["more_body"] is False


def test_no_piece_is_made_before_the_last_one_is_taken(huge: Path) -> None:
    class GoneError(Exception):
        pass

    class TakesThree(RecordingSend):
        async def __call__(self, message: Message) -> None:
            await super().__call__(message)
            if len(self.messages) == 3:
                raise GoneError

    send = TakesThree()
    with pytest.raises(GoneError):
        list_folder(LocalStorage(huge), http_scope("GET", "/"), send)
    assert len(send.messages) == 3


class DyingStorage(LocalStorage):
    """A folder on a mount that stops answering after its first batch."""

    async def list(self, name: Name) -> AsyncGenerator[list[Entry], None]:
        yield [Entry(b"first", EntryKind.FILE, 1, 0)]
        raise Unavailable("/srv/secret: no answer", 5)


class DeadStorage(LocalStorage):
    """A folder on a mount that does not answer at all."""

    async def list(self, name: Name) -> AsyncGenerator[list[Entry], None]:
        raise Unavailable("/srv/secret: no answer", 5)
        yield []


@pytest.mark.parametrize("target", ["/?format=html", "/?format=json"])
def test_a_mount_that_dies_in_mid_stream_cuts_the_response(tmp_path: Path, target: str) -> None:
    send = RecordingSend()
    with pytest.raises(TransferCut) as cut:
        list_folder(DyingStorage(tmp_path), http_scope("GET", target), send)
    assert cut.value.cause is EndCause.UNAVAILABLE
    assert send.status == 200
    assert not send.is_complete


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_mount_that_does_not_answer_is_a_503(tmp_path: Path, method: str) -> None:
    send = RecordingSend()
    list_folder(DeadStorage(tmp_path), http_scope(method, "/"), send)
    assert (send.status, send.fields["retry-after"]) == (503, "5")
    assert b"secret" not in send.content


SIZES = [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
    (102_348, "99.9 KiB"), (102_400, "100 KiB"), (1_023_487, "999 KiB"), (1_023_488, "1.0 MiB"),
    (1 << 20, "1.0 MiB"), (61_300_000_000, "57.1 GiB"), (1 << 60, "1.0 EiB"),
    ((1 << 63) - 1, "8.0 EiB"), (1 << 80, "1048576 EiB"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "text"), SIZES)
def test_a_size_has_two_or_three_digits_and_a_unit(size: int, text: str) -> None:
    assert human_size(size) == text


@given(st.integers(0, 1 << 63))
def test_any_size_is_short(size: int) -> None:
    assert len(human_size(size)) <= len("99.9 KiB")


TIMES = [
    (0, "1970-01-01T00:00:00Z"),
    (999_999_999, "1970-01-01T00:00:00Z"),
    (-1, "1969-12-31T23:59:59Z"),
    (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
    (253_402_300_799_000_000_000, "9999-12-31T23:59:59Z"),
    (253_402_300_800_000_000_000, None),
    (-(1 << 80), None),
    (None, None),
]


@pytest.mark.parametrize(("modified_ns", "text"), TIMES)
def test_times_are_rfc_3339_in_utc(modified_ns: int | None, text: str | None) -> None:
    assert rfc3339(modified_ns) == text


def test_the_exact_size_stands_beside_the_short_one(tmp_path: Path) -> None:
    with open(tmp_path / "a", "wb") as file:
        file.truncate(61_300_000_000)
    assert b'title="61,300,000,000 bytes">57.1 GiB<' in get(tmp_path).content


def test_the_page_ends_with_its_totals(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x" * 512)
    assert b"<footer>1 folder, 2 files, 1.0 KiB</footer>" in get(tmp_path).content
