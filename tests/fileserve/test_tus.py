"""Resumable uploads by tus 1.0.0, by the headings of https://tus.io/protocols/resumable-upload."""

import base64
import hashlib
from pathlib import Path

import pytest
from tus_client import (
    OFFSET_STREAM,
    SIZED,
    UPLOADS,
    TusClient,
    metadata_of,
    run_with_client,
    staged,
)


def test_an_upload_in_pieces_becomes_a_file(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 10)
        assert (await client.patch(upload, 0, b"hello")).headers["upload-offset"] == "5"
        assert await client.offset(upload) == 5
        assert list(root.glob("a.bin")) == []
        answer = await client.patch(upload, 5, b"world")
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, "10")
        sha256 = base64.b64encode(hashlib.sha256(b"helloworld").digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{sha256}:"
        assert await client.offset(upload) == 10

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"helloworld"


def test_an_upload_survives_the_server(root: Path) -> None:
    async def begin(client: TusClient) -> None:
        uploads.append(await client.create("a.bin", 10))
        await client.patch(uploads[0], 0, b"hello")

    async def end(client: TusClient) -> None:
        assert await client.offset(uploads[0]) == 5
        await client.patch(uploads[0], 5, b"world")

    uploads: list[str] = []
    run_with_client(root, begin)
    run_with_client(root, end)
    assert (root / "a.bin").read_bytes() == b"helloworld"


def test_head_tells_what_the_protocol_asks_for(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 10)
        answer = await client.ask("HEAD", upload)
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert answer.headers["upload-length"] == "10"
        assert answer.headers["upload-metadata"] == metadata_of(filename="a.bin")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["upload-expires"].endswith(" GMT")

    run_with_client(root, steps)


def test_options_tells_what_is_spoken(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        answer = await client.ask("OPTIONS", UPLOADS, tus_resumable="")
        assert answer.status_code == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-max-size"] == "1000"
        assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256,md5"
        assert set(answer.headers["tus-extension"].split(",")) == {
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "checksum",
            "expiration",
            "termination",
            "concatenation",
        }

    run_with_client(root, steps, upload_limit_bytes=1000)


CONTINUATIONS = [
    # fields, with 5 of 10 bytes there      content        status  id
    ({},                                    b"world",         204, "the-rest"),
    ({},                                    b"",              204, "nothing"),
    ({"upload_offset": "4"},                b"oworld",        409, "overlapping"),
    ({"upload_offset": "6"},                b"orld",          409, "a-gap"),
    ({"upload_offset": "x"},                b"world",         400, "unreadable-offset"),
    ({"upload_offset": ""},                 b"world",         400, "no-offset"),
    ({"content_type": "text/plain"},        b"world",         415, "another-type"),
    ({"content_type": OFFSET_STREAM + ";x=y"}, b"world",      204, "a-parameter"),
    ({"content_type": ""},                  b"world",         415, "no-type"),
    ({"content_encoding": "gzip"},          b"world",         415, "encoded"),
    ({"tus_resumable": "0.2.2"},            b"world",         412, "another-version"),
    ({},                                    b"world!",        413, "one-too-many"),
    ({"upload_length": "11"},               b"world",         400, "another-length"),
    ({"upload_length": "10"},               b"world",         204, "the-same-length"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "content", "status"),
    [row[:3] for row in CONTINUATIONS],
    ids=[row[3] for row in CONTINUATIONS],
)
def test_continuation(root: Path, fields: dict[str, str], content: bytes, status: int) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 10)
        await client.patch(upload, 0, b"hello")
        answer = await client.patch(upload, 5, content, **fields)
        assert answer.status_code == status, answer.text
        assert answer.headers["tus-resumable"] == "1.0.0"
        is_of_another_type = status == 415 and "content_encoding" not in fields  # RFC 5789, 2.2
        assert (answer.headers.get("accept-patch") == OFFSET_STREAM) == is_of_another_type
        assert await client.offset(upload) == (5 + len(content) if status == 204 else 5)

    run_with_client(root, steps)
    assert (root / "a.bin").exists() == (status == 204 and len(content) == 5)


def test_content_of_unknown_length_is_cut_off_where_the_upload_ends(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 10)

        async def content() -> object:
            yield b"hello"
            yield b"world and more"

        answer = await client.http.patch(
            upload,
            content=content(),
            headers={
                "authorization": f"Bearer {client.secret}",
                "tus-resumable": "1.0.0",
                "content-type": OFFSET_STREAM,
                "upload-offset": "0",
            },
        )
        assert answer.status_code == 413

    run_with_client(root, steps)
    assert not (root / "a.bin").exists()


CHECKSUMS = [
    # field                                                                   status  offset
    ("sha1 " + base64.b64encode(hashlib.sha1(b"hello").digest()).decode(),       204, 5),
    ("md5 " + base64.b64encode(hashlib.md5(b"hello").digest()).decode(),         204, 5),
    ("sha256 " + base64.b64encode(hashlib.sha256(b"hello").digest()).decode(),   204, 5),
    ("sha1 " + base64.b64encode(hashlib.sha1(b"hellO").digest()).decode(),       460, 0),
    ("sha512 AAAA",                                                              400, 0),
    ("sha1 AAAA",                                                                400, 0),
]  # fmt: skip


@pytest.mark.parametrize(("checksum", "status", "offset"), CHECKSUMS)
def test_bytes_with_another_checksum_are_not_kept(
    root: Path, checksum: str, status: int, offset: int
) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 10)
        answer = await client.patch(upload, 0, b"hello", upload_checksum=checksum)
        assert answer.status_code == status
        assert await client.offset(upload) == offset

    run_with_client(root, steps)


