"""A tree is walked whole, in a fixed order, by the rules that hold for single names."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import NotAFolder, NotFound, StorageError
from storage.local import HiddenNames, LocalStorage, Symlinks
from storage.names import Name, parse_os_path
from storage.trees import TreeEntry

pytestmark = pytest.mark.usefixtures("no_leaks")


async def _walk(storage: LocalStorage, name: Name) -> list[TreeEntry]:
    try:
        return [entry async for batch in storage.walk(name) for entry in batch]
    finally:
        await storage.close()


def walk(
    root: Path,
    top: str = ".",
    symlinks: Symlinks = Symlinks.FOLLOW_BENEATH,
    hidden: HiddenNames = HiddenNames.REFUSE,
) -> list[TreeEntry]:
    storage = LocalStorage(root, symlinks=symlinks, hidden=hidden)
    return asyncio.run(_walk(storage, parse_os_path(top)))


def paths(entries: list[TreeEntry]) -> list[str]:
    """Folders end in a slash, the top is just that slash."""
    return [
        os.fsdecode(b"/".join(entry.path)) + ("/" if entry.state is None else "")
        for entry in entries
    ]


def make(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.endswith("/"):
            path.mkdir()
        else:
            path.write_text(file)


@pytest.mark.usefixtures("opener")
def test_a_folder_comes_before_its_files_and_they_before_its_folders(tmp_path: Path) -> None:
    make(tmp_path, "b.txt", "a/z.txt", "a/sub/deep.txt", "Z.txt", "c/", "ab/x", "é.txt")
    assert paths(walk(tmp_path)) == [
        *("/", "Z.txt", "b.txt", "é.txt"),
        *("a/", "a/z.txt", "a/sub/", "a/sub/deep.txt", "ab/", "ab/x", "c/"),
    ]


@pytest.mark.usefixtures("opener")
def test_paths_begin_at_the_folder_that_is_walked(tmp_path: Path) -> None:
    make(tmp_path, "one/two/three.txt", "other.txt")
    assert paths(walk(tmp_path, "one")) == ["/", "two/", "two/three.txt"]


def test_an_entry_tells_what_stat_tells(tmp_path: Path) -> None:
    make(tmp_path, "run.sh")
    (tmp_path / "run.sh").chmod(0o755)
    os.utime(tmp_path / "run.sh", ns=(5, 1_000_000_007))
    status = (tmp_path / "run.sh").stat()
    [top, file] = walk(tmp_path)
    assert (top.state, top.modified_ns) == (None, tmp_path.stat().st_mtime_ns)
    assert file.is_executable
    assert file.modified_ns == 1_000_000_007
    assert file.state is not None
    assert file.state.device == status.st_dev
    found = file.state.fingerprint
    assert (found.size, found.inode) == (6, status.st_ino)
    assert (found.modified_ns, found.changed_ns) == (1_000_000_007, status.st_ctime_ns)


def test_names_are_bytes(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"caf\xe9\n"), "wb"):
        pass
    assert [entry.path for entry in walk(tmp_path)] == [(), (b"caf\xe9\n",)]


def test_more_names_than_are_sorted_at_once_come_in_order(tmp_path: Path) -> None:
    for number in range(10_050):
        (tmp_path / f"{number * 7919 % 10_050:05d}").touch()
    found = [entry.path[-1] for entry in walk(tmp_path)[1:]]
    assert found == [b"%05d" % number for number in range(10_050)]


def test_more_entries_than_one_batch_come_in_order(tmp_path: Path) -> None:
    names = [f"{number:04d}" for number in range(1203)]
    make(tmp_path, *names)
    assert paths(walk(tmp_path)) == ["/", *names]


HIDDEN_TREE = (".secret", ".git/config", "a/.b", "a/c")


def test_hidden_names_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, *HIDDEN_TREE)
    assert paths(walk(tmp_path)) == ["/", "a/", "a/c"]


def test_hidden_names_are_there_where_they_are_shown(tmp_path: Path) -> None:
    make(tmp_path, *HIDDEN_TREE)
    shown = walk(tmp_path, hidden=HiddenNames.SHOW)
    assert paths(shown) == ["/", ".secret", ".git/", ".git/config", "a/", "a/.b", "a/c"]


def test_a_hidden_folder_cannot_be_walked(tmp_path: Path) -> None:
    make(tmp_path, *HIDDEN_TREE)
    with pytest.raises(NotFound):
        walk(tmp_path, ".git")


def test_only_regular_files_are_there(tmp_path: Path) -> None:
    make(tmp_path, "file")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert paths(walk(tmp_path)) == ["/", "file"]


@pytest.mark.usefixtures("opener")
def test_links_are_followed_beneath_the_root_alone(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(tmp_path, "outside.txt", "root/real.txt", "root/folder/inside.txt")
    (root / "to-file").symlink_to("folder/inside.txt")
    (root / "to-folder").symlink_to("folder")
    (root / "out").symlink_to("../outside.txt")
    (root / "absolute").symlink_to(root / "real.txt")
    (root / "dangling").symlink_to("nowhere")
    assert paths(walk(root)) == [
        *("/", "real.txt", "to-file"),
        *("folder/", "folder/inside.txt", "to-folder/", "to-folder/inside.txt"),
    ]


@pytest.mark.usefixtures("opener")
def test_no_link_is_followed_where_links_mean_nothing(tmp_path: Path) -> None:
    make(tmp_path, "real.txt", "folder/inside.txt")
    (tmp_path / "to-file").symlink_to("real.txt")
    (tmp_path / "to-folder").symlink_to("folder")
    found = walk(tmp_path, symlinks=Symlinks.NEVER)
    assert paths(found) == ["/", "real.txt", "folder/", "folder/inside.txt"]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    make(tmp_path, "a/file")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "self").symlink_to(".")
    assert paths(walk(tmp_path, "a")) == ["/", "file", "up/"]


def test_what_cannot_be_asked_for_is_left_out(tmp_path: Path) -> None:
    """`-` in the root is the service's own; a path has 4,095 bytes at most."""
    make(tmp_path, "-", "a/-")
    assert paths(walk(tmp_path)) == ["/", "a/", "a/-"]


