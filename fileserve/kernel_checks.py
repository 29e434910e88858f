"""The part of `fileserve doctor` that tries what the server asks of the kernel."""

import errno
import os
import resource
import socket
from collections.abc import Iterator

from fileserve.findings import Finding, Status
from fileserve.open_files import descriptors_for
from storage.beneath import Root
from storage.mounts import MEMORY_FILE_SYSTEMS, Mount, mount_id
from storage.openat2 import is_usable

_PROBE_BYTES = 4096
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h


def kernel_findings(root: Root, mount: Mount | None, sample_fd: int | None) -> Iterator[Finding]:
    """What works on this machine; mount is the root's, sample_fd some open file of it."""
    yield _openat2_finding(root)
    yield _mount_id_finding(root, mount)
    if sample_fd is None:
        yield Finding(Status.OK, "sendfile", "not tried: the root holds no file yet")
    else:
        yield _nowait_finding(sample_fd, mount)
        yield _sendfile_finding(sample_fd)
    yield _pacing_finding()


def open_files_finding(max_connections: int) -> Finding:
    """Whether the limit of open files is enough for so many connections (0: as many as come)."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # the server raises the soft one to it
    needed = descriptors_for(max_connections)
    if limit == resource.RLIM_INFINITY:
        return Finding(Status.OK, "open files", "no limit")
    if max_connections and limit < needed:
        sentence = f"limit {limit:,}, but {max_connections:,} connections may need {needed:,}"
        advice = f"LimitNOFILE={needed} in the unit, ulimit -n, or a lower --max-connections"
        return Finding(Status.WARN, "open files", sentence, advice)
    return Finding(Status.OK, "open files", f"limit {limit:,}")


def _openat2_finding(root: Root) -> Finding:
    if is_usable(root.fileno):
        return Finding(Status.OK, "openat2", "works: names are opened race-free in one call")
    sentence = "refused: names are opened step by step, safe but slower"
    return Finding(Status.WARN, "openat2", sentence, "Linux 5.6; a newer container runtime")


def _mount_id_finding(root: Root, mount: Mount | None) -> Finding:
    if mount is not None:
        return Finding(Status.OK, "mount ids", "readable: network mounts are told from local ones")
    sentence = f"mount {mount_id(root.fileno)} is not in /proc/self/mountinfo"
    return Finding(Status.WARN, "mount ids", sentence, "mount /proc in this container")


def _nowait_finding(sample_fd: int, mount: Mount | None) -> Finding:
    subject = "RWF_NOWAIT"
    try:
        os.preadv(sample_fd, [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        pass
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        if mount is not None and mount.fs_type in MEMORY_FILE_SYSTEMS:
            return Finding(Status.OK, subject, f"not needed: {mount.fs_type} is all in memory")
        sentence = "unknown to this file system: files are read in threads"
        return Finding(Status.WARN, subject, sentence, "normal for network mounts and FUSE")
    return Finding(Status.OK, subject, "works: cold files do not slow down others")


def _sendfile_finding(sample_fd: int) -> Finding:
    expected = os.pread(sample_fd, _PROBE_BYTES, 0)
    sender, receiver = socket.socketpair()
    with sender, receiver:
        try:
            sent = os.sendfile(sender.fileno(), sample_fd, 0, len(expected))
        except OSError as error:
            sentence = f"refused ({error.strerror}): files are read in threads"
            return Finding(Status.WARN, "sendfile", sentence, "a seccomp filter may forbid it")
        if receiver.recv(_PROBE_BYTES) != expected[:sent]:
            sentence = "delivers other bytes than read"
            advice = "do not serve this file system without --chunked ."
            return Finding(Status.FAIL, "sendfile", sentence, advice)
    return Finding(Status.OK, "sendfile", f"works ({sent:,} bytes tried)")


def _pacing_finding() -> Finding:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as paced:
        try:
            paced.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, 1 << 20)
        except OSError as error:
            sentence = f"refused ({error.strerror}): rates cannot be limited in the kernel"
            return Finding(Status.WARN, "pacing", sentence)
    return Finding(Status.OK, "pacing", "SO_MAX_PACING_RATE works")