METHODS = [
    ("GET", UPLOADS, 405),
    ("PUT", UPLOADS, 405),
    ("GET", UPLOADS + "0" * 32, 405),
    ("PUT", UPLOADS + "0" * 32, 405),
    ("HEAD", UPLOADS + "0" * 32, 404),
    ("HEAD", UPLOADS + "..%2f..%2fetc", 404),
    ("DELETE", UPLOADS + "0" * 31, 404),
    ("POST", "/-/uploads", 400),
]


@pytest.mark.parametrize(("method", "target", "status"), METHODS)
def test_other_methods_and_addresses(root: Path, method: str, target: str, status: int) -> None:
    async def steps(client: TusClient) -> None:
        assert (await client.ask(method, target)).status_code == status

    run_with_client(root, steps)


def test_a_method_may_be_told_by_a_field(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 5)
        answer = await client.ask(
            "POST",
            upload,
            b"hello",
            x_http_method_override="PATCH",
            content_type=OFFSET_STREAM,
            upload_offset="0",
        )
        assert answer.status_code == 204

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"hello"


OVERRIDDEN = [
    # target      method     status
    (UPLOADS,     "PATCH",   405),
    (UPLOADS,     "OPTIONS", 204),
    (UPLOADS,     "POST",    201),
    ("/folder/",  "DELETE",  405),
]  # fmt: skip


@pytest.mark.parametrize(("target", "method", "status"), OVERRIDDEN)
def test_a_method_that_is_told_by_a_field_holds_for_every_address(
    root: Path, target: str, method: str, status: int
) -> None:
    async def steps(client: TusClient) -> None:
        fields = {**SIZED, "x_http_method_override": method}
        assert (await client.ask("POST", target, **fields)).status_code == status

    run_with_client(root, steps)
    assert bool(staged(root)) == (status == 201)


def test_without_writable_there_are_no_uploads(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        for method in ("POST", "OPTIONS", "HEAD"):
            assert (await client.ask(method, UPLOADS)).status_code in (404, 405)

    run_with_client(root, steps, writable=False)
    assert list(root.iterdir()) == []
