"""Programs that people unpack with read our archives: whole, with names, times and permissions."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.clients.access_log import errors_in
from tests.clients.programs import IS_BIG, PATIENCE_SECONDS, finish, require
from tests.clients.samples import MIB, write_sparse
from tests.running_server import RunningServer, running_server

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Even: DOS counts in steps of two seconds, and 7z takes that.
MODIFIED = 1_600_000_002  # 2020-09-13 12:26:42 UTC
GIB = 1 << 30
FOLDER = "Fotos & Ümlaute"


@dataclass(frozen=True, slots=True)
class Served:
    """A folder and its server."""

    folder: Path
    server: RunningServer

    def download(self, form: str, place: Path) -> Path:
        target = place / f"archive.{form}"
        url = f"{self.server.url}{quote(self.folder.name)}/?archive={form}"
        urllib.request.urlretrieve(url, target)
        return target


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serves one folder with what archives find hard."""
    root = tmp_path_factory.mktemp("root")
    _fill(root / FOLDER)
    with running_server(root) as server:
        yield Served(root / FOLDER, server)
        assert errors_in(server) == []


def _fill(folder: Path) -> None:
    files = {
        "plain.txt": b"plain\n",
        "empty": b"",
        "run.sh": b"#!/bin/sh\n",
        "Grüße, 日本語.txt": "Grüße\n".encode(),
        "quote \" ' & < > %41 ?.txt": b"quotes\n",
        "deep/" + "/".join(["folder-of-a-long-name"] * 9) + "/file.txt": b"deep\n",
        "large.bin": os.urandom(3 * MIB),
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "run.sh").chmod(0o755)
    (folder / "void").mkdir()
    write_sparse(folder / "holes.bin", 5 * MIB)
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (MODIFIED, MODIFIED))


