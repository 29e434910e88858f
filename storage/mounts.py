"""Which mount a descriptor lies on, and whether that mount may hang.

Everything here is read from the kernel's own tables (mountinfo, statx with DONT_SYNC), never by
asking a file system: stat, statfs and realpath hang with a hung mount (proc(5), statx(2)).
"""

import asyncio
import ctypes
import os
import re
import select
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

MOUNTINFO = "/proc/self/mountinfo"

# Everything else counts as a network mount: FUSE, NFS, CIFS, Ceph, 9p, autofs and whatever
# is invented tomorrow.  An overlay is judged by its layers.
# fmt: off
LOCAL_FILE_SYSTEMS = frozenset({
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "tmpfs", "ramfs",
    "squashfs", "erofs", "iso9660", "udf", "vfat", "exfat", "ntfs3",
})
# fmt: on
MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})

_AT_EMPTY_PATH = 0x1000
_AT_STATX_DONT_SYNC = 0x4000
_STATX_MNT_ID = 0x1000
_STATX_BYTES = 256
_STX_MASK = slice(0, 4)
_STX_MNT_ID = slice(144, 152)  # struct statx in linux/stat.h

_OCTAL_ESCAPE = re.compile(rb"\\([0-7]{3})")
_LAYER_SEPARATOR = re.compile(rb"(?<!\\):")
_OPTION_SEPARATOR = re.compile(rb"(?<!\\),")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo; point is an absolute path, unescaped."""

    id: int
    device: str
    point: bytes
    fs_type: str
    super_options: bytes


class Mounts:
    """All mounts at one moment, in the order of mountinfo: later ones cover earlier ones."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self.all = tuple(mounts)
        self.by_id: Mapping[int, Mount] = {mount.id: mount for mount in self.all}

    @cached_property
    def point_names(self) -> frozenset[bytes]:
        """The last component of each mount point: what a folder's entries are compared with."""
        return frozenset(mount.point.rpartition(b"/")[2] for mount in self.all)

    def below(self, folder: bytes) -> dict[tuple[bytes, ...], Mount]:
        """The uppermost mount at each mount point below folder, keyed by the path from there."""
        start = folder.rstrip(b"/") + b"/"
        return {
            tuple(mount.point[len(start) :].split(b"/")): mount
            for mount in self.all
            if mount.point.startswith(start) and mount.point != start
        }

    def within(self, folder_fd: int, segment: bytes) -> Mount | None:
        """A mount at an entry of an open folder or anywhere below it; None if there is none."""
        # The folder's path as it is now: the one it was asked by may have had links in it.
        folder = os.readlink(b"/proc/self/fd/%d" % folder_fd)
        start = os.path.join(folder, segment) + b"/"
        return next((mount for mount in self.all if (mount.point + b"/").startswith(start)), None)

    def holding(self, path: bytes) -> Mount | None:
        """The mount an absolute path without symlinks lies on, judged by the text alone."""
        best: Mount | None = None
        for mount in self.all:
            start = mount.point.rstrip(b"/") + b"/"
            is_longer = best is None or len(mount.point) >= len(best.point)
            if is_longer and (path + b"/").startswith(start):
                best = mount
        return best

    def is_network(self, mount: Mount | None) -> bool:
        """Whether mount may hang; an unknown one (None) may."""
        if mount is None:
            return True
        if mount.fs_type == "overlay":
            return self._is_overlay_remote(mount)
        return mount.fs_type not in LOCAL_FILE_SYSTEMS

    def _is_overlay_remote(self, overlay: Mount) -> bool:
        """Whether a layer of an overlay may hang.

        Inside a container the layers' paths belong to another mount namespace: they seem to lie
        on the overlay itself.  Then its upper layer decides: the kernel demands extended
        attributes and whiteouts of it, which network file systems do not offer.
        """
        upper, lower = overlay_layers(overlay.super_options)
        for layer in (*upper, *lower):
            below = self.holding(layer) if layer.startswith(b"/") else None
            if below == overlay and upper:
                continue
            if below is None or below.fs_type == "overlay" or self.is_network(below):
                return True
        return not (upper or lower)


def parse_mountinfo(text: bytes) -> list[Mount]:
    """The mounts of a mountinfo file (proc(5)); lines that cannot be read are left out.

    ``36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue``
    """
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(b" - ")
        fields, tail = before.split(b" "), after.split(b" ")
        if separator and len(fields) >= 6 and len(tail) >= 3 and fields[0].isdigit():
            device, point = fields[2].decode("ascii", "replace"), _unescape(fields[4])
            fs_type = _unescape(tail[0]).decode("utf-8", "replace")
            mounts.append(Mount(int(fields[0]), device, point, fs_type, _unescape(tail[2])))
    return mounts


