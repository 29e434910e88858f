"""A disk that reads at 20 MiB/s for chosen processes: blkio throttling of cgroup version 1."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workshop import WorkshopError

BYTES_PER_SECOND = 20 << 20
_CONTROLLER = Path("/sys/fs/cgroup/blkio")
_REMOVE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """The group of processes whose reads are throttled."""

    group: Path

    def slow_down(self, pids: Iterable[int]) -> None:
        """Throttle these processes, with all their threads, from now on."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (self.group / "cgroup.procs").write_text(f"{pid}", encoding="ascii")


@contextlib.contextmanager
def slow_disk(path: Path) -> Iterator[SlowDisk]:
    """The disk on which path lies, slow for those who are put into the group."""
    device = _whole_disk(path)
    group = _CONTROLLER / f"fileserve-bench-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        sentence = f"reads cannot be throttled here (blkio of cgroup version 1, as root): {error}"
        raise WorkshopError(sentence) from error
    try:
        limit = group / "blkio.throttle.read_bps_device"
        limit.write_text(f"{device} {BYTES_PER_SECOND}", encoding="ascii")
        yield SlowDisk(group)
    except FileNotFoundError as error:
        raise WorkshopError(f"{_CONTROLLER} has no throttle: {error}") from error
    finally:
        _remove(group)


def _whole_disk(path: Path) -> str:
    """major:minor of the disk; a partition has no queue of its own to throttle."""
    number = os.stat(path).st_dev
    entry = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not entry.exists():
        raise WorkshopError(f"{path} does not lie on a block device")
    if (entry / "partition").exists():
        entry = entry.resolve().parent
    return (entry / "dev").read_text(encoding="ascii").strip()


def _remove(group: Path) -> None:
    """Processes first: those that still live go back to where they came from."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while group.exists():
        for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                (_CONTROLLER / "cgroup.procs").write_text(pid, encoding="ascii")
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