@pytest.fixture(scope="module")
def zip_file(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served.download("zip", tmp_path_factory.mktemp("download"))


def _state_of(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Of each file and folder: a digest of its bytes, the permissions, the time in seconds."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.stat()
        content = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (content, status.st_mode & 0o777, status.st_mtime_ns)
    return found


ZIP_TESTS = [
    # Each must say so on its own; a warning is not good enough.
    (["unzip", "-tq"], "No errors detected", "unzip"),
    (["7z", "t"], "Everything is Ok", "7z"),
    ([sys.executable, "-m", "zipfile", "-t"], "Done testing", "python"),
    (["zip", "-T"], "OK", "zip"),
]


@pytest.mark.parametrize(
    ("command", "words"), [case[:2] for case in ZIP_TESTS], ids=[case[2] for case in ZIP_TESTS]
)
def test_programs_find_no_fault_in_a_zip(zip_file: Path, command: list[str], words: str) -> None:
    require(command[0])
    done = finish([*command, zip_file])
    assert done.returncode == 0, done.stdout + done.stderr
    assert words in done.stdout
    assert not re.search("warning|error[^s]", done.stdout + done.stderr, re.IGNORECASE)


UNPACKERS = [
    # form, command; {} is the archive                          id
    ("zip", ["unzip", "-q", "{}"], "unzip"),
    ("zip", ["7z", "x", "-y", "{}"], "7z"),
    ("zip", ["bsdtar", "-xpf", "{}"], "bsdtar-zip"),
    ("tar", ["tar", "-xpf", "{}"], "GNU-tar"),
    ("tar", ["bsdtar", "-xpf", "{}"], "bsdtar"),
    ("tar", ["7z", "x", "-y", "{}"], "7z-tar"),
]


@pytest.mark.parametrize(
    ("form", "command"), [case[:2] for case in UNPACKERS], ids=[case[2] for case in UNPACKERS]
)
def test_programs_unpack_the_folder_as_it_was(
    served: Served, tmp_path: Path, form: str, command: list[str]
) -> None:
    require(command[0])
    archive = served.download(form, tmp_path)
    place = tmp_path / "unpacked"
    place.mkdir()
    filled = [word.replace("{}", str(archive)) for word in command]
    done = subprocess.run(
        filled,
        cwd=place,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    unpacked, expected = _state_of(place / FOLDER), _state_of(served.folder)
    assert unpacked.keys() == expected.keys()
    for name, (content, mode, modified_ns) in expected.items():
        assert unpacked[name][0] == content, name
        # 7z takes the permissions of files from a ZIP, and gives folders the time of unpacking.
        if command[0] != "7z":
            assert unpacked[name][1:] == (mode, modified_ns), name


def test_a_program_reads_a_zip_that_it_gets_through_a_pipe(served: Served, tmp_path: Path) -> None:
    """No seeking to the directory: sizes stand before the bytes, sums behind them."""
    require("bsdtar")
    archive = served.download("zip", tmp_path)
    with archive.open("rb") as stream:
        done = subprocess.run(
            ["bsdtar", "-xf", "-", "-C", tmp_path],
            stdin=stream,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    unpacked, expected = _state_of(tmp_path / FOLDER), _state_of(served.folder)
    assert {name: state[0] for name, state in unpacked.items()} == {
        name: state[0] for name, state in expected.items()
    }


class Remote(io.RawIOBase):
    """An archive read over HTTP, range by range, as a file that can be sought in."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._position = 0
        asked = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(asked) as answer:
            self.length = int(answer.headers["content-length"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._position, self.length)[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        stop = min(self._position + len(view), self.length)
        if stop <= self._position:
            return 0
        field = {"Range": f"bytes={self._position}-{stop - 1}"}
        with urllib.request.urlopen(urllib.request.Request(self._url, headers=field)) as answer:
            assert answer.status == 206
            content = answer.read()
        view[: len(content)] = content
        self._position += len(content)
        return len(content)


def test_members_and_offsets_beyond_4_gib_are_found_by_ranges(tmp_path: Path) -> None:
    """Twelve GiB of holes and a file behind them: what is read of it are some KiB."""
    (tmp_path / "set").mkdir()
    for name, size in (("a", 5 * GIB), ("b", 3 * GIB), ("c", 4 * GIB)):
        write_sparse(tmp_path / "set" / name, size)
    (tmp_path / "set" / "d").write_bytes(b"behind them\n")
    with running_server(tmp_path) as server:
        remote = Remote(f"{server.url}set/?archive=zip")
        assert remote.length > 12 * GIB
        with zipfile.ZipFile(io.BufferedReader(remote)) as opened:
            sizes = {entry.filename: entry.file_size for entry in opened.infolist()}
            offsets = [entry.header_offset for entry in opened.infolist()]
            assert opened.read("set/d") == b"behind them\n"
            with opened.open("set/a") as large:
                assert large.read(10) == bytes(10)
        assert errors_in(server) == []
    assert sizes == {
        **{"set/": 0, "set/a": 5 * GIB, "set/b": 3 * GIB, "set/c": 4 * GIB, "set/d": 12}
    }
    assert offsets[-1] > 12 * GIB


def test_more_members_than_65535(tmp_path: Path) -> None:
    require("unzip", "7z")
    for number in range(66_000):
        folder = tmp_path / "set" / f"{number // 1000:02d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:05d}").write_bytes(b"x" * (number % 3))
    with running_server(tmp_path) as server:
        archive = Served(tmp_path / "set", server).download("zip", tmp_path)
        assert errors_in(server) == []
    for command in (["unzip", "-tq"], ["7z", "t"]):
        done = finish([*command, archive])
        assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(archive) as opened:
        assert len(opened.namelist()) == 66_000 + 66 + 1
    shutil.rmtree(tmp_path / "set")


@pytest.mark.skipif(not IS_BIG, reason="FILESERVE_TEST_BIG=1 reads 9 GiB of zeros")
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_programs_read_members_beyond_8_gib(tmp_path: Path, form: str) -> None:
    (tmp_path / "set").mkdir()
    write_sparse(tmp_path / "set" / "large", 9 * GIB)
    (tmp_path / "set" / "small").write_bytes(b"small\n")
    with running_server(tmp_path) as server:
        archive = Served(tmp_path / "set", server).download(form, tmp_path)
    commands = {"zip": (["unzip", "-tq"], ["7z", "t"]), "tar": (["tar", "-tf"], ["bsdtar", "-tf"])}
    for command in commands[form]:
        require(command[0])
        done = subprocess.run([*command, archive], capture_output=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    archive.unlink()
