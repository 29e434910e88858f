"""A real PostgreSQL for the tests: a server of its own in a temporary folder."""

import contextlib
import glob
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_PATIENCE_SECONDS = 120.0
_INITDB_OPTIONS = ["-U", "fileserve", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
_numbers = itertools.count(1)


class PostgreSQL:
    """A running server that listens on a Unix socket in folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new_url(self) -> str:
        """The URL of a new, empty database."""
        name = f"catalog{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def refuse_everybody(self, url: str) -> None:
        """Let the database of url answer nobody any more, as if its machine were gone."""
        name = url.partition("@/")[2].partition("?")[0]
        self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement on its own."""
        import psycopg

        with psycopg.connect(self._url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _url(self, database: str) -> str:
        return f"postgresql://fileserve@/{database}?host={self._folder}"


@contextlib.contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """A server for the length of the block; it refuses to run as root, so it runs as nobody."""
    programs = _programs()
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="fileserve-pg-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        identity = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
        cluster = folder / "cluster"
        subprocess.run(
            [programs / "initdb", "-D", cluster, *_INITDB_OPTIONS],
            check=True,
            capture_output=True,
            cwd=folder,
            timeout=_PATIENCE_SECONDS,
            **identity,
        )
        command = [programs / "postgres", "-D", cluster, "-k", folder, "-c", "listen_addresses="]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, **identity
            )
        try:
            server = PostgreSQL(folder)
            _wait_until_it_answers(server, process, folder / "log")
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs its data any more
            process.wait(_PATIENCE_SECONDS)
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """Where PostgreSQL's programs are; Debian keeps them out of PATH."""
    for path in [shutil.which("initdb"), *sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))]:
        if path is not None and os.path.exists(path):
            return Path(path).parent
    reason = "NOT TESTED: the catalog in PostgreSQL: install postgresql"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _wait_until_it_answers(server: PostgreSQL, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            server.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text()}")
            time.sleep(0.05)
