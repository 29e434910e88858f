"""One race-free open beneath a root: what is found, what is refused, what never leaves."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from storage.beneath import CrossesMount, Root, Symlinks
from storage.names import Name

READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
RACE_SECONDS = 3.0
# Until the race was run: on one processor the two take turns.
PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.usefixtures("opener", "no_leaks")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The root folder, with a secret beside it."""
    top = tmp_path / "root"
    (top / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (top / "file").write_bytes(b"file")
    (top / "folder" / "inner").write_bytes(b"inner")
    links = {
        "link": "file",
        "folder/up": "../file",
        "folder/deep/up-twice": "../.././/file",
        "to-folder": "folder",
        "to-folder-slash": "folder/",
        "file-slash": "file/",
        "dangling": "nothing",
        "loop": "loop",
        "out": "../secret",
        "out-and-back": "../root/file",
        "absolute": str(tmp_path / "secret"),
        "absolute-inside": str(top / "file"),
        "folder/deep/far-out": "../../../secret",
        "links-1": "file",
    }
    for name, target in links.items():
        (top / name).symlink_to(target)
    for number in range(2, 42):
        (top / f"links-{number}").symlink_to(f"links-{number - 1}")
    return top


def name_of(path: str) -> Name:
    return Name(tuple(path.encode().split(b"/")))


def read(root: Root, path: str) -> bytes:
    descriptor = root.open_same_mount(name_of(path), READ)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


FOUND = [
    # name                      content    id
    ("file",                    b"file",   "file"),
    ("folder/inner",            b"inner",  "in-a-folder"),
    ("link",                    b"file",   "link-beside-its-target"),
    ("folder/up",               b"file",   "link-going-up-inside"),
    ("folder/deep/up-twice",    b"file",   "link-with-dots-and-double-slash"),
    ("to-folder/inner",         b"inner",  "through-a-linked-folder"),
    ("to-folder-slash/up",      b"file",   "link-after-link"),
    ("links-40",                b"file",   "forty-links"),            # path_resolution(7)
]  # fmt: skip


@pytest.mark.parametrize(("path", "content"), [row[:2] for row in FOUND], ids=[r[2] for r in FOUND])
def test_what_lies_beneath_is_opened(top: Path, path: str, content: bytes) -> None:
    root = Root(top, Symlinks.FOLLOW_BENEATH)
    assert read(root, path) == content
    root.close()


REFUSED = [
    # name                      errno                id
    ("nothing",                 errno.ENOENT,        "missing"),
    ("nothing/file",            errno.ENOENT,        "missing-folder"),
    ("file/below",              errno.ENOTDIR,       "below-a-file"),
    ("link/below",              errno.ENOTDIR,       "below-a-linked-file"),
    ("file-slash",              errno.ENOTDIR,       "link-that-wants-a-folder"),
    ("dangling",                errno.ENOENT,        "dangling-link"),
    ("loop",                    errno.ELOOP,         "link-to-itself"),
    ("links-41",                errno.ELOOP,         "one-link-too-many"),
    ("out",                     errno.EXDEV,         "link-out"),
    ("out-and-back",            errno.EXDEV,         "link-out-and-back-in"),
    ("absolute",                errno.EXDEV,         "absolute-link-out"),
    ("absolute-inside",         errno.EXDEV,         "absolute-link-that-points-inside"),
    ("folder/deep/far-out",     errno.EXDEV,         "link-out-from-deep-below"),
    ("x" * 256,                 errno.ENAMETOOLONG,  "name-of-256-bytes"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "number"), [row[:2] for row in REFUSED], ids=[row[2] for row in REFUSED]
)
def test_what_leads_nowhere_or_out_is_refused(top: Path, path: str, number: int) -> None:
    root = Root(top, Symlinks.FOLLOW_BENEATH)
    assert outcome(lambda: root.open_same_mount(name_of(path), READ)) == number
    root.close()


WITHOUT_LINKS = [
    # name               result        id
    ("file",             b"file",      "file"),
    ("folder/inner",     b"inner",     "in-a-folder"),
    ("link",             errno.ELOOP,  "link"),
    ("to-folder/inner",  errno.ELOOP,  "through-a-linked-folder"),
    ("absolute",         errno.ELOOP,  "absolute-link"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "result"), [row[:2] for row in WITHOUT_LINKS], ids=[row[2] for row in WITHOUT_LINKS]
)
def test_never_means_no_link_is_followed(top: Path, path: str, result: bytes | int) -> None:
    root = Root(top, Symlinks.NEVER)
    assert outcome(lambda: root.open_same_mount(name_of(path), READ)) == result
    root.close()


def test_the_root_itself_and_names_of_any_bytes_are_opened(top: Path) -> None:
    (top / os.fsdecode(b"\xff\n\\")).write_bytes(b"bytes")
    root = Root(top, Symlinks.FOLLOW_BENEATH)
    folder = root.open_same_mount(Name(()), READ | os.O_DIRECTORY)
    assert os.path.samestat(os.fstat(folder), os.stat(top))
    os.close(folder)
    descriptor = root.open_same_mount(Name((b"\xff\n\\",)), READ)
    assert os.read(descriptor, 10) == b"bytes"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    root.close()


def test_the_root_stays_the_same_folder_when_it_is_renamed(top: Path) -> None:
    root = Root(top, Symlinks.FOLLOW_BENEATH)
    top.rename(top.with_name("renamed"))
    assert read(root, "file") == b"file"
    root.close()
    root.close()  # twice is allowed


def test_a_mount_is_not_entered_but_named_by_its_real_path(
    top: Path, tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    disk = make_disk(tmp_path)
    (top / "folder" / "disk").mkdir()
    (top / "alias").symlink_to("to-folder/disk")
    bind_mount(disk, top / "folder" / "disk")
    root = Root(top, Symlinks.FOLLOW_BENEATH)
    for path in ("folder/disk/a/film", "alias/a/film"):
        with pytest.raises(CrossesMount) as caught:
            read(root, path)
        assert (caught.value.prefix, caught.value.rest) == ((b"folder", b"disk"), (b"a", b"film"))
        descriptor = root.open_beyond(caught.value, READ)
        assert os.read(descriptor, 10) == b"film"
        os.close(descriptor)
    root.close()


BEYOND = [
    # name                 result                    id
    ("disk/film",          b"film",                  "file-on-the-mount"),
    ("disk/home",          b"file",                  "link-back-to-the-roots-mount"),
    ("disk/out",           errno.EXDEV,              "link-out-of-the-root"),
    ("disk/absolute",      errno.EXDEV,              "absolute-link"),
    ("disk/inner/film",    (b"disk", b"inner"),      "mount-on-the-mount"),
    ("disk/to-other/film", (b"other",),              "link-into-another-mount"),
    ("disk/nothing",       errno.ENOENT,             "missing"),
    ("single",             b"film",                  "file-that-is-a-mount-point"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "result"), [row[:2] for row in BEYOND], ids=[row[2] for row in BEYOND]
)
def test_beyond_a_mount_point_the_same_rules_hold(
    top: Path,
    tmp_path: Path,
    bind_mount: Callable[[Path, Path], None],
    path: str,
    result: bytes | int | tuple[bytes, ...],
) -> None:
    root = Root(mount_disks(top, tmp_path, bind_mount), Symlinks.FOLLOW_BENEATH)
    with pytest.raises(CrossesMount) as caught:
        root.open_same_mount(name_of(path), READ)
    assert outcome(lambda: root.open_beyond(caught.value, READ)) == result
    root.close()


def test_any_mount_goes_through_all_of_them(
    top: Path, tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    root = Root(mount_disks(top, tmp_path, bind_mount), Symlinks.FOLLOW_BENEATH)
    for path in ("disk/inner/film", "disk/to-other/film", "disk/film"):
        assert outcome(partial(root.open_any_mount, name_of(path), READ)) == b"film"
    root.close()


def test_nothing_escapes_while_a_folder_and_a_link_are_swapped(top: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "inner").write_bytes(b"secret")
    (top / "swapped").symlink_to(outside)
    root = Root(top, Symlinks.FOLLOW_BENEATH)
    with swapping(top / "folder", top / "swapped"):
        seen = read_for(RACE_SECONDS, root, "folder/inner")
    root.close()
    assert seen.pop(b"secret", 0) == 0
    assert seen.pop(b"inner") > 0
    assert seen.pop(None) > 0, "the race was not run: nothing was ever refused"
    assert not seen


def test_nothing_escapes_while_a_file_and_a_link_are_swapped(top: Path) -> None:
    root = Root(top, Symlinks.FOLLOW_BENEATH)
    with swapping(top / "file", top / "absolute"):
        seen = read_for(RACE_SECONDS, root, "file")
    root.close()
    assert seen.pop(b"secret", 0) == 0
    assert seen.pop(b"file") > 0
    assert seen.pop(None) > 0, "the race was not run: nothing was ever refused"
    assert not seen


def make_disk(tmp_path: Path) -> Path:
    disk = tmp_path / "disk"
    (disk / "a").mkdir(parents=True)
    (disk / "inner").mkdir()
    (disk / "film").write_bytes(b"film")
    (disk / "a" / "film").write_bytes(b"film")
    for name, target in {
        "home": "../file",
        "out": "../../secret",
        "absolute": "/etc/passwd",
        "to-other": "../other",
    }.items():
        (disk / name).symlink_to(target)
    return disk


def mount_disks(top: Path, tmp_path: Path, bind_mount: Callable[[Path, Path], None]) -> Path:
    disk = make_disk(tmp_path)
    for point in (top / "disk", top / "other"):
        point.mkdir()
        bind_mount(disk, point)
    bind_mount(disk, top / "disk" / "inner")
    (top / "single").touch()
    bind_mount(disk / "film", top / "single")
    return top


def outcome(open_it: Callable[[], int]) -> bytes | int | tuple[bytes, ...] | None:
    try:
        descriptor = open_it()
    except CrossesMount as crossing:
        return crossing.prefix
    except OSError as error:
        return error.errno
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def read_for(seconds: float, root: Root, path: str) -> dict[object, int]:
    """How often each outcome was seen in so many seconds, and until there were two of them.

    None: refused, as a link is or a name that is not there.
    """
    refusals = (errno.EXDEV, errno.ELOOP, errno.ENOENT, errno.ENOTDIR)
    seen: dict[object, int] = {}
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds or (
        len(seen) < 2 and elapsed < PATIENCE_SECONDS
    ):
        found = outcome(lambda: root.open_same_mount(name_of(path), READ))
        key = None if found in refusals else found
        seen[key] = seen.get(key, 0) + 1
    return seen


_SWAPPER = """
import os, sys
from exchanging import exchange
one, other = map(os.fsencode, sys.argv[1:])
print("ready", flush=True)
while True:
    exchange(one, other)
"""


class swapping:  # noqa: N801 - reads as what happens meanwhile
    """Another process swaps two names as fast as it can."""

    def __init__(self, one: Path, other: Path) -> None:
        self._command = [sys.executable, "-c", _SWAPPER, str(one), str(other)]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, cwd=Path(__file__).parent
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
