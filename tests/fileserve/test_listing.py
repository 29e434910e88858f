"""How a listing is delivered: in pieces or as a whole, under conditions, and when storage fails."""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from recording_send import RecordingSend, http_scope, no_more_request
from starlette.types import Message, Scope, Send

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.listing import send_listing
from storage.errors import Unavailable
from storage.local import Entry, EntryKind, LocalStorage
from storage.names import Name, parse_request_path
from storage.ordering import BY_NAME, Order

ROOT = Name(())
FORMS = ["html", "json", "ndjson", "csv", "text"]


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


CSV = "text/csv; charset=utf-8; header=present"
NEGOTIATED = [
    # target              Accept                              media type
    ("/",                 None,                               "text/html; charset=utf-8"),
    ("/",                 "*/*",                              "text/html; charset=utf-8"),
    ("/",                 "application/json",                 "application/json"),
    ("/",                 "application/x-ndjson",             "application/x-ndjson"),
    ("/",                 "text/csv",                         CSV),
    ("/",                 "text/csv; header=present",         CSV),
    ("/",                 "text/csv; header=absent",          "text/html; charset=utf-8"),
    ("/",                 "text/plain",                       "text/plain; charset=utf-8"),
    ("/",                 "text/*",                           "text/html; charset=utf-8"),
    ("/",                 "text/html;q=0.5, application/json", "application/json"),
    ("/",                 "image/png",                        "text/html; charset=utf-8"),  # 12.4.1
    ("/?format=json",     "text/html",                        "application/json"),
    ("/?format=html",     "application/json",                 "text/html; charset=utf-8"),
    ("/?x=1&format=json", None,                               "application/json"),
    ("/?download",        None,                               "text/html; charset=utf-8"),
    ("/?q=x",             "text/plain",                       "text/plain; charset=utf-8"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "accept", "media_type"), NEGOTIATED)
def test_the_form_is_negotiated(
    tmp_path: Path, target: str, accept: str | None, media_type: str
) -> None:
    fields = {} if accept is None else {"accept": accept}
    response = get(tmp_path, target, **fields)
    assert (response.status, response.fields["content-type"]) == (200, media_type)
    assert response.fields["vary"] == "Accept"


BAD_REQUESTS = [
    # query                  what is allowed
    ("format=xml",           "'html', 'json', 'ndjson', 'csv' or 'text'"),
    ("format=",              "'html', 'json', 'ndjson', 'csv' or 'text'"),
    ("format=JSON",          "'html', 'json', 'ndjson', 'csv' or 'text'"),
    ("sort=date",            "'name', 'size' or 'modified'"),
    ("sort=name&order=down", "'asc' or 'desc'"),
    ("order=",               "'asc' or 'desc'"),
    ("recursive=deep",       "'1' or '0'"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "allowed"), BAD_REQUESTS)
def test_a_value_that_means_nothing_is_a_bad_request(
    tmp_path: Path, query: str, allowed: str
) -> None:
    response = get(tmp_path, f"/?{query}")
    assert response.status == 400
    assert response.fields["content-type"] == "application/problem+json"
    assert allowed in json.loads(response.content)["detail"]


TARGETS = [f"/?format={form}{more}" for form in FORMS for more in ("", "&recursive", "&q=a")]


