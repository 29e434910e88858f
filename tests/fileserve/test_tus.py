"""Resumable uploads by tus 1.0.0, by the headings of https://tus.io/protocols/resumable-upload."""

import asyncio
import base64
import hashlib
import os
from pathlib import Path

import httpx
import pytest
from tus_client import UPLOADS, TusClient, metadata_of, run_with_client, staged, tus_client

OFFSET_STREAM = "application/offset+octet-stream"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


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


_SIZED = {"upload_length": "10", "upload_metadata": metadata_of(filename="a.bin")}
_NAMED = metadata_of(filename="a.bin")

CREATIONS = [
    # fields                                                         status  id
    (_SIZED,                                                            201, "plain"),
    ({**_SIZED, "tus_resumable": ""},                                   412, "no-version"),
    ({**_SIZED, "tus_resumable": "0.2.2"},                              412, "another-version"),
    ({**_SIZED, "upload_length": "101"},                                413, "one-too-long"),
    ({**_SIZED, "upload_length": "100"},                                201, "as-long-as-may-be"),
    ({**_SIZED, "upload_length": "-1"},                                 400, "negative"),
    ({"upload_metadata": _NAMED},                                       400, "no-length"),
    ({"upload_length": "10"},                                           400, "no-filename"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="")},           400, "empty-filename"),
    ({**_SIZED, "upload_metadata": "a !"},                              400, "unreadable-metadata"),
    ({**_SIZED, "upload_metadata": metadata_of(name="a.bin")},          201, "name-for-filename"),
    ({**_SIZED, "upload_metadata": metadata_of(path="/x/a.bin")},       400, "absolute-path"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="x/y/a.bin")},  201, "folders-in-filename"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="../a.bin")},   400, "dots"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="x/../a")},     400, "dots-inside"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="x//a")},       400, "empty-segment"),
    ({**_SIZED, "upload_metadata": metadata_of(filename=b"a\0b")},      400, "nul"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="-/a")},        400, "the-services-own"),
    ({**_SIZED, "upload_metadata": metadata_of(filename=".a")},         400, "hidden"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="a" * 256)},    400, "name-too-long"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="a/" * 2100 + "a")}, 400, "path-too-long"),
    ({**_SIZED, "upload_metadata": metadata_of(filename=".fileserve-uploads/a")}, 400, "staging"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="taken.bin")},  409, "taken"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="taken.bin", replace="1")}, 201, "replace"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="taken.bin/a")}, 409, "below-a-file"),
    ({**_SIZED, "upload_metadata": metadata_of(filename="folder")},     409, "a-folder"),
    ({**_SIZED, "upload_checksum": "crc32 AAAA"},                       400, "unknown-checksum"),
    ({"upload_defer_length": "1", "upload_metadata": _NAMED},           201, "deferred"),
    ({"upload_concat": "final;/-/uploads/" + "0" * 32, "upload_metadata": _NAMED}, 404, "no-part"),
    ({"upload_concat": "whole", "upload_metadata": _NAMED},             400, "unreadable-concat"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "status"), [row[:2] for row in CREATIONS], ids=[row[2] for row in CREATIONS]
)
def test_creation(root: Path, fields: dict[str, str], status: int) -> None:
    async def steps(client: TusClient) -> None:
        (root / "taken.bin").write_bytes(b"mine")
        (root / "folder").mkdir()
        answer = await client.ask("POST", UPLOADS, **fields)
        assert answer.status_code == status, answer.text
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert ("location" in answer.headers) == (status == 201)

    run_with_client(root, steps, upload_limit_bytes=100)
    assert bool(staged(root)) == (status == 201)
    assert (root / "taken.bin").read_bytes() == b"mine"


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


