"""What `fileserve doctor` examines: the root, its mounts, what the kernel can do, what was left.

Nothing here writes into the root.  Whatever may hang with a mount is asked under a deadline,
because finding a hung mount is half of the purpose.
"""

import contextlib
import itertools
import os
import stat
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from fileserve.catalog_checks import catalog_findings
from fileserve.console import human_size
from fileserve.deadlines import NoAnswer, answer_within
from fileserve.findings import Finding, Status
from fileserve.kernel_checks import kernel_findings, open_files_finding
from fileserve.key_checks import key_findings
from storage.atomic import is_leftover
from storage.beneath import CrossesMount, Root, Symlinks
from storage.errors import AccessDenied
from storage.library import opened_root
from storage.mounts import MOUNTINFO, Mount, Mounts, mount_id, parse_mountinfo
from storage.names import RESERVED_FIRST_SEGMENT, Name, parse_os_path, printable

if TYPE_CHECKING:
    from fileserve.settings import Settings

ANSWER_SECONDS = 5.0
SEARCH_SECONDS = 10.0
_LOW_SPACE_SHARE = 0.05
_NAMED_LEFTOVERS = 3
_FOLDERS_SEARCHED = 100  # for a file to try things with


def examine(settings: "Settings") -> Iterator[Finding]:
    """All findings, each as soon as it is made; raises StorageError for a root that is none."""
    try:
        found = answer_within(ANSWER_SECONDS, lambda: _root_finding(settings))
    except NoAnswer:
        sentence = f"{settings.root} does not answer for {ANSWER_SECONDS:g} s"
        found = Finding(Status.FAIL, "root", sentence, "see to the server behind its mount")
    yield found
    if found.status is Status.FAIL:
        return
    with opened_root(settings.root, Symlinks(settings.symlinks)) as root:
        mounts = _mounts()
        yield _reserved_name_finding(root)
        yield from _mount_findings(root, mounts)
        with _sample_file(root) as sample_fd:
            yield from kernel_findings(root, mounts.by_id.get(mount_id(root.fileno)), sample_fd)
        yield open_files_finding(settings.max_connections)
        yield _space_finding(root)
        yield _leftovers_finding(root, mounts)
        yield from catalog_findings(settings, mounts)
        yield from key_findings(settings)


def _root_finding(settings: "Settings") -> Finding:
    path = os.fsencode(settings.root.absolute())
    what, user = printable(path), f"user {os.geteuid()}"
    if not _is_readable(path, Symlinks(settings.symlinks)):
        sentence = f"{what} cannot be read by {user}"
        return Finding(Status.FAIL, "root", sentence, "chmod a+rx it, or run as its owner")
    mode = os.stat(path).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        sentence = f"{what} can be written by everybody"
        return Finding(Status.WARN, "root", sentence, "chmod o-w it, unless everybody may publish")
    return Finding(Status.OK, "root", f"{what}, readable by {user}")


def _is_readable(path: bytes, symlinks: Symlinks) -> bool:
    try:
        with opened_root(os.fsdecode(path), symlinks):
            return os.access(path, os.R_OK | os.X_OK, effective_ids=True)
    except AccessDenied:
        return False


def _reserved_name_finding(root: Root) -> Finding:
    try:
        os.stat(RESERVED_FIRST_SEGMENT, dir_fd=root.fileno, follow_symlinks=False)
    except FileNotFoundError:
        return Finding(Status.OK, "names", "nothing in the root is named '-'")
    sentence = "'-' in the root is in the way of the service's own /-/ pages"
    return Finding(Status.FAIL, "names", sentence, "rename it: mv ./- ANOTHER-NAME")


def _mounts() -> Mounts:
    with open(MOUNTINFO, "rb") as lines:
        return Mounts(parse_mountinfo(lines.read()))


def _real_path(root: Root) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % root.fileno)


def _mount_findings(root: Root, mounts: Mounts) -> Iterator[Finding]:
    own = mounts.by_id.get(mount_id(root.fileno))
    yield Finding(Status.OK, "mount", f"the root: {_described(own, mounts)}")
    for segments, mount in mounts.below(_real_path(root)).items():
        what = f"{Name(segments).display}: {_described(mount, mounts)}"
        try:
            answer_within(ANSWER_SECONDS, partial(_ask, mount.point))
        except NoAnswer:
            advice = "clients get 503 for it; see to the server behind it, or umount -l"
            yield Finding(Status.FAIL, "mount", f"{what}, does not answer", advice)
        except OSError as error:
            advice = "clients get 503 for it; mount it again"
            yield Finding(Status.FAIL, "mount", f"{what}, {error.strerror}", advice)
        else:
            yield Finding(Status.OK, "mount", what)


def _ask(point: bytes) -> int:
    return os.statvfs(point).f_bsize


def _described(mount: Mount | None, mounts: Mounts) -> str:
    fs_type = "unknown" if mount is None else mount.fs_type
    if mounts.is_network(mount):
        return f"{fs_type}, may hang: read in threads of its own"
    return f"{fs_type}, local: sent by sendfile"


@contextlib.contextmanager
def _sample_file(root: Root) -> Iterator[int | None]:
    """Some file of the root to try things with; None where there is none near its top."""
    fd = _first_file(root)
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _first_file(root: Root) -> int | None:
    top = _real_path(root)
    for folder, _, files in itertools.islice(os.walk(top), _FOLDERS_SEARCHED):
        for file in files:
            name = parse_os_path(os.path.relpath(os.path.join(folder, file), top))
            with contextlib.suppress(OSError, CrossesMount):
                fd = root.open_same_mount(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    return fd
                os.close(fd)
    return None


def _space_finding(root: Root) -> Finding:
    space = os.fstatvfs(root.fileno)
    free, total = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    sentence = f"{human_size(free)} of {human_size(total)} free"
    if total and free < total * _LOW_SPACE_SHARE:
        return Finding(Status.WARN, "space", sentence, "remove files, or enlarge the file system")
    return Finding(Status.OK, "space", sentence)


def _leftovers_finding(root: Root, mounts: Mounts) -> Finding:
    top = _real_path(root)
    skipped = {top.rstrip(b"/") + b"/" + b"/".join(point) for point in mounts.below(top)}
    try:
        found, is_all = answer_within(
            SEARCH_SECONDS + ANSWER_SECONDS, lambda: _leftovers(top, skipped)
        )
    except NoAnswer:
        return Finding(Status.WARN, "leftovers", "the root does not answer in time")
    if found:
        names = ", ".join(
            printable(os.path.relpath(path, top)) for path in found[:_NAMED_LEFTOVERS]
        )
        more = f" and {len(found) - _NAMED_LEFTOVERS} more" if len(found) > _NAMED_LEFTOVERS else ""
        advice = "of a killed `fileserve add`; remove them unless one is running"
        return Finding(Status.WARN, "leftovers", names + more, advice)
    where = "" if is_all else f" among what could be looked at in {SEARCH_SECONDS:g} s"
    return Finding(Status.OK, "leftovers", f"no unfinished files{where}")


def _leftovers(top: bytes, skipped: set[bytes]) -> tuple[list[bytes], bool]:
    """Unfinished files below top, and whether there was time for all of it."""
    deadline = time.monotonic() + SEARCH_SECONDS
    found: list[bytes] = []
    for folder, below, files in os.walk(top):
        found.extend(os.path.join(folder, file) for file in files if is_leftover(file))
        below[:] = [each for each in below if os.path.join(folder, each) not in skipped]
        if time.monotonic() > deadline:
            return found, False
    return found, True