@pytest.mark.parametrize("target", ["/", *TARGETS])
def test_head_has_the_fields_of_get_and_no_content(tmp_path: Path, target: str) -> None:
    (tmp_path / "a").touch()
    head, whole = get(tmp_path, target, "HEAD"), get(tmp_path, target)
    assert (head.status, head.fields, head.content) == (200, whole.fields, b"")
    assert head.is_complete
    assert whole.is_complete


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_of_a_listing_is_kept_or_taken_for_something_else(
    tmp_path: Path, target: str
) -> None:
    fields = get(tmp_path, target).fields
    assert fields["cache-control"] == "no-cache"
    assert fields["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in fields["content-security-policy"].split("; ")


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    for query in ("", "?recursive&format=json", "?q=a"):
        assert get(tmp_path, f"/gone/{query}").status == 404


@pytest.mark.parametrize("target", ["/", "/gone/", "/?format=xml", "/?recursive&format=json"])
def test_extra_fields_are_on_every_answer(tmp_path: Path, target: str) -> None:
    send = RecordingSend()
    scope = http_scope("GET", target)
    name = parse_request_path(scope["raw_path"]).name
    list_folder(LocalStorage(tmp_path), scope, send, name, [(b"vary", b"Origin")])
    assert send.fields["vary"] == "Accept, Origin"


@pytest.mark.parametrize("form", FORMS)
def test_a_listing_of_one_batch_has_a_length_and_a_tag(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    first, again = get(tmp_path, f"/?format={form}"), get(tmp_path, f"/?format={form}")
    assert first.fields["content-length"] == str(len(first.content))
    assert first.fields["etag"] == again.fields["etag"]
    assert re.fullmatch('"[0-9a-f]{32}"', first.fields["etag"])


@pytest.mark.parametrize("form", FORMS)
def test_whatever_a_listing_shows_is_in_its_tag(tmp_path: Path, form: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x")
    os.utime(file, (1, 1))
    tags = [get(tmp_path, f"/?format={form}").fields["etag"]]
    # The size of a file changes without its folder's time; so does its own time.
    folder_time = tmp_path.stat().st_mtime_ns
    file.write_bytes(b"xx")
    os.utime(file, (1, 1))
    tags.append(get(tmp_path, f"/?format={form}").fields["etag"])
    os.utime(file, (2, 2))
    tags.append(get(tmp_path, f"/?format={form}").fields["etag"])
    assert tmp_path.stat().st_mtime_ns == folder_time
    (tmp_path / "b").write_bytes(b"x")
    tags.append(get(tmp_path, f"/?format={form}").fields["etag"])
    # Text shows neither sizes nor times.
    assert len(set(tags)) == (2 if form == "text" else 4)


def test_each_form_has_a_tag_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert len({get(tmp_path, f"/?format={form}").fields["etag"] for form in FORMS}) == len(FORMS)


CONDITIONS = [
    # field            value           status  section
    ("if_none_match",  "{tag}",        304),   # 13.1.2
    ("if_none_match",  "W/{tag}",      304),   # weak comparison
    ("if_none_match",  '"x", {tag}',   304),
    ("if_none_match",  "*",            304),
    ("if_none_match",  '"x"',          200),
    ("if_none_match",  '""',           200),
    ("if_none_match",  "garbage",      200),
    ("if_match",       "{tag}",        200),   # 13.1.1
    ("if_match",       "*",            200),
    ("if_match",       '"x"',          412),
    ("if_match",       "W/{tag}",      412),   # strong comparison
    ("if_modified_since", "Sun, 06 Nov 2044 08:49:37 GMT", 200),  # no date to compare with
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "status"), CONDITIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_preconditions_are_judged_by_the_tag(
    tmp_path: Path, field: str, value: str, status: int, method: str
) -> None:
    (tmp_path / "a").touch()
    tag = get(tmp_path, "/?format=json").fields["etag"]
    response = get(tmp_path, "/?format=json", method, **{field: value.format(tag=tag)})
    assert response.status == status
    if status == 304:
        assert response.content == b""
        assert (response.fields["etag"], response.fields["vary"]) == (tag, "Accept")
        assert response.fields["cache-control"] == "no-cache"


UNTAGGED = [("*", 304), ('""', 200), ('"x"', 200)]


@pytest.mark.parametrize(("value", "status"), UNTAGGED)
def test_no_tag_matches_a_listing_without_one(tmp_path: Path, value: str, status: int) -> None:
    response = get(tmp_path, "/?recursive&format=json", if_none_match=value)
    assert response.status == status
    assert "etag" not in response.fields
    if_match = get(tmp_path, "/?recursive&format=json", if_match=value)
    assert if_match.status == (200 if value == "*" else 412)


class Measuring:
    """An ASGI send that keeps only what it needs to judge a long response."""

    def __init__(self) -> None:
        self.longest = 0
        self.rows = 0
        self.first: Message = {}
        self.last: Message = {}

    async def __call__(self, message: Message) -> None:
        body = message.get("body", b"")
        self.longest = max(self.longest, len(body))
        self.rows += len(re.findall(rb'(?m)<bdi>\d|"path": "\d|^\d', body))
        self.first = self.first or message
        self.last = message


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("huge")
    for number in range(50_000):
        os.close(os.open(root / f"{number:05}.bin", os.O_CREAT | os.O_WRONLY, 0o600))
    return root


@pytest.mark.parametrize("more", ["", "&sort=size&order=desc", "&recursive"])
@pytest.mark.parametrize("form", FORMS)
def test_fifty_thousand_entries_leave_in_small_pieces(huge: Path, form: str, more: str) -> None:
    send = Measuring()
    list_folder(LocalStorage(huge), http_scope("GET", f"/?format={form}{more}"), send)
    assert send.rows == 50_000
    assert send.longest < 96 << 10
    assert send.last["more_body"] is False
    names = [name for name, _ in send.first["headers"]]
    assert b"etag" not in names
    assert b"content-length" not in names


class TakesThree(RecordingSend):
    """A client that leaves after the head and two pieces."""

    async def __call__(self, message: Message) -> None:
        await super().__call__(message)
        if len(self.messages) == 3:
            raise ConnectionResetError


@pytest.mark.parametrize("target", ["/", "/?format=json&recursive", "/?format=csv&q=1"])
def test_no_piece_is_made_before_the_last_one_is_taken(huge: Path, target: str) -> None:
    send = TakesThree()
    with pytest.raises(ConnectionResetError):
        list_folder(LocalStorage(huge), http_scope("GET", target), send)
    assert len(send.messages) == 3


FIRST = Entry(b"first", EntryKind.FILE, 1, 0)


class DyingStorage(LocalStorage):
    """A long folder on a mount that stops answering while it is listed."""

    async def list(self, name: Name, order: Order = BY_NAME) -> AsyncGenerator[list[Entry], None]:
        yield []
        yield [FIRST]
        raise Unavailable("/srv/secret: no answer", 5)


class DeadStorage(LocalStorage):
    """A folder on a mount that does not answer at all."""

    async def list(self, name: Name, order: Order = BY_NAME) -> AsyncGenerator[list[Entry], None]:
        raise Unavailable("/srv/secret: no answer", 5)
        yield []


class ShortAndDyingStorage(LocalStorage):
    """A short folder on a mount that stops answering before all of it is known."""

    async def list(self, name: Name, order: Order = BY_NAME) -> AsyncGenerator[list[Entry], None]:
        yield [FIRST]
        raise Unavailable("/srv/secret: no answer", 5)


@pytest.mark.parametrize("form", FORMS)
def test_a_mount_that_dies_in_mid_stream_cuts_the_response(tmp_path: Path, form: str) -> None:
    send = RecordingSend()
    with pytest.raises(TransferCut) as cut:
        list_folder(DyingStorage(tmp_path), http_scope("GET", f"/?format={form}"), send)
    assert cut.value.cause is EndCause.UNAVAILABLE
    assert send.status == 200
    assert not send.is_complete


@pytest.mark.parametrize("storage", [DeadStorage, ShortAndDyingStorage])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_mount_that_does_not_answer_in_time_for_the_head_is_a_503(
    tmp_path: Path, method: str, storage: type[LocalStorage]
) -> None:
    send = RecordingSend()
    list_folder(storage(tmp_path), http_scope(method, "/"), send)
    assert (send.status, send.fields["retry-after"]) == (503, "5")
    assert b"secret" not in send.content


def test_urls_are_right_where_the_site_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    scope = {**http_scope("GET", "/"), "root_path": "/files"}
    page, entries = RecordingSend(), RecordingSend()
    list_folder(LocalStorage(tmp_path), scope, page)
    list_folder(LocalStorage(tmp_path), {**scope, "query_string": b"format=json"}, entries)
    assert b'href="/files/-/static/page.' in page.content
    assert json.loads(entries.content)["entries"][0]["url"] == "/files/a"
