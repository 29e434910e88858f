"""Small files are read many at a time, and only in the state in which they were seen."""

import asyncio
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.checksums import FileState
from storage.errors import IsFolder, NotFound
from storage.local import LocalStorage
from storage.names import Name, parse_os_path
from storage.small_files import Seen, SmallFile

pytestmark = pytest.mark.usefixtures("no_leaks")


def seen(root: Path, file: str) -> Seen:
    return parse_os_path(file), FileState.of((root / file).stat())


def read(root: Path, *wanted: Seen) -> list[SmallFile | None]:
    async def work() -> list[SmallFile | None]:
        storage = LocalStorage(root)
        try:
            return await storage.read_small(wanted)
        finally:
            await storage.close()

    return asyncio.run(work())


@pytest.mark.usefixtures("opener")
def test_files_come_in_the_order_they_were_wanted_in(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for file in ("b", "a", "folder/c"):
        (tmp_path / file).write_text(file)
    (tmp_path / "empty").write_bytes(b"")
    files = ("b", "empty", "folder/c", "a")
    assert read(tmp_path, *(seen(tmp_path, file) for file in files)) == [
        SmallFile(content, zlib.crc32(content)) for content in (b"b", b"", b"folder/c", b"a")
    ]


def _replace(path: Path) -> None:
    (path.parent / "other").write_text("file")
    os.replace(path.parent / "other", path)


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.unlink(), "vanished"),
    (lambda path: path.write_text("longer than before"), "grew"),
    (lambda path: os.truncate(path, 1), "shrank"),
    (lambda path: os.utime(path, ns=(1, 1)), "time-set-back"),
    (_replace, "replaced-by-the-same-bytes"),
]


@pytest.mark.parametrize("change", [c[0] for c in CHANGES], ids=[c[1] for c in CHANGES])
def test_a_file_that_is_not_what_it_was_is_refused(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    (tmp_path / "file").write_text("file")
    before = seen(tmp_path, "file")
    change(tmp_path / "file")
    with pytest.raises(NotFound):
        read(tmp_path, before)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("file")
    before = seen(tmp_path, "file")
    (tmp_path / "file").unlink()
    (tmp_path / "file").mkdir()
    with pytest.raises(IsFolder):
        read(tmp_path, before)


@pytest.mark.usefixtures("opener")
def test_what_lies_on_another_mount_is_not_read_here(
    tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    root = tmp_path / "root"
    for folder in (root / "mounted", tmp_path / "disk"):
        folder.mkdir(parents=True)
    (root / "own").write_text("own")
    (tmp_path / "disk" / "file").write_text("there")
    bind_mount(tmp_path / "disk", root / "mounted")
    own, other = read(root, seen(root, "own"), seen(root, "mounted/file"))
    assert own == SmallFile(b"own", zlib.crc32(b"own"))
    assert other is None


def test_nothing_outside_of_the_root_is_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to("../secret")
    with pytest.raises(NotFound):
        read(root, (Name((b"link",)), FileState.of((tmp_path / "secret").stat())))
