"""Where an open file lies, for programs that open it themselves."""

import os
from pathlib import Path

import pytest

from storage.places import place_beneath


def place_of(opened: Path, root: Path) -> bytes | None:
    descriptor = os.open(opened, os.O_RDONLY)
    try:
        return place_beneath(descriptor, os.fsencode(root.resolve()))
    finally:
        os.close(descriptor)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_bytes(b"file")
    (tmp_path / "root-too").write_bytes(b"not beneath the root")
    return folder


def test_a_file_lies_where_its_real_path_says(root: Path) -> None:
    (root / "to-sub").symlink_to("sub")
    assert place_of(root / "sub" / "file", root) == b"sub/file"
    assert place_of(root / "to-sub" / "file", root) == b"sub/file"


def test_the_top_folder_has_everything(root: Path) -> None:
    path = root / "sub" / "file"
    assert place_of(path, Path("/")) == os.fsencode(path.resolve())[1:]


def test_a_path_that_only_begins_alike_lies_elsewhere(root: Path) -> None:
    assert place_of(root.parent / "root-too", root) is None


def test_a_deleted_file_has_no_place(root: Path) -> None:
    descriptor = os.open(root / "sub" / "file", os.O_RDONLY)
    try:
        (root / "sub" / "file").unlink()
        assert place_beneath(descriptor, os.fsencode(root.resolve())) is None
    finally:
        os.close(descriptor)


def test_a_file_that_was_moved_lies_at_its_new_place(root: Path) -> None:
    descriptor = os.open(root / "sub" / "file", os.O_RDONLY)
    try:
        (root / "sub").rename(root / "moved")
        assert place_beneath(descriptor, os.fsencode(root.resolve())) == b"moved/file"
        root.rename(root.parent / "elsewhere")
        assert place_beneath(descriptor, os.fsencode(root)) is None
    finally:
        os.close(descriptor)