def overlay_layers(super_options: bytes) -> tuple[list[bytes], list[bytes]]:
    """The upper and the lower layers an overlay's options name."""
    upper: list[bytes] = []
    lower: list[bytes] = []
    for option in _OPTION_SEPARATOR.split(super_options):
        key, _, value = option.partition(b"=")
        if key == b"upperdir":
            upper.append(value)
        elif key in (b"lowerdir", b"lowerdir+", b"datadir+"):
            lower.extend(layer for layer in _LAYER_SEPARATOR.split(value) if layer)
    return upper, lower


def _unescape(field: bytes) -> bytes:
    return _OCTAL_ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)


def mount_id(descriptor: int) -> int:
    """The id in mountinfo of the mount a descriptor was opened through; never hangs."""
    found = _mount_id_by_statx(descriptor)
    return _mount_id_by_fdinfo(descriptor) if found is None else found


def _mount_id_by_statx(descriptor: int) -> int | None:
    if _statx is None:
        return None
    result = ctypes.create_string_buffer(_STATX_BYTES)
    flags = _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
    if _statx(descriptor, b"", flags, _STATX_MNT_ID, result) != 0:
        return None
    if not int.from_bytes(result.raw[_STX_MASK], sys.byteorder) & _STATX_MNT_ID:  # before Linux 5.8
        return None
    return int.from_bytes(result.raw[_STX_MNT_ID], sys.byteorder)


def _mount_id_by_fdinfo(descriptor: int) -> int:
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as lines:
        for line in lines:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    raise OSError(f"descriptor {descriptor} has no mount id")


def _find_statx() -> Callable[[int, bytes, int, int, ctypes.Array[ctypes.c_char]], int] | None:
    # The C library's wrapper: the call's number differs between architectures.
    function = getattr(ctypes.CDLL(None), "statx", None)
    if function is None:
        return None
    function.restype = ctypes.c_int
    function.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_void_p,
    )

    def statx(
        descriptor: int, path: bytes, flags: int, mask: int, result: ctypes.Array[ctypes.c_char]
    ) -> int:
        return int(function(descriptor, path, flags, mask, result))

    return statx


_statx = _find_statx()


class MountTable:
    """The mounts of now: read at the first need, and again whenever the kernel says they changed.

    Opens nothing when it is made; a forked child opens its own, since a change is told once to
    each open mountinfo.  current may be called in any thread, the others in the loop's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = 0
        self._mountinfo = -1
        self._changes = select.poll()
        self._mounts = Mounts(())
        self._watch: _Watch | None = None
        self._is_closed = False

    def current(self) -> Mounts:
        """The mounts of now; the same object as long as nothing changes."""
        with self._lock:
            if self._is_closed:
                return self._mounts
            if self._process != os.getpid():
                self._open()
            elif not self._changes.poll(0):
                return self._mounts
            # Asked for changes before reading: what changes meanwhile is told next time.
            self._mounts = _read_mounts()
            return self._mounts

    def watch(self, on_change: Callable[[], None]) -> None:
        """Call on_change in the running loop after each change until close()."""
        self._watch = _Watch(asyncio.get_running_loop(), on_change)

    def close(self) -> None:
        """Stop watching; current() then tells what was known last.  May be called twice."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        with self._lock:
            # A thread that was stuck on a mount may still ask; it must open nothing any more.
            is_open = self._process == os.getpid() and not self._is_closed
            self._is_closed = True
            if is_open:
                os.close(self._mountinfo)

    def _open(self) -> None:
        self._mountinfo = _open_mountinfo()
        self._changes = select.poll()
        self._changes.register(self._mountinfo, select.POLLPRI)
        self._process = os.getpid()


class _Watch:
    """An open mountinfo of its own in an event loop, since telling a change uses it up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]) -> None:
        self._loop = loop
        self._on_change = on_change
        self._mountinfo = _open_mountinfo()
        # mountinfo is always readable, so an event loop would spin on it; an epoll of its
        # own that asks for EPOLLPRI alone becomes readable at changes only.
        self._epoll = select.epoll()
        self._epoll.register(self._mountinfo, select.EPOLLPRI)
        loop.add_reader(self._epoll.fileno(), self._notice)

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        os.close(self._mountinfo)

    def _notice(self) -> None:
        self._epoll.poll(0)
        self._on_change()


def _open_mountinfo() -> int:
    return os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)


def _read_mounts() -> Mounts:
    with open(MOUNTINFO, "rb") as mountinfo:
        return Mounts(parse_mountinfo(mountinfo.read()))