def test_names_that_are_too_long_together_are_left_out(tmp_path: Path) -> None:
    deep, folder = [], os.open(tmp_path, os.O_RDONLY)
    for _ in range(16):  # 16 * 250 + 15 slashes = 4,015 bytes
        deep.append("d" * 250)
        os.mkdir(deep[-1], dir_fd=folder)
        below = os.open(deep[-1], os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    for name in ("f" * 79, "g" * 80):  # with the slash before it 4,095 and 4,096 bytes
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    files = [entry.path[-1] for entry in walk(tmp_path) if entry.state is not None]
    assert files == [b"f" * 79]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    make(tmp_path, "file")
    with pytest.raises(NotAFolder):
        walk(tmp_path, "file")


def test_nothing_cannot_be_walked(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        walk(tmp_path, "missing")


@pytest.mark.usefixtures("opener")
def test_mounts_below_belong_to_the_tree(
    tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    root = tmp_path / "root"
    make(tmp_path, "disk/film.mkv", "single.txt", "root/file", "root/mounted.txt")
    (root / "mounted").mkdir()
    bind_mount(tmp_path / "disk", root / "mounted")
    bind_mount(tmp_path / "single.txt", root / "mounted.txt")
    (root / "link").symlink_to("mounted/film.mkv")
    assert paths(walk(root)) == [
        *("/", "file", "link", "mounted.txt", "mounted/", "mounted/film.mkv")
    ]


def test_what_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    """Run as somebody else, since root may read everything."""
    make(tmp_path, "open.txt", "closed.txt", "closed/file", "link-target")
    (tmp_path / "link").symlink_to("closed.txt")
    (tmp_path / "closed.txt").chmod(0)
    (tmp_path / "closed").chmod(0)
    assert _walked_by_nobody(tmp_path) == ["/", "link-target", "open.txt"]


def _walked_by_nobody(root: Path) -> list[str]:
    if os.geteuid() != 0:
        return paths(walk(root))
    root.chmod(0o755)
    fd = os.open(root, os.O_RDONLY)
    os.seteuid(65534)
    try:
        return paths(walk(Path(f"/proc/self/fd/{fd}")))
    finally:
        os.seteuid(0)
        os.close(fd)


def test_a_walk_that_is_given_up_leaves_nothing_open(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number:04d}" for number in range(1203)))

    async def give_up() -> None:
        storage = LocalStorage(tmp_path)
        batches = storage.walk(Name(()))
        await anext(batches)
        await batches.aclose()
        await storage.close()

    asyncio.run(give_up())


def test_errors_are_those_of_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        walk(tmp_path, "a/" * 300 + "b")
