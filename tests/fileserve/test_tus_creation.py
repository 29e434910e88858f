"""What is told when a tus upload is created: its name, its length now or later, its first bytes."""

from pathlib import Path

import pytest
from tus_client import (
    NAMED,
    OFFSET_STREAM,
    SIZED,
    UPLOADS,
    TusClient,
    metadata_of,
    run_with_client,
    staged,
)

CREATIONS = [
    # fields                                                         status  id
    (SIZED,                                                             201, "plain"),
    ({**SIZED, "tus_resumable": ""},                                    412, "no-version"),
    ({**SIZED, "tus_resumable": "0.2.2"},                               412, "another-version"),
    ({**SIZED, "upload_length": "101"},                                 413, "one-too-long"),
    ({**SIZED, "upload_length": "100"},                                 201, "as-long-as-may-be"),
    ({**SIZED, "upload_length": "-1"},                                  400, "negative"),
    ({"upload_metadata": NAMED},                                        400, "no-length"),
    ({"upload_length": "10"},                                           400, "no-filename"),
    ({**SIZED, "upload_metadata": metadata_of(filename="")},            400, "empty-filename"),
    ({**SIZED, "upload_metadata": "a !"},                               400, "unreadable-metadata"),
    ({**SIZED, "upload_metadata": metadata_of(name="a.bin")},           201, "name-for-filename"),
    ({**SIZED, "upload_metadata": metadata_of(path="/x/a.bin")},        400, "absolute-path"),
    ({**SIZED, "upload_metadata": metadata_of(filename="x/y/a.bin")},   201, "folders-in-filename"),
    ({**SIZED, "upload_metadata": metadata_of(filename="../a.bin")},    400, "dots"),
    ({**SIZED, "upload_metadata": metadata_of(filename="x/../a")},      400, "dots-inside"),
    ({**SIZED, "upload_metadata": metadata_of(filename="x//a")},        400, "empty-segment"),
    ({**SIZED, "upload_metadata": metadata_of(filename=b"a\0b")},       400, "nul"),
    ({**SIZED, "upload_metadata": metadata_of(filename="-/a")},         400, "the-services-own"),
    ({**SIZED, "upload_metadata": metadata_of(filename=".a")},          400, "hidden"),
    ({**SIZED, "upload_metadata": metadata_of(filename="a" * 256)},     400, "name-too-long"),
    ({**SIZED, "upload_metadata": metadata_of(filename="a/" * 2100 + "a")}, 400, "path-too-long"),
    ({**SIZED, "upload_metadata": metadata_of(filename=".fileserve-uploads/a")}, 400, "staging"),
    ({**SIZED, "upload_metadata": metadata_of(filename="taken.bin")},   409, "taken"),
    ({**SIZED, "upload_metadata": metadata_of(filename="taken.bin", replace="1")}, 201, "replace"),
    ({**SIZED, "upload_metadata": metadata_of(filename="taken.bin/a")}, 409, "below-a-file"),
    ({**SIZED, "upload_metadata": metadata_of(filename="folder")},      409, "a-folder"),
    ({**SIZED, "upload_checksum": "crc32 AAAA"},                        400, "unknown-checksum"),
    ({"upload_defer_length": "1", "upload_metadata": NAMED},            201, "deferred"),
    ({"upload_concat": "final;/-/uploads/" + "0" * 32, "upload_metadata": NAMED}, 404, "no-part"),
    ({"upload_concat": "whole", "upload_metadata": NAMED},              400, "unreadable-concat"),
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


def test_creation_with_all_bytes_makes_the_file_at_once(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        answer = await client.ask(
            "POST", UPLOADS, b"0123456789", content_type=OFFSET_STREAM, **SIZED
        )
        assert (answer.status_code, answer.headers["upload-offset"]) == (201, "10")
        assert (root / "a.bin").read_bytes() == b"0123456789"
        assert await client.offset(answer.headers["location"]) == 10

    run_with_client(root, steps)


def test_creation_with_some_bytes_goes_on_behind_them(root: Path) -> None:
    async def steps(client: TusClient) -> None:
        answer = await client.ask("POST", UPLOADS, b"01234", content_type=OFFSET_STREAM, **SIZED)
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


@pytest.mark.parametrize(
    "settings", [{"upload_keep_free_bytes": 1 << 60}, {"upload_quota_bytes": 9}], ids=str
)
def test_what_has_no_room_is_refused_before_it_comes(root: Path, settings: dict[str, int]) -> None:
    async def steps(client: TusClient) -> None:
        answer = await client.ask("POST", UPLOADS, **SIZED)
        assert (answer.status_code, staged(root)) == (507, [])
        # A length that is told later does not help.
        fields = {"upload_defer_length": "1", "upload_metadata": NAMED}
        upload = (await client.ask("POST", UPLOADS, **fields)).headers["location"]
        assert (await client.patch(upload, 0, b"0123456789")).status_code == 507
        assert await client.offset(upload) == 0

    run_with_client(root, steps, **settings)
