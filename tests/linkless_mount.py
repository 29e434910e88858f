"""Mounts that know neither hard links, nor RENAME_NOREPLACE, nor files without a name.

with linkless_mount("rclone", tmp_path / "root" / "nas", tmp_path): ...
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.frozen_mount import frozen_mount, mounted

KINDS = ("sshfs", "rclone")


@contextlib.contextmanager
def linkless_mount(kind: str, point: Path, scratch: Path) -> Iterator[None]:
    """Mount an empty folder at point; scratch: where rclone keeps what it must."""
    if kind == "sshfs":
        with frozen_mount(point, "disable_hardlink"):
            yield
        return
    _require_rclone()
    source, cache = scratch / "rclone-source", scratch / "rclone-cache"
    source.mkdir()
    kept = ["--config", os.devnull, "--cache-dir", str(cache), "--vfs-cache-mode", "writes"]
    with mounted(["rclone", "mount", *kept, str(source)], point):
        yield


def _require_rclone() -> None:
    if shutil.which("rclone") and os.access("/dev/fuse", os.R_OK | os.W_OK):
        return
    reason = "rclone mounts are NOT TESTED: rclone and /dev/fuse are needed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
