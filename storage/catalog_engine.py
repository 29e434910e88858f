"""Connections to the database of the catalog, and what its errors mean."""

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from storage.errors import (
    AlreadyExists,
    CatalogDamaged,
    CatalogUnavailable,
    NameRefused,
    StorageError,
)
from storage.names import printable
from storage.private_files import open_for_owner

_SQLITE = "sqlite:///"
# How long one process waits for another one's change.
_BUSY_SECONDS = 5.0
_LOCK_POLL_SECONDS = 0.01
_WRITING = "fileserve_writing"


def sqlite_path(url: str) -> str | None:
    """The file of a SQLite catalog, taken literally; None for another database."""
    if not url.startswith("sqlite:"):
        return None
    if not url.startswith(_SQLITE) or len(url) == len(_SQLITE):
        raise CatalogUnavailable(f"catalog {url!r}: should look like sqlite:////folder/file")
    return url.removeprefix(_SQLITE)


def make_engine(url: str) -> Engine:
    """The engine for url; nothing is connected yet."""
    path = sqlite_path(url)
    return _postgresql_engine(url) if path is None else _sqlite_engine(path)


def _sqlite_engine(path: str) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        # SQLAlchemy's `begin` says below when a transaction begins, and which kind.
        connection.isolation_level = None
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            # What was told to have happened, like a token revoked, also holds after a power cut.
            connection.execute("PRAGMA synchronous=FULL").close()
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=1)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that turns into a writer would fail at once when somebody else has written.
        is_writing = connection.get_execution_options().get(_WRITING, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _postgresql_engine(url: str) -> Engine:
    if url.startswith("postgresql:"):
        url = url.replace("postgresql:", "postgresql+psycopg:", 1)
    try:
        return create_engine(
            make_url(url),
            pool_size=1,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": int(_BUSY_SECONDS),
                # A machine that is gone says nothing: TCP alone would wait for 15 minutes.
                "tcp_user_timeout": int(_BUSY_SECONDS * 1000),
                "options": f"-c lock_timeout={int(_BUSY_SECONDS)}s -c statement_timeout=30s",
            },
        )
    except (exc.ArgumentError, ValueError) as error:  # a port that is no number
        raise CatalogUnavailable("catalog: this is no URL of a database") from error
    except ModuleNotFoundError as error:
        raise CatalogUnavailable(
            "catalog: PostgreSQL needs a driver: install fileserve[postgresql]"
        ) from error


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One view of the catalog, for as long as the block lasts."""
    with translated(), engine.connect() as connection, connection.begin():
        yield connection


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds from the start whatever writers have to wait for."""
    with translated(), engine.connect() as connected:
        connection = connected.execution_options(**{_WRITING: True})
        with connection.begin():
            yield connection


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Inside, the errors of the database come out as those of storage."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _storage_error(error) from error
    except exc.SQLAlchemyError as error:
        raise CatalogUnavailable(f"catalog: {error}") from error
    except sqlite3.Error as error:
        raise _sqlite_error(error) from error
    except UnicodeEncodeError as error:
        raise NameRefused(f"catalog: {error.object!r} is no text") from error


def _storage_error(error: exc.DBAPIError) -> StorageError:
    if isinstance(error, exc.IntegrityError):
        return AlreadyExists("catalog: this is there already")
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_error(error.orig)
    first_line = str(error.orig).strip().partition("\n")[0]
    return CatalogUnavailable(f"catalog: {first_line}")


def _sqlite_error(error: sqlite3.Error) -> StorageError:
    # The low byte is the kind, the others tell more of it (sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CatalogDamaged(f"catalog: {error}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CatalogUnavailable("catalog: another process keeps it busy")
    return CatalogUnavailable(f"catalog: {error}")


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """The SQLite file at path is this process's alone to make, migrate or set aside.

    Makes the file, empty and for its owner only, where it is missing.
    """
    try:
        lock_fd = open_for_owner(path + ".lock")
    except OSError as error:
        raise _cannot_open(path, error) from error
    try:
        _lock(lock_fd)
        try:
            # One that is there is not touched: closing it here would drop the locks by which
            # SQLite, in this process, keeps others from removing the log it writes to
            # (fcntl(2); sqlite.org/howtocorrupt.html, 2.2).
            if not _is_there(path):
                os.close(open_for_owner(path))
        except OSError as error:
            raise _cannot_open(path, error) from error
        yield
    finally:
        os.close(lock_fd)


def _is_there(path: str) -> bool:
    """Whether a file has the name; raises OSError for a symlink or a folder."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
        number = errno.ELOOP if stat.S_ISLNK(mode) else errno.EISDIR
        raise OSError(number, os.strerror(number))
    return True


def _lock(fd: int) -> None:
    """Lock the file, or raise CatalogUnavailable: its holder may be stopped for ever."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise CatalogUnavailable("catalog: another process keeps it busy") from None
            time.sleep(_LOCK_POLL_SECONDS)


def _cannot_open(path: str, error: OSError) -> CatalogUnavailable:
    return CatalogUnavailable(f"catalog {printable(os.fsencode(path))}: {error.strerror}")
