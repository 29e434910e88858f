"""The plain walk stays on its mount: what is mounted below is not counted, emptied or asked."""

import os
from collections.abc import Callable
from pathlib import Path

from storage.plain_walk import remove_tree
from storage.quota import bytes_below
from tests.frozen_mount import frozen_mount


def test_what_is_mounted_in_a_removed_folder_stays(
    tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    # Bind mounts have the device number of what they lie on.
    disk, top = tmp_path / "disk", tmp_path / "top"
    disk.mkdir()
    (disk / "precious").write_bytes(b"precious")
    (top / "a" / "mount").mkdir(parents=True)
    (top / "a" / "file").touch()
    bind_mount(disk, top / "a" / "mount")
    folder_fd = os.open(tmp_path, os.O_RDONLY)
    remove_tree(b"top", folder_fd)
    os.close(folder_fd)
    assert (disk / "precious").exists()
    assert os.listdir(top / "a") == ["mount"]


def test_counting_asks_a_mount_that_hangs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5))
    with frozen_mount(tmp_path / "nas") as mount:
        (mount.source / "film").write_bytes(bytes(7))
        mount.freeze()
        folder_fd = os.open(tmp_path, os.O_PATH)
        assert bytes_below(folder_fd) == 5
        os.close(folder_fd)
