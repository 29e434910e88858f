"""The admin's hands on a root: looking, listing, removing, moving."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from storage import errors
from storage.atomic import Existing
from storage.beneath import Root, Symlinks
from storage.errors import StorageError
from storage.library import (
    Kind,
    Scope,
    list_folder,
    look,
    look_at_entry,
    make_folders,
    move,
    opened_root,
    remove,
    remove_empty_folders,
)
from storage.names import Name, parse_os_path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """root/: a.bin, films/b.mkv, films/deep/c.mkv, links in and out, a FIFO; outside: secret."""
    top = tmp_path / "root"
    (top / "films" / "deep").mkdir(parents=True)
    (top / "a.bin").write_bytes(b"12345")
    (top / "films" / "b.mkv").write_bytes(b"1")
    (top / "films" / "deep" / "c.mkv").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"secret")
    (top / "to-a").symlink_to("a.bin")
    (top / "to-films").symlink_to("films")
    (top / "out").symlink_to("../secret")
    (top / "nowhere").symlink_to("missing")
    os.mkfifo(top / "fifo")
    return top


@pytest.fixture
def root(top: Path) -> Iterator[Root]:
    with opened_root(top, Symlinks.FOLLOW_BENEATH) as root:
        yield root


def refuse_nothing(error: StorageError) -> None:
    raise AssertionError(error)


def kinds(root: Root, folder: str, scope: Scope) -> dict[str, Kind]:
    items = list_folder(root, parse_os_path(folder), scope, refuse_nothing)
    return {item.name.display: item.kind for item in items}


def test_listing_tells_what_each_name_leads_to(root: Root) -> None:
    assert kinds(root, ".", Scope.ENTRY) == {
        "a.bin": Kind.FILE,
        "films": Kind.FOLDER,
        "to-a": Kind.FILE,
        "to-films": Kind.FOLDER,
        "out": Kind.LINK,
        "nowhere": Kind.LINK,
        "fifo": Kind.SPECIAL,
    }


def test_listing_of_a_tree_does_not_go_through_links(root: Root) -> None:
    names = set(kinds(root, ".", Scope.TREE))
    assert {"films/b.mkv", "films/deep", "films/deep/c.mkv"} <= names
    assert not any(name.startswith("to-films/") for name in names)


def test_links_count_as_links_where_none_is_followed(top: Path) -> None:
    with opened_root(top, Symlinks.NEVER) as root:
        assert kinds(root, ".", Scope.ENTRY)["to-a"] is Kind.LINK


def test_folder_that_cannot_be_read_is_told_and_passed_over(top: Path, root: Root) -> None:
    told: list[StorageError] = []
    listing = list_folder(root, Name(()), Scope.TREE, told.append)
    seen = []
    for item in listing:
        seen.append(item.name.display)
        if item.name.display == "films":
            (top / "films").rename(top / "gone")  # in the middle of the listing
    assert [type(error) for error in told] == [errors.NotFound]
    assert "fifo" in seen


def test_files_of_a_tree_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/z", "a-b", "a0", "a.b", "B"):
        (tmp_path / name).touch()
    with opened_root(tmp_path, Symlinks.NEVER) as root:
        found = [*kinds(root, ".", Scope.TREE)]
    assert found == ["B", "a-b", "a.b", "a", "a/z", "a0"]


def test_what_no_address_can_name_is_not_listed(top: Path, root: Root) -> None:
    before = kinds(root, ".", Scope.TREE)
    (top / "-").touch()
    assert kinds(root, ".", Scope.TREE) == before


def test_a_tree_deeper_than_python_calls_functions_is_listed(tmp_path: Path) -> None:
    levels = 1_100
    folder_fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("a", dir_fd=folder_fd)
        below_fd = os.open("a", os.O_RDONLY, dir_fd=folder_fd)
        os.close(folder_fd)
        folder_fd = below_fd
    os.close(folder_fd)
    try:
        with opened_root(tmp_path, Symlinks.NEVER) as root:
            assert len(kinds(root, ".", Scope.TREE)) == levels
    finally:
        # Pytest's own cleaning up does call functions that often.
        subprocess.run(["rm", "-r", tmp_path / "a"], check=True)


LOOKS = [
    # name          outcome
    ("a.bin", Kind.FILE),
    ("to-a", Kind.FILE),
    ("films", Kind.FOLDER),
    (".", Kind.FOLDER),
    ("fifo", Kind.SPECIAL),
    ("missing", errors.NotFound),
    ("a.bin/b", errors.NotFound),
    ("nowhere", errors.NotFound),
    ("out", errors.NotFound),
]


@pytest.mark.parametrize(("name", "outcome"), LOOKS)
def test_look_follows_links_beneath_the_root_only(
    root: Root, name: str, outcome: Kind | type[StorageError]
) -> None:
    if isinstance(outcome, Kind):
        assert look(root, parse_os_path(name)).kind is outcome
    else:
        with pytest.raises(outcome, match=name):
            look(root, parse_os_path(name))


def test_look_at_entry_follows_no_link_at_the_end(root: Root) -> None:
    assert look_at_entry(root, parse_os_path("to-a")).kind is Kind.LINK
    assert look_at_entry(root, parse_os_path("nowhere")).kind is Kind.LINK
    assert look_at_entry(root, Name(())).kind is Kind.FOLDER


ROOTS = [("missing", errors.NotFound), ("root/a.bin", errors.NotAFolder)]


@pytest.mark.parametrize(("path", "refusal"), ROOTS)
def test_root_that_is_no_folder_is_refused(
    top: Path, path: str, refusal: type[StorageError]
) -> None:
    with pytest.raises(refusal, match=path), opened_root(top.parent / path, Symlinks.NEVER):
        pass


def test_remove_takes_a_file_or_a_link_but_not_what_it_leads_to(top: Path, root: Root) -> None:
    for name in ("a.bin", "to-films", "out", "fifo"):
        remove(root, parse_os_path(name), Scope.TREE)
    assert sorted(os.listdir(top)) == ["films", "nowhere", "to-a"]
    assert (top / "films" / "b.mkv").exists()
    assert (top.parent / "secret").exists()


def test_remove_takes_a_folder_only_as_a_tree(top: Path, root: Root) -> None:
    with pytest.raises(errors.IsFolder):
        remove(root, parse_os_path("films"), Scope.ENTRY)
    remove(root, parse_os_path("films"), Scope.TREE)
    assert not (top / "films").exists()


def test_remove_never_empties_a_mounted_file_system(
    top: Path, root: Root, tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "precious").write_bytes(b"1")
    (top / "link").symlink_to("films")
    (disk / "folder").mkdir()
    bind_mount(disk, top / "films" / "deep")
    bind_mount(disk / "folder", top / "films" / "deep" / "folder")
    for name in ("films", "films/deep", "link/deep"):
        with pytest.raises(errors.AccessDenied, match="films/deep"):
            remove(root, parse_os_path(name), Scope.TREE)
    assert (disk / "precious").exists()
    assert (top / "films" / "b.mkv").exists()


@pytest.mark.parametrize("name", ["missing", "films/missing", "missing/a"])
def test_remove_of_nothing_is_not_found(root: Root, name: str) -> None:
    with pytest.raises(errors.NotFound):
        remove(root, parse_os_path(name), Scope.TREE)


class Move(NamedTuple):
    old: str
    new: str
    existing: Existing
    refusal: type[StorageError] | None


MOVES = [
    Move("a.bin", "b.bin", Existing.REFUSE, None),
    Move("a.bin", "new/folder/b.bin", Existing.REFUSE, None),
    Move("films", "movies", Existing.REFUSE, None),
    Move("a.bin", "films/b.mkv", Existing.REPLACE, None),
    Move("a.bin", "films/b.mkv", Existing.REFUSE, errors.AlreadyExists),
    Move("a.bin", "films", Existing.REPLACE, errors.AlreadyExists),
    Move("films", "a.bin", Existing.REPLACE, errors.AlreadyExists),
    Move("missing", "b", Existing.REFUSE, errors.NotFound),
    Move("a.bin", "fifo/b", Existing.REFUSE, errors.NotAFolder),
    Move("a.bin", "a.bin", Existing.REPLACE, errors.NameRefused),
    Move("films", "films/deep/films", Existing.REFUSE, errors.NameRefused),
    Move(".", "films/x", Existing.REFUSE, errors.NameRefused),
]


@pytest.mark.parametrize("case", MOVES, ids=lambda case: f"{case.old}-to-{case.new}")
def test_move_gives_the_entry_its_new_name_or_changes_nothing(
    top: Path, root: Root, case: Move
) -> None:
    before = {path: path.lstat().st_ino for path in top.rglob("*")}
    old, new = parse_os_path(case.old), parse_os_path(case.new)
    if case.refusal is not None:
        with pytest.raises(case.refusal):
            move(root, old, new, case.existing)
        assert {path: path.lstat().st_ino for path in top.rglob("*")} == before
        return
    move(root, old, new, case.existing)
    assert not (top / case.old).exists()
    assert (top / case.new).stat().st_ino == before[top / case.old]


def test_move_to_another_file_system_says_what_to_do(
    top: Path, root: Root, tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    bind_mount(disk, top / "films" / "deep")
    with pytest.raises(StorageError, match="different file systems"):
        move(root, parse_os_path("a.bin"), parse_os_path("films/deep/new/a"), Existing.REFUSE)
    assert os.listdir(disk) == []


def test_made_folders_are_taken_back_unless_somebody_uses_them(top: Path, root: Root) -> None:
    made: list[Name] = []
    make_folders(root, parse_os_path("films/x/y"), made)
    assert [name.display for name in made] == ["films/x", "films/x/y"]
    (top / "films" / "x" / "used").write_bytes(b"")
    remove_empty_folders(root, made)
    assert os.listdir(top / "films" / "x") == ["used"]
