"""A network mount that hangs when told to: sshfs over a local sftp-server, without any network."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import end, pinned, state
from benchmarks.workshop import WorkshopError

_SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")
_PACKAGES = "apt-get install sshfs fuse3 openssh-sftp-server"
_WAIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Mount:
    """point: where it is mounted; source: the local folder whose files appear there."""

    point: Path
    source: Path
    server_pid: int

    def freeze(self) -> None:
        """Let every call that needs the mount wait, from now on."""
        os.kill(self.server_pid, signal.SIGSTOP)
        _wait_until(lambda: state(self.server_pid) == "T", "the sftp server to stop")

    def thaw(self) -> None:
        """Let the mount answer again; may be called at any time."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.server_pid, signal.SIGCONT)


@contextlib.contextmanager
def mounted(point: Path, scratch: Path, cores: frozenset[int], options: str) -> Iterator[Mount]:
    """Mount at point with these sshfs options; thawed and unmounted whatever happens."""
    program = _sftp_server()
    source = scratch / "source"
    for folder in (point, source):
        folder.mkdir(parents=True, exist_ok=True)
    wrapper, pid_file = scratch / "sftp", scratch / "sftp.pid"
    pid_file.unlink(missing_ok=True)
    script = (
        f"#!/bin/sh\necho $$ > {pid_file}.new\nmv {pid_file}.new {pid_file}\nexec {program} -e\n"
    )
    wrapper.write_text(script, encoding="utf-8")
    wrapper.chmod(0o700)
    command = ["sshfs", "-f", "-o", f"ssh_command={wrapper},fsname=bench,{options}"]
    command += [f"none:{source}", os.fspath(point)]
    with contextlib.ExitStack() as undo:
        with pinned(cores):
            sshfs = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
        undo.callback(end, sshfs)
        undo.callback(_unmount, point)
        _wait_until(lambda: sshfs.poll() is not None or _is_up(point, pid_file), "sshfs to mount")
        if sshfs.poll() is not None:
            raise WorkshopError("sshfs could not mount")
        mount = Mount(point, source, int(pid_file.read_text(encoding="ascii")))
        undo.callback(mount.thaw)
        yield mount


def _sftp_server() -> str:
    program = next((path for path in _SFTP_SERVERS if os.access(path, os.X_OK)), None)
    if not (program and shutil.which("sshfs") and shutil.which("fusermount3")):
        raise WorkshopError(f"sshfs or its parts are not installed ({_PACKAGES})")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise WorkshopError("/dev/fuse may not be used here")
    return program


def _is_up(point: Path, pid_file: Path) -> bool:
    return _is_mounted(point) and pid_file.exists()


def _is_mounted(point: Path) -> bool:
    escaped = os.fspath(point).replace(" ", "\\040")
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return any(line.split()[4] == escaped for line in lines)


def _unmount(point: Path) -> None:
    """Try for a while, since a server's late close may still be on its way; then detach."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while _is_mounted(point) and time.monotonic() < deadline:
        if (
            subprocess.run(
                ["fusermount3", "-u", point], check=False, stderr=subprocess.DEVNULL
            ).returncode
            == 0
        ):
            return
        time.sleep(0.1)
    if _is_mounted(point):
        subprocess.run(["fusermount3", "-uz", point], check=False)


def _wait_until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise WorkshopError(f"waited in vain for {what}")
        time.sleep(0.01)
