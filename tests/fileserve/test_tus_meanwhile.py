"""What comes between the begin and the end of a tus upload: other files, other tokens, and time."""

import asyncio
import os
from pathlib import Path

import pytest
from tus_client import (
    UPLOADS,
    TusClient,
    metadata_of,
    parts_of,
    run_with_client,
    staged,
    tus_client,
)


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
