"""What a query makes of a file or a folder, and what --index, --robots and the limits change."""

import asyncio
import io
import os
import resource
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from fileserve.app import create_app
from fileserve.settings import Settings
from storage.local import LocalStorage
from tests.fileserve.recording_send import RecordingSend, http_scope, no_more_request

HTML = {"accept": "text/html"}
SANDBOX = "sandbox"
SITE_SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals"
NO_ROBOTS = "noindex, nofollow"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "site").mkdir(parents=True)
    (folder / "plain").mkdir()
    (folder / "odd" / "index.html").mkdir(parents=True)
    (folder / "site" / "index.html").write_bytes(b"<h1>Hello</h1>")
    (folder / "site" / "code.js").write_bytes(b"1;")
    (folder / "plain" / "film.mkv").write_bytes(b"0123456789")
    (folder / "plain" / "film.srt").write_bytes(b"1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    (folder / "plain" / "notes.txt").write_bytes(b"one\ntwo\n")
    return folder


def ask(
    root: Path,
    target: str,
    fields: dict[str, str] | None = None,
    method: str = "GET",
    **knobs: object,
) -> httpx.Response:
    """The answer of a service with these settings."""

    async def run() -> httpx.Response:
        storage = LocalStorage(root)
        site = create_app(Settings.model_validate({"root": root, **knobs}), storage)
        transport = httpx.ASGITransport(site)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
                return await client.request(method, target, headers=fields or {})
        finally:
            await storage.close()

    return asyncio.run(run())


# Each query reaches what answers it

REACHED = [
    # target                           status  media type                    id
    ("/plain/?archive=zip",             200,   "application/zip",            "zip"),
    ("/plain/?archive=tar",             200,   "application/x-tar",          "tar"),
    ("/plain/?archive=rar",             400,   "application/problem+json",   "unknown-archive"),
    ("/plain/?archive",                 400,   "application/problem+json",   "no-form"),
    ("/plain/?archive=ZIP",             400,   "application/problem+json",   "forms-have-case"),
    ("/plain/?archive=zip&archive=rar", 200,   "application/zip",            "first-value-counts"),
    ("/plain/?archive=tar&manifest=x",  200,   "application/x-tar",          "archive-first"),
    ("/plain/?manifest=sha256",         200,   "text/plain; charset=utf-8",  "sums"),
    ("/plain/?manifest=metalink",       200,   "application/metalink4+xml",  "metalink"),
    ("/plain/?manifest=md5",            400,   "application/problem+json",   "unknown-manifest"),
    ("/plain/?format=json",             200,   "application/json",           "listing"),
    ("/plain/?view",                    200,   "application/json",           "only-of-files"),
    ("/nothing/?archive=zip",           404,   "application/problem+json",   "no-such-folder"),
    ("/plain/film.mkv?view",            200,   "text/html; charset=utf-8",   "view"),
    ("/plain/film.mkv?view=1",          200,   "text/html; charset=utf-8",   "view-with-value"),
    ("/plain/film.srt?vtt",             200,   "text/vtt; charset=utf-8",    "subtitles"),
    ("/plain/film.mkv?vtt",             400,   "application/problem+json",   "no-subtitles"),
    ("/plain/notes.txt?follow",         200,   "text/plain",                 "follow"),
    ("/plain/notes.txt?archive=zip",    200,   "text/plain",                 "only-of-folders"),
    ("/plain/notes.txt?download",       200,   "text/plain",                 "download"),
    ("/plain/notes.txt?unheard=of",     200,   "text/plain",                 "unheard-of"),
    ("/plain/notes.txt/?view",          404,   "application/problem+json",   "no-folder"),
    ("/nothing?view",                   404,   "application/problem+json",   "view-of-nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "status", "kind"), [
    pytest.param(*row[:3], id=row[3]) for row in REACHED
])  # fmt: skip
def test_a_query_reaches_its_answer(root: Path, target: str, status: int, kind: str) -> None:
    response = ask(root, target, {"accept": "application/json"}, follow_idle_seconds=0.1)
    assert response.status_code == status
    assert response.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("target", [row[0] for row in REACHED if "follow" not in row[0]])
def test_head_is_answered_as_get_without_content(root: Path, target: str) -> None:
    fields = {"accept": "application/json"}
    with_content, without = ask(root, target, fields), ask(root, target, fields, "HEAD")
    assert without.status_code == with_content.status_code
    assert without.headers["content-type"] == with_content.headers["content-type"]
    assert without.content == b""


@pytest.mark.parametrize("target", [row[0] for row in REACHED])
def test_no_field_is_sent_twice(root: Path, target: str) -> None:
    response = ask(root, target, {"accept": "application/json"}, robots="deny",
                   follow_idle_seconds=0.1)  # fmt: skip
    names = [name.lower() for name, _ in response.headers.raw if name.lower() != b"link"]
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_a_folder_without_its_slash_keeps_its_query(root: Path) -> None:
    response = ask(root, "/plain?archive=zip")
    assert (response.status_code, response.headers["location"]) == (301, "/plain/?archive=zip")


def test_what_was_archived_is_in_the_archive(root: Path) -> None:
    names = {"plain/film.mkv", "plain/film.srt", "plain/notes.txt"}
    with zipfile.ZipFile(io.BytesIO(ask(root, "/plain/?archive=zip").content)) as archive:
        assert archive.testzip() is None
        assert {name for name in archive.namelist() if not name.endswith("/")} == names
    with tarfile.open(fileobj=io.BytesIO(ask(root, "/plain/?archive=tar").content)) as tar:
        assert {member.name for member in tar.getmembers() if member.isfile()} == names


# Conditions on what has no validators (RFC 9110, 13.2.1)


@pytest.mark.parametrize("target", ["/plain/film.mkv?view", "/plain/film.srt?vtt"])
@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("if-match", '"some"', 412),
        ("if-match", "*", 200),
        ("if-none-match", '"some"', 200),
        ("if-none-match", "*", 304),
    ],
)
def test_conditions_are_judged(
    root: Path, target: str, field: str, value: str, status: int
) -> None:
    assert ask(root, target, {field: value}).status_code == status


