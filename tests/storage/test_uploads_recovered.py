"""What becomes of resumable uploads whose server was killed between two steps."""

import asyncio
import contextlib
import hashlib
import os
import resource
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.errors import Busy, NotFound, Unavailable
from storage.joining import join
from storage.local import LocalStorage
from storage.names import Name
from storage.upload_growing import Upload
from storage.upload_sessions import Kind, Session, State, write_session
from storage.uploads import ResumableUploads
from storage.writing import Writing

TARGET = Name((b"folder", b"a.bin"))
FILE = Session("", TARGET, 5, "token tests")
PART = Session("", None, 5, "token tests", Kind.PART)
MANY = 60


def run(root: Path, steps: Callable[[ResumableUploads], Awaitable[None]]) -> None:
    """Run steps with the uploads of a new process."""

    async def with_uploads() -> None:
        storage = LocalStorage(root)
        await storage.start()
        try:
            await steps(ResumableUploads(Writing(storage)))
        finally:
            await storage.close()

    asyncio.run(with_uploads())


async def begun(uploads: ResumableUploads, session: Session, content: bytes) -> Upload:
    upload = await uploads.begin(session)
    await upload.append([content])
    await upload.run(upload.opened.sync)
    return upload


@contextlib.contextmanager
def few_descriptors(count: int) -> Iterator[None]:
    """No more than so many are opened beside those that are open."""
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def staging(root: Path) -> Path:
    return root / ".fileserve-uploads"


def note(root: Path, session: Session) -> None:
    """Write a session down as it was before a step."""
    folder_fd = os.open(staging(root), os.O_RDONLY)
    write_session(folder_fd, session)
    os.close(folder_fd)