def test_creation_with_all_bytes_makes_the_file_at_once(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        answer = await client.ask(
            "POST", UPLOADS, b"0123456789", content_type=OFFSET_STREAM, **_SIZED
        )
        assert (answer.status_code, answer.headers["upload-offset"]) == (201, "10")
        assert (root / "a.bin").read_bytes() == b"0123456789"
        assert await client.offset(answer.headers["location"]) == 10

    run_with_client(root, steps)


def test_creation_with_some_bytes_goes_on_behind_them(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        answer = await client.ask("POST", UPLOADS, b"01234", content_type=OFFSET_STREAM, **_SIZED)
        assert answer.headers["upload-offset"] == "5"
        assert (await client.patch(answer.headers["location"], 5, b"56789")).status_code == 204

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"0123456789"


def test_an_empty_file_is_there_when_it_is_created(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("folder/empty.bin", 0)
        assert await client.offset(upload) == 0

    run_with_client(root, steps)
    assert (root / "folder" / "empty.bin").read_bytes() == b""


def test_a_deferred_length_is_told_once(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        fields = {"upload_defer_length": "1", "upload_metadata": metadata_of(filename="a.bin")}
        upload = (await client.ask("POST", UPLOADS, **fields)).headers["location"]
        assert (await client.ask("HEAD", upload)).headers["upload-defer-length"] == "1"
        await client.patch(upload, 0, b"hello")
        assert (await client.patch(upload, 5, b"", upload_length="4")).status_code == 400
        assert (await client.patch(upload, 5, b"", upload_length="101")).status_code == 413
        assert (await client.patch(upload, 5, b"wor", upload_length="10")).status_code == 204
        assert (await client.patch(upload, 8, b"ld", upload_length="12")).status_code == 400
        head = await client.ask("HEAD", upload)
        assert (head.headers["upload-length"], "upload-defer-length" in head.headers) == (
            "10",
            False,
        )
        assert (await client.patch(upload, 8, b"ld")).status_code == 204

    run_with_client(root, steps, upload_limit_bytes=100)
    assert (root / "a.bin").read_bytes() == b"helloworld"


def test_a_deferred_length_does_not_lift_the_limit(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        fields = {"upload_defer_length": "1", "upload_metadata": metadata_of(filename="a.bin")}
        upload = (await client.ask("POST", UPLOADS, **fields)).headers["location"]
        assert (await client.patch(upload, 0, b"a" * 101)).status_code == 413

    run_with_client(root, steps, upload_limit_bytes=100)


def test_termination_gives_the_space_back(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 10)
        await client.patch(upload, 0, b"hello")
        assert (await client.ask("DELETE", upload)).status_code == 204
        assert staged(root) == []
        for method in ("HEAD", "DELETE"):
            assert (await client.ask(method, upload)).status_code == 404
        assert (await client.patch(upload, 5, b"world")).status_code == 404

    run_with_client(root, steps)


def test_termination_of_what_is_complete_leaves_the_file(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 0)
        assert (await client.ask("DELETE", upload)).status_code == 204
        assert staged(root) == []

    run_with_client(root, steps)
    assert (root / "a.bin").exists()


async def parts_of(client: TusClient, *contents: bytes) -> list[str]:
    uploads = []
    for content in contents:
        answer = await client.ask(
            "POST", UPLOADS, upload_concat="partial", upload_length=str(len(content))
        )
        uploads.append(answer.headers["location"])
        await client.patch(uploads[-1], 0, content)
    return uploads


async def joined(client: TusClient, uploads: list[str], filename: str) -> httpx.Response:
    concat = "final;" + " ".join(uploads)
    metadata = metadata_of(filename=filename)
    return await client.ask("POST", UPLOADS, upload_concat=concat, upload_metadata=metadata)


def test_parts_become_one_file(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        parts = await parts_of(client, b"hello", b"", b"world")
        head = await client.ask("HEAD", parts[0])
        assert (head.headers["upload-concat"], head.headers["upload-offset"]) == ("partial", "5")
        answer = await joined(client, parts, "a.bin")
        assert answer.status_code == 201
        final = answer.headers["location"]
        head = await client.ask("HEAD", final)
        assert head.headers["upload-concat"] == "final;" + " ".join(parts)
        assert head.headers["upload-length"] == head.headers["upload-offset"] == "10"
        assert (await client.patch(final, 10, b"")).status_code == 403
        assert [name for name in staged(root) if "." not in name] == []

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"helloworld"


def test_what_parts_become_counts_for_the_quota(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        (part,) = await parts_of(client, bytes(8_000))
        assert (await joined(client, [part, part], "a.bin")).status_code == 201
        # There are 16,000 bytes now, where 8,000 had been uploaded.
        fields = {"upload_length": "10000", "upload_metadata": metadata_of(filename="b.bin")}
        assert (await client.ask("POST", UPLOADS, **fields)).status_code == 507

    run_with_client(root, steps, upload_quota_bytes=25_000)


def test_upload_concat_is_told_as_it_came(root: Path) -> None:
    # "Upload-Concat": the value as received in the request that created the upload.
    async def steps(client: TusClient) -> None:
        urls = ["http://host" + part for part in await parts_of(client, b"hello", b"world")]
        final = (await joined(client, urls, "a.bin")).headers["location"]
        head = await client.ask("HEAD", final)
        assert head.headers["upload-concat"] == "final;" + " ".join(urls)

    run_with_client(root, steps)


def test_parts_are_joined_once_however_often_that_is_asked(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        parts = await parts_of(client, b"hello", b"world")
        first = await joined(client, parts, "a.bin")
        again = await joined(client, parts, "a.bin")
        assert again.status_code == 201
        assert again.headers["location"] == first.headers["location"]

    run_with_client(root, steps)


def test_parts_that_became_a_file_become_no_other(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        parts = await parts_of(client, b"hello", b"world")
        assert (await joined(client, parts, "a.bin")).status_code == 201
        # 201 would tell of a file that is not there.
        assert (await joined(client, parts, "b.bin")).status_code == 400
        assert (await joined(client, parts[::-1], "a.bin")).status_code in {400, 409}

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"helloworld"


def test_parts_that_are_not_whole_are_not_joined(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        whole = await parts_of(client, b"hello")
        fields = {"upload_concat": "partial", "upload_length": "5"}
        half = (await client.ask("POST", UPLOADS, **fields)).headers["location"]
        assert (await joined(client, [*whole, half], "a.bin")).status_code == 400
        await client.patch(half, 0, b"world")
        assert (await joined(client, [*whole, half], "a.bin")).status_code == 201

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"helloworld"


def test_what_is_joined_is_no_longer_than_may_be(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        parts = await parts_of(client, b"hello", b"world")
        assert (await joined(client, parts, "a.bin")).status_code == 413

    run_with_client(root, steps, upload_limit_bytes=9)
    assert not (root / "a.bin").exists()


def test_a_whole_upload_is_no_part(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("b.bin", 5)
        assert (await joined(client, [upload], "a.bin")).status_code == 404

    run_with_client(root, steps)


def test_a_name_that_was_taken_meanwhile_is_not_replaced(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("a.bin", 5)
        (root / "a.bin").write_bytes(b"somebody else's")
        assert (await client.patch(upload, 0, b"hello")).status_code == 412
        # Whoever asks now must not take it for complete: there are all bytes, but no file.
        assert (await client.ask("HEAD", upload)).status_code == 412
        (root / "a.bin").unlink()
        assert await client.offset(upload) == 5

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"hello"


def test_a_folder_that_came_in_the_way_meanwhile_is_no_wrong_offset(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        named, beneath = await client.create("a", 5), await client.create("b/c", 5)
        (root / "a").mkdir()
        (root / "b").touch()
        assert (await client.patch(named, 0, b"hello")).status_code == 412
        assert (await client.patch(beneath, 0, b"hello")).status_code == 412

    run_with_client(root, steps)


def test_if_match_replaces_the_file_that_was_named_only(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        (root / "a.bin").write_bytes(b"old")
        etag = (await client.http.get("/a.bin")).headers["etag"]
        fields = {"upload_length": "5", "upload_metadata": metadata_of(filename="a.bin")}
        wrong = await client.ask("POST", UPLOADS, if_match='"other"', **fields)
        assert wrong.status_code == 412
        first, second = [
            (await client.ask("POST", UPLOADS, if_match=etag, **fields)).headers["location"]
            for _ in range(2)
        ]
        assert (await client.patch(first, 0, b"first")).status_code == 204
        assert (await client.patch(second, 0, b"secnd")).status_code == 412

    run_with_client(root, steps)
    assert (root / "a.bin").read_bytes() == b"first"


def test_a_post_to_a_folder_creates_below_it(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        upload = await client.create("x/a.bin", 5, target="/films/")
        assert upload.startswith(UPLOADS)
        await client.patch(upload, 0, b"hello")

    run_with_client(root, steps)
    assert (root / "films" / "x" / "a.bin").read_bytes() == b"hello"


def test_the_prefix_of_a_token_holds_for_names_in_metadata(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        fields = {"upload_length": "5"}
        for values, status in [
            ({"filename": "a.bin"}, 403),
            ({"filename": "films/a.bin"}, 201),
            ({"filename": "a.bin", "folder": "films"}, 201),
            ({"filename": "filmsy/a.bin"}, 403),
        ]:
            metadata = metadata_of(**values)
            answer = await client.ask("POST", UPLOADS, upload_metadata=metadata, **fields)
            assert answer.status_code == status, values

    run_with_client(root, steps, path=b"films")


# fmt: off
MEDDLERS = [
    # scope   path       a file's upload  a part     id
    ("write", b"films",  403,             403,       "elsewhere"),
    ("admin", b"films",  403,             403,       "admin-elsewhere"),
    ("write", b"",       403,             403,       "another-token"),
    ("admin", b"",       204,             204,       "admin"),
]
# fmt: on


@pytest.mark.parametrize(
    ("scope", "path", "of_file", "of_part"), [r[:4] for r in MEDDLERS], ids=[r[4] for r in MEDDLERS]
)
def test_an_upload_is_for_who_began_it_and_for_admins(
    root: Path, scope: str, path: bytes, of_file: int, of_part: int
) -> None:
    async def begin(client: TusClient) -> None:
        uploads.append(await client.create("a.bin", 5))
        uploads.extend(await parts_of(client, b"hello"))

    async def meddle() -> None:
        async with tus_client(root, path, "another", scope) as client:
            for upload, status in zip(uploads, (of_file, of_part), strict=True):
                is_let_in = status == 204
                looked = await client.ask("HEAD", upload)
                assert looked.status_code == (200 if is_let_in else 403)
                if not is_let_in:
                    assert (await client.patch(upload, 0, b"evil!")).status_code == 403
                assert (await client.ask("DELETE", upload)).status_code == status

    uploads: list[str] = []
    run_with_client(root, begin)
    asyncio.run(meddle())


def test_an_upload_of_nobody_known_is_for_all_who_may_write_there(root: Path) -> None:
    async def run() -> None:
        async with tus_client(root) as client:
            upload = await client.create("a.bin", 5)
            (record,) = root.glob(".fileserve-uploads/*.json")
            record.write_text(record.read_text().replace('"token tests"', '""'))
            async with tus_client(root, b"films", "elsewhere") as outside:
                assert (await outside.patch(upload, 0, b"evil!")).status_code == 403
            async with tus_client(root, b"", "another") as another:
                assert (await another.patch(upload, 0, b"hello")).status_code == 204

    asyncio.run(run())
    assert (root / "a.bin").read_bytes() == b"hello"


def test_an_upload_that_expired_is_gone_at_the_next_start(root: Path) -> None:
    async def begin(client: TusClient) -> None:
        uploads.append(await client.create("a.bin", 5))
        uploads.append(await client.create("b.bin", 5))

    async def look(client: TusClient) -> None:
        async with asyncio.timeout(60):
            while files_of(uploads[0]):
                await asyncio.sleep(0.01)
        assert (await client.ask("HEAD", uploads[0])).status_code == 404
        assert (await client.ask("HEAD", uploads[1])).status_code == 200

    def files_of(upload: str) -> list[Path]:
        return [*root.glob(f".fileserve-uploads/{upload.rpartition('/')[2]}*")]

    uploads: list[str] = []
    run_with_client(root, begin)
    for path in files_of(uploads[0]):
        os.utime(path, (0, 0))
    run_with_client(root, look)


@pytest.mark.parametrize(
    "settings", [{"upload_keep_free_bytes": 1 << 60}, {"upload_quota_bytes": 9}], ids=str
)
def test_what_has_no_room_is_refused_before_it_comes(root: Path, settings: dict[str, int]) -> None:
    async def steps(client: TusClient) -> None:
        answer = await client.ask("POST", UPLOADS, **_SIZED)
        assert (answer.status_code, staged(root)) == (507, [])
        # A length that is told later does not help.
        fields = {"upload_defer_length": "1", "upload_metadata": _NAMED}
        upload = (await client.ask("POST", UPLOADS, **fields)).headers["location"]
        assert (await client.patch(upload, 0, b"0123456789")).status_code == 507
        assert await client.offset(upload) == 0

    run_with_client(root, steps, **settings)


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
        fields = {**_SIZED, "x_http_method_override": method}
        assert (await client.ask("POST", target, **fields)).status_code == status

    run_with_client(root, steps)
    assert bool(staged(root)) == (status == 201)


def test_without_writable_there_are_no_uploads(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        for method in ("POST", "OPTIONS", "HEAD"):
            assert (await client.ask(method, UPLOADS)).status_code in (404, 405)

    run_with_client(root, steps, writable=False)
    assert list(root.iterdir()) == []