# --index


def test_a_folder_is_listed_unless_index_is_on(root: Path) -> None:
    assert "code.js" in ask(root, "/site/", HTML).text


INDEXED = [
    # target                   accept               content            id
    ("/site/",                 "text/html",         "<h1>Hello</h1>",  "the-page"),
    ("/site/",                 "application/json",  "<h1>Hello</h1>",  "whatever-is-accepted"),
    ("/site/?",                "text/html",         "<h1>Hello</h1>",  "empty-query"),
    ("/site/?format=json",     "text/html",         "code.js",         "a-form-is-a-listing"),
    ("/site/?sort=size",       "text/html",         "code.js",         "an-order-is-a-listing"),
    ("/plain/",                "text/html",         "film.mkv",        "no-index-there"),
    ("/odd/",                  "text/html",         "index.html",      "a-folder-is-no-page"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "accept", "content"), [
    pytest.param(*row[:3], id=row[3]) for row in INDEXED
])  # fmt: skip
def test_with_index_a_folder_is_its_page(
    root: Path, target: str, accept: str, content: str
) -> None:
    response = ask(root, target, {"accept": accept}, index=True)
    assert response.status_code == 200
    assert content in response.text


def test_the_page_of_a_folder_is_delivered_as_the_file_that_it_is(root: Path) -> None:
    page = ask(root, "/site/", index=True)
    file = ask(root, "/site/index.html", index=True)
    assert page.headers == file.headers
    again = ask(root, "/site/", {"if-none-match": page.headers["etag"]}, index=True)
    assert again.status_code == 304
    part = ask(root, "/site/", {"range": "bytes=1-2"}, index=True)
    assert (part.status_code, part.content) == (206, b"h1")
    assert ask(root, "/site/", method="HEAD", index=True).headers == file.headers


def test_an_archive_of_a_folder_with_a_page_is_an_archive(root: Path) -> None:
    assert ask(root, "/site/?archive=zip", index=True).content.startswith(b"PK")


def test_a_page_that_lies_too_deep_to_be_named_leaves_the_listing(root: Path) -> None:
    segments = ["d" * 240] * 16 + ["e" * 230]  # 4,086 bytes with slashes: no room for index.html
    folder = os.open(root, os.O_RDONLY)
    for segment in segments:
        os.mkdir(segment, dir_fd=folder)
        inner = os.open(segment, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    assert ask(root, f"/{'/'.join(segments)}/", HTML, index=True).status_code == 200


@pytest.mark.parametrize(("index", "policy"), [(False, SANDBOX), (True, SITE_SANDBOX)])
def test_pages_in_the_folder_run_in_a_sandbox(root: Path, index: bool, policy: str) -> None:
    response = ask(root, "/site/index.html", index=index)
    assert response.headers["content-security-policy"] == policy
    assert "content-security-policy" not in ask(root, "/plain/film.mkv", index=index).headers


# --robots

FOR_ROBOTS = [
    "/plain/film.mkv", "/plain/film.mkv?view", "/plain/film.srt?vtt", "/plain/notes.txt?follow",
    "/plain/", "/plain/?format=csv", "/plain/?archive=zip", "/plain/?archive=tar",
    "/plain/?manifest=sha256", "/plain/?manifest=metalink", "/plain", "/site/index.html",
]  # fmt: skip


@pytest.mark.parametrize("target", FOR_ROBOTS)
def test_robots_are_told_to_stay_away_where_they_shall(root: Path, target: str) -> None:
    denied = ask(root, target, HTML, robots="deny", follow_idle_seconds=0.1)
    assert denied.headers["x-robots-tag"] == NO_ROBOTS
    assert "x-robots-tag" not in ask(root, target, HTML, follow_idle_seconds=0.1).headers


# Limits


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize(
    ("knob", "limit", "status"),
    [
        ("archive_limit_members", 3, 403),  # the folder itself, and three files
        ("archive_limit_members", 4, 200),
        ("archive_limit_bytes", 17, 403),
        ("archive_limit_bytes", 1_000_000, 200),
    ],
)
def test_an_archive_beyond_the_limits_is_refused(
    root: Path, form: str, knob: str, limit: int, status: int
) -> None:
    assert ask(root, f"/plain/?archive={form}", **{knob: limit}).status_code == status  # type: ignore[arg-type]


# Trouble with the storage


@contextmanager
def room_for_one_file() -> Iterator[None]:
    """Inside, this process can open one more file, and no second one."""
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("target", ["/plain/film.srt?vtt", "/plain/notes.txt?view"])
def test_a_second_file_that_cannot_be_opened_is_no_fault_of_ours(root: Path, target: str) -> None:
    async def run() -> RecordingSend:
        storage = LocalStorage(root)
        site = create_app(Settings(root=root), storage)
        sent = RecordingSend()
        try:
            with room_for_one_file():
                await site(http_scope("GET", target), no_more_request, sent)
        finally:
            await storage.close()
        return sent

    sent = asyncio.run(run())
    assert (sent.status, sent.fields["retry-after"].isdigit()) == (503, True)
