"""A network mount that hangs when told to: sshfs over a local sftp-server, without any network.

    with frozen_mount(tmp_path / "root" / "nas") as mount:
        (mount.source / "film.mkv").write_bytes(...)     # appears at mount.point / "film.mkv"
        mount.freeze()                                   # every new call on it now waits ...
        mount.thaw()                                     # ... until here

Nothing of it is cached, so what hangs does not depend on what was asked before.  Leaving the
context thaws and unmounts, whatever happened.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")
_OPTIONS = "fsname=frozen,dir_cache=no,entry_timeout=0,attr_timeout=0,negative_timeout=0"
# Generous: the machine may be busy.  None of these is waited for when all goes well.
_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class FrozenMount:
    """point: the mount point; source: the local folder whose files appear there."""

    point: Path
    source: Path
    server_pid: int

    def freeze(self) -> None:
        """Let every call that needs the server wait, from now on."""
        os.kill(self.server_pid, signal.SIGSTOP)
        _wait_until(lambda: _process_state(self.server_pid) == "T", "the server to stop")

    def thaw(self) -> None:
        """Let the server answer again; may be called at any time."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.server_pid, signal.SIGCONT)

    def detach(self) -> None:
        """Unmount lazily, as an admin does who gives up; what hangs on it goes on hanging."""
        subprocess.run(["fusermount3", "-uz", self.point], check=True)


@contextlib.contextmanager
def frozen_mount(point: Path, *options: str) -> Iterator[FrozenMount]:
    """Mount at point, which is made if need be; skips the test where FUSE is missing.

    options: more of sshfs, as disable_hardlink.
    """
    server = _require_fuse()
    with (
        tempfile.TemporaryDirectory(prefix="frozen-mount-") as scratch,
        contextlib.ExitStack() as undo,
    ):
        source, pid_file = Path(scratch, "source"), Path(scratch, "pid")
        source.mkdir()
        wrapper = Path(scratch, "sftp")
        wrapper.write_text(
            f"#!/bin/sh\necho $$ > {pid_file}.new\nmv {pid_file}.new {pid_file}\nexec {server} -e\n"
        )
        wrapper.chmod(0o700)
        told = ",".join((f"ssh_command={wrapper}", _OPTIONS, *options))
        undo.enter_context(mounted(["sshfs", "-f", "-o", told, f"none:{source}"], point))
        _wait_until(pid_file.exists, "the server behind sshfs")
        mount = FrozenMount(point, source, int(pid_file.read_text(encoding="ascii")))
        undo.callback(mount.thaw)
        os.listdir(point)  # waits for the server's first answer
        yield mount


@contextlib.contextmanager
def mounted(command: Sequence[str], point: Path) -> Iterator[None]:
    """What a program that stays in the foreground mounts at point, the last word of its command."""
    point.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen([*command, point], stdin=subprocess.DEVNULL)
    try:
        _wait_until(lambda: process.poll() is not None or is_mounted(point), "the mount")
        assert process.poll() is None, f"{command[0]} did not mount"
        yield
    finally:
        _unmount(point)
        _end(process)


def is_mounted(point: Path) -> bool:
    """Whether something is mounted at point; asks the kernel's table only."""
    escaped = str(point.parent.resolve() / point.name).replace(" ", "\\040")
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return any(line.split()[4] == escaped for line in lines)


def _require_fuse() -> str:
    server = next((path for path in _SFTP_SERVERS if os.access(path, os.X_OK)), None)
    has_tools = shutil.which("sshfs") and shutil.which("fusermount3")
    if server and has_tools and os.access("/dev/fuse", os.R_OK | os.W_OK):
        return server
    reason = "hung mounts are NOT TESTED: sshfs, fusermount3, sftp-server and /dev/fuse are needed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _unmount(point: Path) -> None:
    if not is_mounted(point):
        return
    deadline = time.monotonic() + _WAIT_SECONDS
    while subprocess.run(["fusermount3", "-u", point], check=False).returncode != 0:
        # Busy: a thread that was stuck is just about to close its file.
        if time.monotonic() > deadline:
            subprocess.run(["fusermount3", "-uz", point], check=True)
            raise AssertionError(f"{point} was still in use at the end of the test")
        time.sleep(0.05)


def _end(process: "subprocess.Popen[bytes]") -> None:
    # Unmounting ends it; killing it makes the kernel answer whatever still waits.
    try:
        process.wait(_WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def _wait_until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)
