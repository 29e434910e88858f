"""Real servers with one catalog: commands reach every worker, and what breaks stops nothing."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from storage.catalog import Catalog
from tests.postgresql import PostgreSQL
from tests.running_server import REPOSITORY, RunningServer, running_server

PATIENCE_SECONDS = 60.0
CONTENT = b"0123456789" * 100


class Place:
    """A root with one file, and its state folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.root, self.state = folder / "root", folder / "state"
        self.root.mkdir()
        self.state.mkdir(mode=0o700)
        (self.root / "a.bin").write_bytes(CONTENT)
        self.file = self.state / "catalog.sqlite"
        self.environment = {"FILESERVE_STATE_DIR": str(self.state)}

    def command(self, *words: str) -> str:
        """What a command of the admin's prints."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same for one that may fail."""
        return subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-m", "cli", *words],
            cwd=REPOSITORY,
            env={**os.environ, **self.environment, "FILESERVE_ROOT": str(self.root)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def status(server: RunningServer, secret: str = "") -> int:
    """The answer to one request on a connection of its own: any worker may get it."""
    fields = {"Authorization": f"Bearer {secret}"} if secret else {}
    return httpx.get(server.url + "a.bin", headers=fields, timeout=PATIENCE_SECONDS).status_code


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.05)


def answers(server: RunningServer, secret: str) -> set[int]:
    """Those of many connections, which the kernel spreads over the workers."""
    return {status(server, secret) for _ in range(12)}


def test_what_commands_do_reaches_every_worker_of_a_running_server(place: Place) -> None:
    options = ["--private", "--workers", "2"]
    with running_server(place.root, *options, env=place.environment) as server:
        assert status(server) == 401
        secret = place.command("token", "create", "a")
        wait_until(lambda: answers(server, secret) == {200})
        place.command("token", "revoke", "a")
        # 429: so many wrong ones in a row are slowed.
        wait_until(lambda: answers(server, secret) <= {401, 429})
        assert server.stop() == 0
    assert not [line for line in server.lines if "ERROR" in line or "Traceback" in line]
    events = place.command("events")
    assert "token created" in events
    assert "token revoked" in events


def test_a_private_server_goes_on_with_its_tokens_when_the_catalog_breaks(place: Place) -> None:
    secret = place.command("token", "create", "a")
    options = ["--private", "--workers", "2"]
    with running_server(place.root, *options, env=place.environment) as server:
        assert answers(server, secret) == {200}
        first = inode_of(place.file)
        broken = spoil_in_place(place)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while inode_of(place.file) in (None, first):
            assert status(server, secret) == 200
            assert time.monotonic() < deadline, server.output.text()
        wait_until(lambda: answers(server, secret) == {200})
    [aside] = place.state.glob("catalog.sqlite.broken-?")
    assert aside.read_bytes() == broken
    with Catalog.open(f"sqlite:///{place.file}") as catalog:
        assert [token.name for token in catalog.tokens()] == ["a"]


def inode_of(path: Path) -> int | None:
    """None while nothing is there."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def spoil_in_place(place: Place) -> bytes:
    """Overwrite the catalog of a running server; what lies there then."""
    with sqlite3.connect(place.file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    # The index of the log, by which readers know that there is something new.
    for suffix, filler in (("-shm", b"\0"), ("", b"\xff")):
        with open(f"{place.file}{suffix}", "r+b") as file:
            file.write(filler * os.fstat(file.fileno()).st_size)
    return place.file.read_bytes()


BROKEN_BEFORE = [
    # what is in place of the catalog                                    id
    (lambda place: place.file.write_bytes(b"no database" * 999), "garbage"),
    (lambda place: place.file.mkdir(), "a-folder"),
    (lambda place: place.file.symlink_to("/dev/full"), "a-symlink"),
]


@pytest.mark.parametrize(
    "spoil", [row[0] for row in BROKEN_BEFORE], ids=[row[1] for row in BROKEN_BEFORE]
)
@pytest.mark.parametrize("options", [[], ["--writable"]], ids=["read-only", "writable"])
def test_a_server_starts_and_serves_whatever_is_in_place_of_the_catalog(
    place: Place, spoil: Callable[[Place], object], options: list[str]
) -> None:
    spoil(place)
    with running_server(place.root, *options, env=place.environment) as server:
        assert status(server) == 200
        assert server.stop() == 0
    assert not [line for line in server.lines if "Traceback" in line]
    told = [line for line in server.lines if "catalog" in line and "ERROR" in line]
    assert len(told) == 1, server.output.text()


def test_downloads_do_not_wait_for_a_catalog_that_somebody_holds(place: Place) -> None:
    secret = place.command("token", "create", "a")
    with running_server(place.root, "--private", env=place.environment) as server:
        holder = sqlite3.connect(place.file)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            # Each use of a token is to be noted: more than the catalog's lock lets through.
            assert answers(server, secret) == {200}
            assert status(server, "fs_" + "A" * 43) == 401
        finally:
            holder.rollback()
            holder.close()
        assert server.stop() == 0


def test_two_machines_share_a_database_and_live_without_it(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    url = postgresql.new_url()
    one, two = Place(tmp_path / "one"), Place(tmp_path / "two")
    for place in (one, two):
        place.environment["FILESERVE_CATALOG"] = url
    with (
        running_server(one.root, "--private", env=one.environment) as first,
        running_server(two.root, "--private", env=two.environment) as second,
    ):
        secret = one.command("token", "create", "a")
        wait_until(lambda: status(first, secret) == status(second, secret) == 200)
        assert "token created" in two.command("events")
        postgresql.refuse_everybody(url)
        second.output.wait_for("serving goes on without it")
        assert status(second, secret) == 200
        refused = two.run("token", "revoke", "a")
        assert refused.returncode == 1
        assert "catalog: " in refused.stderr
        assert first.stop() == second.stop() == 0
    assert not [line for line in second.lines if "Traceback" in line]
    for place in (one, two):
        assert {each.name for each in place.state.iterdir()} == {"keys", "root"}
