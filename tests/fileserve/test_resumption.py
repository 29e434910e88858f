"""Resumable uploads by the IETF's draft: what is made, gone on with, completed and refused."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fileserve.tus_client import (
    UPLOADS,
    TusClient,
    metadata_of,
    run_with_client,
    staged,
    tus_client,
)

PROBLEM_TYPES = "https://iana.org/assignments/http-problem-types#"


async def ask(
    client: TusClient, method: str, target: str, content: bytes = b"", **fields: str
) -> httpx.Response:
    return await client.ask(method, target, content, **{"tus_resumable": "", **fields})


async def begin(client: TusClient, target: str, content: bytes = b"", **fields: str) -> str:
    """A new upload by PUT, which is not complete; its address."""
    answer = await ask(client, "PUT", target, content, **{"upload_complete": "?0", **fields})
    assert answer.status_code == 201, answer.text
    assert answer.headers["upload-complete"] == "?0"
    assert answer.headers["upload-offset"] == str(len(content))
    return answer.headers["location"]


async def append(
    client: TusClient, upload: str, offset: int, content: bytes, is_last: str, **fields: str
) -> httpx.Response:
    told = {
        "content_type": "application/partial-upload",
        "upload_offset": str(offset),
        "upload_complete": is_last,
    }
    return await ask(client, "PATCH", upload, content, **{**told, **fields})


def test_an_upload_in_three_requests_becomes_the_file_that_was_put(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/folder/a.bin", b"hel", upload_length="11")
        middle = await append(client, upload, 3, b"lo ", "?0")
        assert (middle.status_code, middle.headers["upload-complete"]) == (204, "?0")
        assert not (root / "folder" / "a.bin").exists()
        last = await append(client, upload, 6, b"world", "?1")
        assert (last.status_code, last.headers["upload-complete"]) == (201, "?1")
        assert last.headers["location"] == "/folder/a.bin"
        assert last.json()["sha256"] == hashlib.sha256(b"hello world").hexdigest()
        assert (await client.http.get("/folder/a.bin")).headers["etag"] == last.headers["etag"]

    run_with_client(root, steps)
    assert (root / "folder" / "a.bin").read_bytes() == b"hello world"


def test_head_tells_what_the_draft_asks_for(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/a.bin", b"hello", upload_length="10")
        answer = await ask(client, "HEAD", upload)
        assert answer.status_code == 204
        told = {name: answer.headers[name] for name in ("upload-offset", "upload-complete")}
        assert told == {"upload-offset": "5", "upload-complete": "?0"}
        assert answer.headers["upload-length"] == "10"
        assert answer.headers["upload-limit"] == "max-size=100, max-age=604800"
        assert answer.headers["cache-control"] == "no-store"
        assert "tus-resumable" not in answer.headers
        unsized = await begin(client, "/b.bin")
        assert "upload-length" not in (await ask(client, "HEAD", unsized)).headers

    run_with_client(root, steps, upload_limit_bytes=100)


def test_all_bytes_alone_do_not_complete_an_upload(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/a.bin", b"hello", upload_length="5")
        assert (await ask(client, "HEAD", upload)).headers["upload-complete"] == "?0"
        assert not (root / "a.bin").exists()
        assert (await append(client, upload, 5, b"", "?1")).status_code == 201
        head = await ask(client, "HEAD", upload)
        assert (head.headers["upload-complete"], head.headers["upload-offset"]) == ("?1", "5")

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"hello"


def test_an_upload_outlives_the_server(root: Path) -> None:
    uploads: list[str] = []

    async def first(client: TusClient) -> None:
        uploads.append(await begin(client, "/a.bin", b"hello", upload_length="10"))

    async def second(client: TusClient) -> None:
        head = await ask(client, "HEAD", uploads[0], authorization=f"Bearer {client.secret}")
        assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("5", "10")
        assert (await append(client, uploads[0], 5, b"world", "?1")).status_code == 201

    run_with_client(root, first)
    run_with_client(root, second)
    assert (root / "a.bin").read_bytes() == b"helloworld"


def test_a_put_of_everything_needs_no_upload_where_none_can_be_told(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        version = {"upload_draft_interop_version": "8"}
        answer = await ask(client, "PUT", "/a.bin", b"hello", upload_complete="?1", **version)
        assert answer.status_code == 201
        assert "upload-complete" not in answer.headers

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"hello"


_OFFSET, _LENGTH = "mismatching-upload-offset", "inconsistent-upload-length"

APPENDS = [
    # fields, with 5 of 10 bytes there      content    status  type      id
    ({},                                    b"world",  201,    "",       "the-rest"),
    ({"upload_offset": "4"},                b"oworld", 409,    _OFFSET,  "overlapping"),
    ({"upload_offset": "6"},                b"orld",   409,    _OFFSET,  "a-gap"),
    ({"upload_offset": "x"},                b"world",  400,    "",       "unreadable-offset"),
    ({"upload_complete": "1"},              b"world",  400,    "",       "unreadable-completeness"),
    ({"content_type": "text/plain"},        b"world",  415,    "",       "another-type"),
    ({"content_encoding": "gzip"},          b"world",  415,    "",       "encoded"),
    ({"upload_length": "11"},               b"world",  400,    _LENGTH,  "another-length"),
    ({},                                    b"worl",   400,    _LENGTH,  "the-end-too-early"),
    ({},                                    b"worlds", 400,    _LENGTH,  "the-end-too-late"),
    ({"upload_complete": "?0"},             b"worlds", 400,    _LENGTH,  "more-than-all"),
    ({"content_digest": "sha-256=:AAAA:"},  b"world",  400,    "",       "another-digest"),
    ({"content_digest": "sha-256"},         b"world",  400,    "",       "unreadable-digest"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "content", "status", "kind"),
    [row[:4] for row in APPENDS],
    ids=[row[4] for row in APPENDS],
)
def test_append(root: Path, fields: dict[str, str], content: bytes, status: int, kind: str) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/a.bin", b"hello", upload_length="10")
        answer = await append(client, upload, 5, content, "?1", **fields)
        assert answer.status_code == status, answer.text
        if status != 201:
            assert answer.json()["type"] == (PROBLEM_TYPES + kind if kind else "about:blank")
            # Nothing of it was kept, and the upload goes on.
            assert (await ask(client, "HEAD", upload)).headers["upload-offset"] == "5"
            assert (await append(client, upload, 5, b"world", "?1")).status_code == 201

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"helloworld"


def test_a_wrong_offset_is_told_beside_the_right_one(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/a.bin", b"hello")
        answer = await append(client, upload, 7, b"!", "?1")
        assert answer.headers["upload-offset"] == "5"
        members = answer.json()
        assert (members["expected-offset"], members["provided-offset"]) == (5, 7)

    run_with_client(root, steps)


def test_what_is_complete_takes_no_more(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/a.bin")
        assert (await append(client, upload, 0, b"hello", "?1")).status_code == 201
        more = await append(client, upload, 5, b"!", "?1")
        again = await append(client, upload, 5, b"", "?1")
        assert (more.status_code, again.status_code) == (400, 400)
        assert more.json()["type"] == PROBLEM_TYPES + "inconsistent-upload-length"
        assert again.json()["type"] == PROBLEM_TYPES + "completed-upload"

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"hello"


def test_content_of_unknown_length_that_is_too_long_ends_the_upload(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/a.bin", b"hello", upload_length="10")

        async def pieces() -> AsyncIterator[bytes]:
            yield b"world"
            yield b"!"

        fields = {
            "Authorization": f"Bearer {client.secret}",
            "Content-Type": "application/partial-upload",
            "Upload-Offset": "5",
            "Upload-Complete": "?0",
            "Transfer-Encoding": "chunked",
        }
        answer = await client.http.patch(upload, content=pieces(), headers=fields)
        assert answer.status_code == 400
        assert answer.json()["type"] == PROBLEM_TYPES + "inconsistent-upload-length"
        assert (await ask(client, "HEAD", upload)).status_code == 404

    run_with_client(root, steps)
    assert staged(root) == []


CREATIONS = [
    # fields                           status  id
    ({},                                201, "of-unknown-length"),
    ({"upload_length": "100"},          201, "as-long-as-may-be"),
    ({"upload_length": "101"},          413, "one-too-long"),
    ({"upload_length": "x"},            201, "unreadable-length-is-none"),
    ({"upload_length": "4"},            400, "shorter-than-its-content"),
    ({"content_range": "bytes 0-4/10"}, 400, "a-range"),
    ({"content_encoding": "gzip"},      415, "encoded"),
    ({"if_none_match": "*"},            201, "only-if-new"),
    ({"if_match": '"x"'},               412, "only-in-another-state"),
    ({"repr_digest": "sha-256"},        400, "unreadable-digest"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "status"), [row[:2] for row in CREATIONS], ids=[row[2] for row in CREATIONS]
)
def test_creation_by_put(root: Path, fields: dict[str, str], status: int) -> None:
    async def steps(client: TusClient) -> None:
        answer = await ask(client, "PUT", "/a.bin", b"hello", upload_complete="?0", **fields)
        assert answer.status_code == status, answer.text
        assert ("location" in answer.headers) == (status == 201)
        assert ("upload-limit" in answer.headers) == (status in (201, 413))

    run_with_client(root, steps, upload_limit_bytes=100)
    assert bool(staged(root)) == (status == 201)


def test_a_file_is_replaced_in_the_state_that_was_named_only(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        (root / "a.bin").write_bytes(b"old")
        fields = {"upload_complete": "?0"}
        assert (await ask(client, "PUT", "/a.bin", b"new", **fields)).status_code == 428
        etag = (await client.http.get("/a.bin")).headers["etag"]
        first = await begin(client, "/a.bin", b"first", if_match=etag)
        second = await begin(client, "/a.bin", b"second", if_match=etag)
        replaced = await append(client, first, 5, b"", "?1")
        assert (replaced.status_code, replaced.headers["upload-complete"]) == (200, "?1")
        late = await append(client, second, 6, b"", "?1")
        # The bytes are all there: not they were refused, but what was to be made of them.
        assert (late.status_code, late.headers["upload-complete"]) == (412, "?1")

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"first"


def test_what_could_not_be_named_is_named_as_soon_as_it_can_be(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/a.bin", b"hel")
        (root / "a.bin").write_bytes(b"mine")
        refused = await append(client, upload, 3, b"lo", "?1")
        assert (refused.status_code, refused.headers["upload-complete"]) == (412, "?1")
        assert (await ask(client, "HEAD", upload)).status_code == 412
        (root / "a.bin").unlink()
        head = await ask(client, "HEAD", upload)
        assert (head.status_code, head.headers["upload-complete"]) == (204, "?1")

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"hello"


def test_a_digest_of_the_whole_is_checked_at_the_end(root: Path) -> None:
    def digest(content: bytes) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"

    async def steps(client: TusClient) -> None:
        good = await begin(client, "/good.bin", b"hel", repr_digest=digest(b"hello"))
        bad = await begin(client, "/bad.bin", b"hel", repr_digest=digest(b"Hello"))
        assert (await append(client, good, 3, b"lo", "?1")).status_code == 201
        refused = await append(client, bad, 3, b"lo", "?1")
        assert (refused.status_code, refused.headers["upload-complete"]) == (400, "?1")
        assert (await ask(client, "HEAD", bad)).status_code == 404

    run_with_client(root, steps)
    assert [path.name for path in root.glob("*.bin")] == ["good.bin"]


_EXTENDED = "inline; filename*=UTF-8''%C3%A4.bin"

NAMES = [
    # target      fields                                                  file
    (UPLOADS,     {"upload_metadata": metadata_of(filename="x/a.bin")},   "x/a.bin"),
    ("/folder/",  {"upload_metadata": metadata_of(filename="a.bin")},     "folder/a.bin"),
    ("/folder/",  {"content_disposition": 'inline; filename="a b.bin"'},  "folder/a b.bin"),
    (UPLOADS,     {"content_disposition": _EXTENDED},                     "\u00e4.bin"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "fields", "file"), NAMES)
def test_creation_by_post(root: Path, target: str, fields: dict[str, str], file: str) -> None:
    async def steps(client: TusClient) -> None:
        answer = await ask(client, "POST", target, b"hello", upload_complete="?1", **fields)
        assert (answer.status_code, answer.headers["upload-complete"]) == (201, "?1")

    run_with_client(root, steps)
    assert (root / file).read_bytes() == b"hello"


@pytest.mark.parametrize("disposition", ["inline", "", 'inline; filename="../a"'])
def test_a_post_needs_a_name(root: Path, disposition: str) -> None:
    async def steps(client: TusClient) -> None:
        fields = {"upload_complete": "?1", "content_disposition": disposition}
        assert (await ask(client, "POST", UPLOADS, b"hello", **fields)).status_code == 400

    run_with_client(root, steps)
    assert staged(root) == []


def test_a_form_is_a_form_whatever_else_it_says(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        answer = await client.http.post(
            "/",
            files={"file": ("a.bin", b"hello")},
            headers={"Authorization": f"Bearer {client.secret}", "Upload-Complete": "?1"},
        )
        assert answer.status_code in (200, 201), answer.text

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"hello"


def test_cancellation_gives_the_space_back(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await begin(client, "/a.bin", b"hello")
        assert (await ask(client, "DELETE", upload)).status_code == 204
        assert (await ask(client, "HEAD", upload)).status_code == 404
        assert (await ask(client, "DELETE", upload)).status_code == 404

    run_with_client(root, steps)
    assert staged(root) == []


def test_an_upload_is_its_writers_alone(root: Path) -> None:
    async def run() -> None:
        async with tus_client(root, b"mine") as mine:
            upload = await begin(mine, "/mine/a.bin", b"hello")
            outside = await ask(mine, "PUT", "/a.bin", b"x", upload_complete="?0")
            assert outside.status_code == 403
        async with tus_client(root, b"mine", "another") as other:
            assert (await ask(other, "HEAD", upload)).status_code == 403
            assert (await append(other, upload, 5, b"!", "?1")).status_code == 403
            assert (await ask(other, "DELETE", upload)).status_code == 403
            assert (await ask(other, "HEAD", upload, authorization="")).status_code == 401
        async with tus_client(root, b"", "admin", "admin") as anywhere:
            assert (await ask(anywhere, "HEAD", upload)).headers["upload-offset"] == "5"

    asyncio.run(run())


def test_options_tells_that_uploads_can_be_resumed(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        for target in ("/", "/a.bin", UPLOADS):
            answer = await ask(client, "OPTIONS", target)
            assert answer.headers["accept-patch"] == "application/partial-upload"
            assert answer.headers["upload-limit"] == "max-size=100, max-age=604800"

    run_with_client(root, steps, upload_limit_bytes=100)


def test_read_only_serving_tells_of_no_uploads(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        answer = await ask(client, "OPTIONS", "/a.bin")
        assert "accept-patch" not in answer.headers
        assert "upload-limit" not in answer.headers
        assert (await ask(client, "PUT", "/a.bin", upload_complete="?0")).status_code == 405

    run_with_client(root, steps, writable=False)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", UPLOADS + "0" * 32, 405), ("PUT", UPLOADS + "0" * 32, 405), ("PATCH", "/a.bin", 405)],
)
def test_other_methods(root: Path, method: str, target: str, status: int) -> None:
    async def steps(client: TusClient) -> None:
        assert (await ask(client, method, target, upload_complete="?0")).status_code == status

    run_with_client(root, steps)


@pytest.mark.parametrize(
    "settings", [{"upload_keep_free_bytes": 1 << 60}, {"upload_quota_bytes": 9}]
)
def test_what_has_no_room_is_refused_before_it_comes(root: Path, settings: dict[str, int]) -> None:
    async def steps(client: TusClient) -> None:
        fields = {"upload_complete": "?0", "upload_length": "10"}
        answer = await ask(client, "PUT", "/a.bin", **fields)
        assert (answer.status_code, staged(root)) == (507, [])

    run_with_client(root, steps, **settings)
