"""A crash at any step leaves the old file or the whole new one, and nothing else."""

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from storage.atomic import (
    Draft,
    Existing,
    Step,
    Target,
    is_leftover,
    rename,
    store_copy,
    store_link,
    store_stream,
)
from storage.digests import Digests, digest
from tests.descriptors import nothing_left_open

OLD = b"old"
NEW = b"new" * 1_000_000  # several pieces
Writer = Callable[[Target, Path], Digests]


class CrashError(Exception):
    """What the tests throw into a step."""


class Way(NamedTuple):
    """One way to write: by whom, called what meanwhile, over what."""

    writer: str
    draft: Draft
    existing: Existing

    def write(self, folder: Path, source: Path, before: Callable[[Step], None]) -> Digests:
        with folder_descriptor(folder) as fd:
            target = Target(fd, b"a", self.existing, self.draft, before)
            return WRITERS[self.writer](target, source)


@contextlib.contextmanager
def folder_descriptor(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def write_stream(target: Target, source: Path) -> Digests:
    return store_stream(target, [source.read_bytes()])


def write_copy(target: Target, source: Path) -> Digests:
    with source.open("rb") as file:
        return store_copy(target, file.fileno())


def write_link(target: Target, source: Path) -> Digests:
    with source.open("rb") as file:
        return store_link(target, file.fileno())


WRITERS = {"stream": write_stream, "copy": write_copy, "link": write_link}

# The steps that each way to write takes, in this order (module docstring of storage.atomic).
_DRAFT = [Step.CREATE, Step.WRITE]
_NAMED = [Step.SYNC_FILE, Step.LINK, Step.SYNC_FOLDER]
_REPLACED = [Step.SYNC_FILE, Step.LINK, Step.RENAME, Step.SYNC_FOLDER]
_RENAMED = [Step.SYNC_FILE, Step.RENAME, Step.SYNC_FOLDER]
WAYS = [
    # writer        draft           existing            steps
    (Way("stream", Draft.NAMELESS, Existing.REFUSE), _DRAFT + _NAMED),
    (Way("stream", Draft.NAMELESS, Existing.REPLACE), _DRAFT + _REPLACED),
    (Way("stream", Draft.NAMED, Existing.REFUSE), _DRAFT + _RENAMED),
    (Way("stream", Draft.NAMED, Existing.REPLACE), _DRAFT + _RENAMED),
    (Way("copy", Draft.NAMELESS, Existing.REFUSE), _DRAFT + _NAMED),
    (Way("copy", Draft.NAMELESS, Existing.REPLACE), _DRAFT + _REPLACED),
    (Way("copy", Draft.NAMED, Existing.REFUSE), _DRAFT + _RENAMED),
    (Way("copy", Draft.NAMED, Existing.REPLACE), _DRAFT + _RENAMED),
    (Way("link", Draft.NAMELESS, Existing.REFUSE), _NAMED),
    (Way("link", Draft.NAMELESS, Existing.REPLACE), _REPLACED),
]
CRASHES = [
    pytest.param(way, step, id=f"{way.writer}-{way.draft.value}-{way.existing.value}-{step.value}")
    for way, steps in WAYS
    for step in steps
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(NEW)
    os.utime(path, ns=(1_000_000_000, 2_000_000_001))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


@pytest.mark.parametrize(("way", "steps"), WAYS)
def test_steps_are_taken_in_the_order_that_survives_a_crash(
    folder: Path, source: Path, way: Way, steps: list[Step]
) -> None:
    taken: list[Step] = []
    way.write(folder, source, taken.append)
    assert list(dict.fromkeys(taken)) == steps


@pytest.mark.parametrize(("way", "step"), CRASHES)
@pytest.mark.parametrize("error", [CrashError, KeyboardInterrupt])
def test_exception_at_any_step_leaves_the_old_file_or_the_whole_new_one(
    folder: Path, source: Path, way: Way, step: Step, error: type[BaseException]
) -> None:
    def crash(reached: Step) -> None:
        if reached is step:
            raise error

    old = _prepare(folder, way.existing)
    with nothing_left_open(), pytest.raises(error):
        way.write(folder, source, crash)
    assert _content(folder) == ({"a": NEW} if step is Step.SYNC_FOLDER else old)


# A process of its own, not a fork: a forked child of a test run with threads may deadlock.
DIES_AT_A_STEP = """
import os, signal, sys
from storage.atomic import Draft, Existing, Step, Target, store_copy, store_link, store_stream

folder, source, writer, draft, existing, step = sys.argv[1:]

def die(reached):
    if reached is Step(step):
        os.kill(os.getpid(), signal.SIGKILL)

fd = os.open(folder, os.O_RDONLY)
target = Target(fd, b"a", Existing(existing), Draft(draft), die)
with open(source, "rb") as file:
    if writer == "stream":
        store_stream(target, [file.read()])
    else:
        {"copy": store_copy, "link": store_link}[writer](target, file.fileno())
"""


@pytest.mark.parametrize(("way", "step"), CRASHES)
def test_sigkill_at_any_step_leaves_the_old_file_or_the_whole_new_one(
    folder: Path, source: Path, way: Way, step: Step
) -> None:
    old = _prepare(folder, way.existing)
    words = [way.writer, way.draft.value, way.existing.value, step.value]
    command = [sys.executable, "-c", DIES_AT_A_STEP, str(folder), str(source), *words]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    leftovers = [path for path in folder.iterdir() if is_leftover(os.fsencode(path.name))]
    for path in leftovers:
        path.unlink()
    assert _content(folder) == ({"a": NEW} if step is Step.SYNC_FOLDER else old)
    # Only the documented cases need a name on the disk before the end.
    may_leave = way.draft is Draft.NAMED or step is Step.RENAME
    assert len(leftovers) <= int(may_leave)


def _prepare(folder: Path, existing: Existing) -> dict[str, bytes]:
    if existing is Existing.REPLACE:
        (folder / "a").write_bytes(OLD)
    return _content(folder)


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("draft", Draft)
@pytest.mark.parametrize("existing", Existing)
def test_new_file_is_whole_and_its_digests_are_returned(
    folder: Path, source: Path, writer: str, draft: Draft, existing: Existing
) -> None:
    _prepare(folder, existing)
    counts: list[int] = []
    with folder_descriptor(folder) as fd:
        target = Target(fd, b"a", existing, draft, wrote=counts.append)
        digests = WRITERS[writer](target, source)
    assert digests == digest([NEW])
    assert sum(counts) == len(NEW)
    assert _content(folder) == {"a": NEW}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("draft", Draft)
def test_existing_file_is_not_replaced_unasked(
    folder: Path, source: Path, writer: str, draft: Draft
) -> None:
    (folder / "a").write_bytes(OLD)
    with folder_descriptor(folder) as fd, pytest.raises(FileExistsError):
        WRITERS[writer](Target(fd, b"a", Existing.REFUSE, draft), source)
    assert _content(folder) == {"a": OLD}


@pytest.mark.parametrize("writer", WRITERS)
def test_folder_of_that_name_is_never_replaced(folder: Path, source: Path, writer: str) -> None:
    (folder / "a").mkdir()
    with folder_descriptor(folder) as fd, pytest.raises(IsADirectoryError):
        WRITERS[writer](Target(fd, b"a", Existing.REPLACE), source)
    assert os.listdir(folder) == ["a"]


def test_replacing_a_symlink_leaves_its_target_alone(folder: Path, source: Path) -> None:
    (folder / "precious").write_bytes(OLD)
    (folder / "a").symlink_to("precious")
    with folder_descriptor(folder) as fd:
        write_copy(Target(fd, b"a", Existing.REPLACE), source)
    assert _content(folder) == {"a": NEW, "precious": OLD}
    assert not (folder / "a").is_symlink()


def test_copy_keeps_the_time_of_the_last_change(folder: Path, source: Path) -> None:
    with folder_descriptor(folder) as fd:
        write_copy(Target(fd, b"a"), source)
    assert (folder / "a").stat().st_mtime_ns == 2_000_000_001


def test_link_is_the_same_file(folder: Path, source: Path) -> None:
    with folder_descriptor(folder) as fd:
        write_link(Target(fd, b"a"), source)
    assert (folder / "a").samefile(source)


def test_linking_a_file_over_itself_changes_nothing(folder: Path) -> None:
    (folder / "a").write_bytes(OLD)
    with folder_descriptor(folder) as fd:
        write_link(Target(fd, b"a", Existing.REPLACE), folder / "a")
    assert _content(folder) == {"a": OLD}


def test_file_whose_length_the_system_does_not_know_is_copied_whole(folder: Path) -> None:
    # Files of /proc have length 0, and copy_file_range ends at once on them.
    with folder_descriptor(folder) as fd:
        digests = write_copy(Target(fd, b"a"), Path("/proc/version"))
    assert _content(folder) == {"a": Path("/proc/version").read_bytes()}
    assert digests.length > 0


def test_empty_file_is_a_file(folder: Path) -> None:
    with folder_descriptor(folder) as fd:
        assert store_stream(Target(fd, b"a"), []).length == 0
    assert _content(folder) == {"a": b""}


def test_mode_of_a_new_file_is_left_to_the_umask(folder: Path, source: Path) -> None:
    previous = os.umask(0o027)
    try:
        with folder_descriptor(folder) as fd:
            write_copy(Target(fd, b"a"), source)
    finally:
        os.umask(previous)
    assert (folder / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_rename_refuses_a_name_that_is_taken(folder: Path, kind: str) -> None:
    (folder / "a").write_bytes(OLD)
    _make(folder / "b", kind)
    with folder_descriptor(folder) as fd, pytest.raises(FileExistsError):
        rename(fd, b"a", Target(fd, b"b"))
    assert sorted(os.listdir(folder)) == ["a", "b"]


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("existing", Existing)
def test_rename_moves_between_folders(folder: Path, kind: str, existing: Existing) -> None:
    other = folder / "other"
    other.mkdir()
    _make(folder / "a", kind)
    with folder_descriptor(folder) as fd, folder_descriptor(other) as other_fd:
        rename(fd, b"a", Target(other_fd, b"b", existing))
    assert os.listdir(folder) == ["other"]
    assert os.listdir(other) == ["b"]


def _make(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(NEW)


LEFTOVERS = [
    (b".fileserve-0123456789abcdef.part", True),
    (b".fileserve-0123456789abcdef.part.mkv", False),
    (b"a.fileserve-0123456789abcdef.part", False),
    (b".fileserve-0123456789ABCDEF.part", False),
    (b".fileserve-.part", False),
    (b"a.part", False),
]


@pytest.mark.parametrize(("segment", "expected"), LEFTOVERS)
def test_only_our_own_drafts_are_leftovers(segment: bytes, expected: bool) -> None:
    assert is_leftover(segment) is expected


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Iterator[Path]:
    mountpoint = tmp_path / "small"
    mountpoint.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "fileserve-test", str(mountpoint)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs privileges")
    try:
        yield mountpoint
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)


@pytest.mark.parametrize("writer", ["stream", "copy"])
@pytest.mark.parametrize("draft", Draft)
@pytest.mark.parametrize("existing", Existing)
def test_full_file_system_leaves_the_old_file_and_its_space(
    small_tmpfs: Path, source: Path, writer: str, draft: Draft, existing: Existing
) -> None:
    old = _prepare(small_tmpfs, existing)
    free = os.statvfs(small_tmpfs).f_bfree
    with folder_descriptor(small_tmpfs) as fd, pytest.raises(OSError, match="space") as caught:
        WRITERS[writer](Target(fd, b"a", existing, draft), source)
    assert caught.value.errno == errno.ENOSPC
    assert _content(small_tmpfs) == old
    assert os.statvfs(small_tmpfs).f_bfree == free


def test_link_to_another_file_system_is_refused(small_tmpfs: Path, source: Path) -> None:
    with (
        folder_descriptor(small_tmpfs) as fd,
        pytest.raises(OSError, match="cross-device") as caught,
    ):
        write_link(Target(fd, b"a"), source)
    assert caught.value.errno == errno.EXDEV
    assert _content(small_tmpfs) == {}


def test_bytes_and_name_are_synced_in_this_order(tmp_path: Path) -> None:
    """What the kernel is asked, seen from outside: fsync, then the name, then fsync again."""
    script = (
        "import os, sys; from storage.atomic import Target, store_stream;"
        "fd = os.open(sys.argv[1], os.O_RDONLY); store_stream(Target(fd, b'a'), [b'x'])"
    )
    log = tmp_path / "strace"
    command = ["strace", "-f", "-o", str(log), "-e", "trace=fsync,linkat", sys.executable]
    try:
        subprocess.run([*command, "-c", script, str(tmp_path)], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("strace is missing or not permitted")
    calls = re.findall(r"(fsync|linkat)\(.*= 0", log.read_text())
    assert calls == ["fsync", "linkat", "fsync"]