def test_a_file_that_was_published_is_found_to_be_done(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        upload = await begun(uploads, FILE, b"hello")
        before = upload.session
        await uploads.publish(upload)
        await uploads.release(upload)
        note(tmp_path, before)  # killed before it was written down
        found = await uploads.resume(before.upload_id)
        assert isinstance(found, Session)
        assert found.state is State.DONE

    run(tmp_path, steps)
    assert (tmp_path / "folder" / "a.bin").read_bytes() == b"hello"


def test_bytes_that_are_nowhere_are_not_called_complete(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        upload = await begun(uploads, FILE, b"hello")
        await uploads.release(upload)
        upload_id = upload.session.upload_id
        # Somebody else's file has the name: it has another inode.
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "a.bin").write_bytes(b"other")
        (staging(tmp_path) / upload_id).unlink()
        with pytest.raises(NotFound):
            await uploads.resume(upload_id)

    run(tmp_path, steps)
    assert list(staging(tmp_path).glob("*.json")) == []


def test_bytes_without_a_record_are_swept_away(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        kept = await begun(uploads, FILE, b"kept!")
        lost = await begun(uploads, replace(FILE, target=Name((b"b",))), b"lost!")
        (staging(tmp_path) / f"{lost.session.upload_id}.json").unlink()
        assert await uploads.sweep(os.stat(tmp_path).st_mtime, 1_000) == 0  # it has a writer
        await uploads.release(lost)
        await uploads.release(kept)
        assert await uploads.sweep(os.stat(tmp_path).st_mtime, 1_000) == 1
        found = await uploads.resume(kept.session.upload_id)
        assert isinstance(found, Upload)
        assert found.offset == 5
        await uploads.release(found)

    run(tmp_path, steps)


def test_an_upload_is_let_go_of_also_when_too_much_waits(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        upload = await begun(uploads, FILE, b"he")
        is_over, executor = threading.Event(), upload.landing.pool.executor
        with contextlib.suppress(Unavailable):
            while True:
                executor.submit(is_over.wait)
        releasing = asyncio.create_task(uploads.release(upload))
        await asyncio.sleep(0)
        is_over.set()
        await releasing
        found = await uploads.resume(upload.session.upload_id)
        assert isinstance(found, Upload)
        await uploads.release(found)

    run(tmp_path, steps)


def test_sweeping_makes_no_folder(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        assert await uploads.sweep(1e10, 0) == 0
        with pytest.raises(NotFound):
            await uploads.resume("0" * 32)

    run(tmp_path, steps)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_hears_that_the_upload_is_wanted(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        upload = await begun(uploads, FILE, b"hel")
        upload_id = upload.session.upload_id
        assert not await upload.run(upload.opened.is_wanted)
        with pytest.raises(Busy):
            await uploads.resume(upload_id)
        # As another worker would ask for it.
        taking = asyncio.create_task(ResumableUploads(uploads._writing).take(upload_id))
        while not await upload.run(upload.opened.is_wanted):
            await asyncio.sleep(0.01)
        await uploads.release(upload)
        taken = await taking
        assert isinstance(taken, Upload)
        assert taken.offset == 3
        assert not await taken.run(taken.opened.is_wanted)
        await uploads.release(taken)

    run(tmp_path, steps)


def test_a_digest_with_bytes_that_were_not_verified_is_not_kept(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        upload = await begun(uploads, FILE, b"he")
        await upload.run(upload.opened.distrust_what_comes)
        await upload.append([b"XX"])
        await uploads.release(upload)
        # As another worker would go on with it.
        other = ResumableUploads(uploads._writing)
        found = await other.resume(upload.session.upload_id)
        assert isinstance(found, Upload)
        await found.append([b"ll"])
        await other.release(found)
        last = await uploads.resume(upload.session.upload_id)
        assert isinstance(last, Upload)
        await last.append([b"o"])
        arrival = await uploads.publish(last)
        await uploads.release(last)
        assert arrival.digests.sha256 == hashlib.sha256(b"hello").digest()

    run(tmp_path, steps)


def test_few_descriptors_are_enough_for_many_parts(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        ids = []
        for number in range(MANY):
            part = await begun(uploads, replace(PART, length=4), b"%04d" % number)
            ids.append(part.session.upload_id)
            await uploads.release(part)
        with few_descriptors(MANY // 2):
            final = replace(FILE, part_ids=tuple(ids))
            await join(uploads, final, lambda _: None)

    run(tmp_path, steps)
    content = (tmp_path / "folder" / "a.bin").read_bytes()
    assert content == b"".join(b"%04d" % number for number in range(MANY))


def test_what_kills_left_of_several_attempts_is_removed(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        parts = [await begun(uploads, PART, content) for content in (b"hello", b"world")]
        ids = tuple(part.session.upload_id for part in parts)
        attempt = replace(FILE, length=10, part_ids=ids)
        left = [await begun(uploads, attempt, content) for content in (b"hello", b"helloworld")]
        for part, whole in zip(parts, left, strict=True):
            await part.run(
                lambda part=part, id_=whole.session.upload_id: part.opened.join_into(id_)
            )
        for upload in (*parts, *left):
            await uploads.release(upload)
        _, arrival = await join(uploads, replace(FILE, part_ids=ids), lambda _: None)
        assert arrival is not None

    run(tmp_path, steps)
    assert (tmp_path / "folder" / "a.bin").read_bytes() == b"helloworld"
    assert [path.name for path in staging(tmp_path).iterdir() if path.suffix == ""] == ["lock"]


@pytest.mark.parametrize("step", ["copied", "published"])
def test_a_kill_while_parts_are_joined_costs_nothing(tmp_path: Path, step: str) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        parts = [await begun(uploads, PART, content) for content in (b"hello", b"world")]
        ids = tuple(part.session.upload_id for part in parts)
        whole = await begun(uploads, replace(FILE, length=10, part_ids=ids), b"helloworld")
        for part in parts:
            await part.run(lambda part=part: part.opened.join_into(whole.session.upload_id))
        if step == "published":
            await uploads.publish(whole)
        for upload in (*parts, whole):
            await uploads.release(upload)
        session, arrival = await join(uploads, replace(FILE, part_ids=ids), lambda _: None)
        assert session.state is State.DONE
        assert (arrival is None) == (step == "published")
        again, nothing = await join(uploads, replace(FILE, part_ids=ids), lambda _: None)
        assert (again.upload_id, nothing) == (session.upload_id, None)

    run(tmp_path, steps)
    assert (tmp_path / "folder" / "a.bin").read_bytes() == b"helloworld"
    assert [path.name for path in staging(tmp_path).iterdir() if path.stat().st_size == 5] == []


def test_nothing_is_cut_off_between_two_pieces_of_one_turn(tmp_path: Path) -> None:
    async def steps(uploads: ResumableUploads) -> None:
        upload = await begun(uploads, replace(FILE, length=9), b"abc")
        reached, cutter = (
            threading.Event(),
            threading.Thread(target=upload.opened.cut_back, args=[3]),
        )

        def fill(buffer: memoryview) -> int:
            if reached.is_set():
                return 0
            # What a server that stops does with bytes that it has not verified.
            cutter.start()
            reached.set()
            buffer[:3] = b"ghi"
            return 3

        await upload.append_on([b"def"], fill)
        cutter.join()
        assert upload.offset == 3
        await upload.append([b"defghi"])
        await uploads.publish(upload)
        await uploads.release(upload)

    run(tmp_path, steps)
    assert (tmp_path / "folder/a.bin").read_bytes() == b"abcdefghi"
