"""What the tests of storage share: both ways to open, bind mounts, descriptor counts."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from storage.catalog import Catalog
from tests.descriptors import nothing_left_open
from tests.postgresql import PostgreSQL


@pytest.fixture(params=["openat2", "walk"])
def opener(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs twice: with openat2(2), and with the walk for kernels that refuse it."""
    way = str(request.param)
    if way == "walk":
        monkeypatch.setenv("FILESERVE_NO_OPENAT2", "1")
    else:
        monkeypatch.delenv("FILESERVE_NO_OPENAT2", raising=False)
    return way


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """A loop factory: the test runs on both event loops."""
    return uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop


@pytest.fixture
def bind_mount() -> Iterator[Callable[[Path, Path], None]]:
    """bind_mount(source, point) mounts until the end of the test; point may be a file."""
    _require_root()
    with contextlib.ExitStack() as undo:

        def mount(source: Path, point: Path) -> None:
            subprocess.run(["mount", "--bind", source, point], check=True)
            undo.callback(unmount, point)

        yield mount


def unmount(point: Path) -> None:
    """Take a mount away, also one that is in use; nothing happens if it is gone already."""
    subprocess.run(["umount", "--lazy", point], check=False, stderr=subprocess.DEVNULL)


def _require_root() -> None:
    if os.geteuid() == 0:
        return
    reason = "mounts are NOT TESTED: only root may mount"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """No more descriptors are open after the test than before it."""
    with nothing_left_open():
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The test runs twice: with a new SQLite file, and with a new PostgreSQL database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.sqlite"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_url()


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """An empty catalog, in SQLite and in PostgreSQL."""
    with Catalog.open(catalog_url) as opened:
        yield opened


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The root folder, with one of everything in it and a secret beside it."""
    top = tmp_path / "root"
    (top / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (top / "film.mkv").write_bytes(b"0123456789")
    (top / "empty").touch()
    (top / "folder" / "inner").write_bytes(b"inner")
    (top / ".hidden").write_bytes(b"hidden")
    (top / ".secret").mkdir()
    (top / ".secret" / "x").write_bytes(b"x")
    (top / "published").symlink_to(".secret/x")
    (top / "link").symlink_to("film.mkv")
    (top / "to-folder").symlink_to("folder")
    (top / "out").symlink_to("../secret")
    (top / "absolute").symlink_to(top / "film.mkv")
    (top / "dangling").symlink_to("nothing")
    os.mkfifo(top / "fifo")
    return top
