"""A request for an archive and its answer, without a server: what is sent and what refused."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.types import Message

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.archives import ArchiveLimits
from storage.errors import NotFound
from storage.local import LocalStorage
from tests.descriptors import nothing_left_open
from tests.fileserve.archives.asked import (
    LARGE,
    MIB,
    NO_LIMITS,
    Sending,
    answer,
    answers,
    ask,
    scope_of,
    with_storage,
)


def test_a_zip_holds_what_the_folder_holds(root: Path) -> None:
    sent = answer(root)
    assert sent.status == 200
    with zipfile.ZipFile(io.BytesIO(sent.content)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == [
            *("set/", "set/empty", "set/large.bin", "set/run.sh", "set/small.txt"),
            *("set/sub/", "set/sub/holes", "set/sub/void/"),
        ]
        assert opened.read("set/large.bin") == LARGE
        assert opened.read("set/sub/holes") == bytes(3 * MIB)
        assert opened.getinfo("set/run.sh").external_attr >> 16 == 0o100755


def test_a_tar_holds_what_the_folder_holds(root: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(answer(root, "tar").content)) as opened:
        names = opened.getnames()
        large = opened.extractfile("set/large.bin")
        assert large is not None
        assert large.read() == LARGE
    assert names == [
        *("set", "set/empty", "set/large.bin", "set/run.sh", "set/small.txt"),
        *("set/sub", "set/sub/holes", "set/sub/void"),
    ]


FORMS = [("zip", "application/zip"), ("tar", "application/x-tar")]


@pytest.mark.parametrize(("form", "media_type"), FORMS)
def test_the_fields_of_an_archive(root: Path, form: str, media_type: str) -> None:
    os.utime(root / "set" / "small.txt", (2_000_000_000, 2_000_000_000))
    for path in (root / "set" / "run.sh", root / "set"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    sent = answer(root, form)
    fields = sent.fields
    assert fields["content-type"] == media_type
    assert int(fields["content-length"]) == len(sent.content)
    assert fields["accept-ranges"] == "bytes"
    assert fields["content-disposition"] == f'attachment; filename="set.{form}"'
    assert fields["cache-control"] == "no-cache"
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["etag"].startswith(f'"{form}1-')
    assert not fields["etag"].startswith("W/")


def test_the_root_is_called_files(root: Path) -> None:
    sent = answer(root, folder=".")
    assert sent.fields["content-disposition"] == 'attachment; filename="Files.zip"'
    with zipfile.ZipFile(io.BytesIO(sent.content)) as opened:
        assert opened.namelist()[:2] == ["Files/", "Files/file"]


def test_an_empty_folder_is_an_archive_of_one_folder(root: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(answer(root, folder="set/sub/void").content)) as opened:
        assert opened.namelist() == ["void/"]


def test_head_tells_the_same_and_sends_nothing(root: Path) -> None:
    head, whole = answers(root, scope_of("HEAD")), answer(root)
    assert (head.status, head.content) == (200, b"")
    assert head.fields == whole.fields


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize("chunked", [(), ("set",), (".",), ("set/large.bin",)], ids=repr)
@pytest.mark.parametrize("is_zero_copy", [True, False], ids=["sendfile", "chunks"])
def test_every_delivery_sends_the_same_bytes(
    root: Path, form: str, chunked: tuple[str, ...], is_zero_copy: bool
) -> None:
    whole = answer(root, form).content

    async def work(storage: LocalStorage) -> None:
        sent = await ask(storage, scope_of(is_zero_copy=is_zero_copy), form)
        assert sent.content == whole
        part = scope_of(is_zero_copy=is_zero_copy, range=f"bytes=100-{len(whole) - 50}")
        assert (await ask(storage, part, form)).content == whole[100 : len(whole) - 49]

    with_storage(root, work, *chunked)


def test_any_range_is_the_slice_of_the_whole(root: Path) -> None:
    whole = answer(root).content
    large = whole.index(LARGE)
    directory = whole.index(b"PK\x01\x02")
    ranges = [
        *((0, 1), (0, 45), (large - 1, large + 1), (large + 5, large + MIB), (large, directory)),
        *((directory - 20, directory + 60), (directory + 1, len(whole)), (0, len(whole))),
    ]

    async def work(storage: LocalStorage) -> None:
        for start, stop in ranges:
            sent = await ask(storage, scope_of(range=f"bytes={start}-{stop - 1}"))
            assert sent.status == 206
            assert sent.content == whole[start:stop]
            assert sent.fields["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"

    with_storage(root, work)


def test_a_resumed_part_alone_has_the_right_sums(root: Path) -> None:
    """As after a restart: nothing is known of what was sent before, so it is read."""
    whole = answer(root).content
    directory = whole.index(b"PK\x01\x02")
    assert answer(root, range=f"bytes={directory}-").content == whole[directory:]


def test_several_ranges_in_one_answer(root: Path) -> None:
    whole = answer(root).content
    sent = answer(root, range=f"bytes=0-9, {len(whole) - 10}-, 1000-1009")
    assert sent.status == 206
    assert sent.fields["content-type"].startswith("multipart/byteranges; boundary=")
    assert int(sent.fields["content-length"]) == len(sent.content)
    parts = [part.split(b"\r\n\r\n", 1)[1] for part in sent.content.split(b"\r\n--")[1:-1]]
    assert parts == [whole[:10], whole[-10:], whole[1000:1010]]


def test_a_range_beyond_the_end_is_416(root: Path) -> None:
    length = len(answer(root).content)
    sent = answer(root, range=f"bytes={length}-")
    assert (sent.status, sent.fields["content-range"]) == (416, f"bytes */{length}")


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "new").write_text("new"), "a-file-more"),
    (lambda folder: (folder / "small.txt").unlink(), "a-file-less"),
    (lambda folder: (folder / "small.txt").write_text("SMALL\n"), "other-bytes-of-the-same-size"),
    (lambda folder: (folder / "small.txt").rename(folder / "other.txt"), "renamed"),
    (lambda folder: (folder / "small.txt").chmod(0o755), "made-executable"),
    (lambda folder: (folder / "sub" / "void").rmdir(), "an-empty-folder-less"),
    (lambda folder: os.utime(folder / "small.txt", ns=(1, 1)), "time-set-back"),
]


@pytest.mark.parametrize("change", [c[0] for c in CHANGES], ids=[c[1] for c in CHANGES])
def test_a_changed_folder_is_not_resumed(root: Path, change: Callable[[Path], object]) -> None:
    before = answers(root, scope_of("HEAD")).fields
    change(root / "set")
    resumed = answer(root, range="bytes=100-", if_range=before["etag"])
    assert resumed.status == 200
    assert resumed.fields["etag"] != before["etag"]
    with zipfile.ZipFile(io.BytesIO(resumed.content)) as opened:
        assert opened.testzip() is None
    assert answer(root, range="bytes=100-", if_match=before["etag"]).status == 412


def test_an_unchanged_folder_is_resumed(root: Path) -> None:
    etag = answers(root, scope_of("HEAD")).fields["etag"]
    assert answer(root, range="bytes=100-", if_range=etag).status == 206
    assert answer(root, range="bytes=100-", if_match=etag).status == 206
    assert answer(root, if_none_match=etag).status == 304


def test_a_date_never_guards_a_range(root: Path) -> None:
    """An older file may change, and the newest date stays: no date tells states apart."""
    for path in (*(root / "set").rglob("*"), root / "set"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    head = answers(root, scope_of("HEAD")).fields
    assert head["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    date = head["last-modified"]
    assert answer(root, range="bytes=5-9", if_range=date).status == 200
    assert answer(root, range="bytes=5-9", if_unmodified_since=date).status == 200
    assert answer(root, range="bytes=5-9", if_unmodified_since=date, if_match="*").status == 206


def test_a_hidden_file_changes_nothing_but_the_time_of_its_folder(root: Path) -> None:
    before = answer(root)
    times = (root / "set").stat()
    (root / "set" / ".hidden").write_text("hidden")
    os.utime(root / "set", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert answer(root).content == before.content


REFUSED = [
    # folder, form, limits, status, words                                            id
    ("set", "rar", NO_LIMITS, 400, "'zip' or 'tar'", "unknown-form"),
    ("set", "", NO_LIMITS, 400, "'zip' or 'tar'", "no-form"),
    ("set", "ZIP", NO_LIMITS, 400, "'zip' or 'tar'", "forms-are-lower-case"),
    ("file", "zip", NO_LIMITS, 404, "not a folder", "a-file"),
    ("set", "zip", ArchiveLimits(members=7), 403, "more than 7 files", "one-member-too-many"),
    ("set", "tar", ArchiveLimits(bytes=4 * MIB), 403, "more than 4,194,304 bytes", "too-large"),
]


@pytest.mark.parametrize(
    ("folder", "form", "limits", "status", "words"),
    [r[:5] for r in REFUSED],
    ids=[r[5] for r in REFUSED],
)
def test_refusals_say_why(  # noqa: PLR0917 - a row has many columns
    root: Path, folder: str, form: str, limits: ArchiveLimits, status: int, words: str
) -> None:
    sent = answers(root, scope_of(), form=form, folder=folder, limits=limits)
    assert sent.status == status
    assert words.encode() in sent.content
    assert sent.fields["content-type"] == "application/problem+json"
    assert sent.fields["cache-control"] == "no-store"


def test_limits_allow_what_they_name(root: Path) -> None:
    total = 6 + 10 + MIB + 3 * MIB
    for limits in (ArchiveLimits(members=8), ArchiveLimits(bytes=total)):
        assert answers(root, scope_of(), limits=limits).status == 200
    assert answers(root, scope_of(), limits=ArchiveLimits(bytes=total - 1)).status == 403


def test_what_is_not_there_is_the_sites_to_answer(root: Path) -> None:
    with pytest.raises(NotFound):
        answer(root, folder="missing")


def test_the_size_is_what_will_be_sent(root: Path) -> None:
    async def work(storage: LocalStorage) -> None:
        for form in ("zip", "tar"):
            sent = await ask(storage, scope_of(), form)
            # What the page asks for its button.
            told = await ask(storage, scope_of("HEAD"), form)
            assert told.fields["content-length"] == str(len(sent.content))
            assert told.content == b""

    with_storage(root, work)


def test_files_are_closed_when_the_client_leaves(root: Path) -> None:
    def leave(message: Message) -> None:
        if message["type"] == "http.response.zerocopysend":
            raise TransferCut(EndCause.CLIENT_GONE)

    async def work(storage: LocalStorage) -> None:
        await ask(storage, scope_of())
        with pytest.raises(TransferCut):
            await ask(storage, scope_of(), send=Sending(leave))

    with nothing_left_open():
        with_storage(root, work)
