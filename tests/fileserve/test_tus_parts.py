"""Parts that were uploaded by tus become one file, once, whole, and only as far as they may."""

from pathlib import Path

from tus_client import UPLOADS, TusClient, joined, metadata_of, parts_of, run_with_client, staged


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
