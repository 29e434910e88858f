"""What is known about files beyond the file system: digests, tokens, links, deliveries, events.

Blocking, for threads, and safe for several processes at once.  Importing this loads SQLAlchemy
(20 MiB): whoever may do without a catalog imports it where it is needed.
"""

import contextlib
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, text, update

from storage import catalog_access as access
from storage import catalog_digests as digests
from storage import catalog_schema as schema
from storage.catalog_copy import read_copy, write_copy
from storage.catalog_engine import held, make_engine, reading, sqlite_path, writing
from storage.catalog_records import EventRecord, FileDigest, LinkRecord, TokenRecord
from storage.errors import CatalogDamaged, CatalogUnavailable

# Whoever migrates a PostgreSQL catalog holds this advisory lock.
_MIGRATION_LOCK = 0x66696C65


class Catalog:
    """The catalog of one root.  Each method is one transaction and raises CatalogUnavailable.

    Each change but notes of use has a number, the revision: the larger, the later.
    """

    def __init__(self, engine: Engine, file: str | None) -> None:
        """Takes ownership of engine, whose SQLite file is file; see open."""
        self._engine = engine
        self._file = file

    @classmethod
    def open(cls, url: str) -> Self:
        """The catalog at url, made or migrated at need.

        Raises CatalogDamaged for a broken file, and CatalogUnavailable for one that cannot be
        used now or is of a newer version.
        """
        path = sqlite_path(url)
        with contextlib.nullcontext() if path is None else held(path):
            return cls.open_held(url)

    @classmethod
    def open_held(cls, url: str) -> Self:
        """As open, for whoever holds the file."""
        catalog = cls.as_it_is(url)
        try:
            catalog._make_ready()
        except BaseException:
            catalog.close()
            raise
        return catalog

    @classmethod
    def as_it_is(cls, url: str) -> Self:
        """The catalog at url, neither made nor migrated: for looking at it."""
        return cls(make_engine(url), sqlite_path(url))

    def version(self) -> int:
        """The version of its tables; 0 is none at all."""
        with reading(self._engine) as connection:
            return schema.schema_version(connection)

    def refuse_newer(self) -> None:
        """Raises CatalogUnavailable for a catalog that a newer fileserve has made."""
        schema.refuse_newer(self.version())

    def check(self) -> None:
        """Look at all of it; raises CatalogDamaged.  Takes long for a large one."""
        with reading(self._engine) as connection:
            if connection.dialect.name != "sqlite":
                return
            first = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
        if first != "ok":
            raise CatalogDamaged(f"catalog: {first}")

    def close(self) -> None:
        """Let go of the database; may be called twice."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def revision(self) -> int:
        """The number of the last change."""
        with reading(self._engine) as connection:
            return schema.revision(connection)

    def put_digests(self, records: Iterable[FileDigest]) -> None:
        """Write records over whatever is known of their paths; all of them or none."""
        # Whoever makes them may be slow: nobody else can write meanwhile.
        records = list(records)
        with self._changing() as (connection, revision):
            digests.put(connection, revision, records)

    def digest_of(self, path: bytes) -> FileDigest | None:
        """What is known of one file, its pieces included; it may be of an older state."""
        with reading(self._engine) as connection:
            return digests.at(connection, path)

    def digests_below(self, path: bytes) -> Iterator[FileDigest]:
        """What is known at and below path in the order of paths, without pieces.

        Read in batches: what others change meanwhile may be seen or not.
        """
        after: bytes | None = None
        while True:
            with reading(self._engine) as connection:
                batch = digests.below(connection, path, after)
            if not batch:
                return
            yield from batch
            after = batch[-1].path

    def digests_since(self, revision: int, limit: int) -> Iterator[list[FileDigest]]:
        """What was written after revision, the newest first, at most limit, without pieces.

        In batches of some hundreds, all of one view of the catalog.
        """
        with reading(self._engine) as connection:
            yield from digests.since(connection, revision, limit)

    def count_digests(self) -> int:
        """Of how many files digests are known."""
        with reading(self._engine) as connection:
            return digests.count(connection)

    def forget_digests(self, paths: Iterable[bytes]) -> None:
        """Forget what is known at paths, and below them."""
        for batch in digests.batches(paths):
            with self._changing() as (connection, _):
                digests.forget(connection, batch)

    def move_digests(self, old: bytes, new: bytes, changed_ns: int | None = None) -> None:
        """What is known at and below old holds for new from now on.

        changed_ns: the new change time where old is a file, for a rename changes it.
        """
        with self._changing() as (connection, revision):
            digests.move(connection, revision, old, new, changed_ns)

    def put_token(self, record: TokenRecord) -> None:
        """Raises AlreadyExists for a name that has had a token, be it revoked."""
        with self._changing() as (connection, revision):
            access.put_token(connection, revision, record)
        self._copy_again()

    def tokens(self) -> list[TokenRecord]:
        """Every token in the order of names, revoked and expired ones included."""
        with reading(self._engine) as connection:
            return access.all_tokens(connection)

    def revoke_token(self, name: str, now: int) -> None:
        """Raises NotFound."""
        with self._changing() as (connection, revision):
            access.revoke_token(connection, revision, name, now)
        self._copy_again()

    def note_token_use(self, name: str, now: int) -> None:
        """Remember when a token was used last; no change that others need to hear of."""
        with writing(self._engine) as connection:
            access.note_token_use(connection, name, now)

    def put_link(self, record: LinkRecord) -> None:
        """Raises AlreadyExists for an id that is known."""
        with self._changing() as (connection, revision):
            access.put_link(connection, revision, record)

    def links(self) -> list[LinkRecord]:
        """Every link, the oldest first, revoked and expired ones included."""
        with reading(self._engine) as connection:
            return access.all_links(connection)

    def links_since(self, revision: int) -> list[LinkRecord]:
        """The links that were written after revision."""
        with reading(self._engine) as connection:
            return access.links_since(connection, revision)

    def revoke_link(self, link_id: str, now: int) -> None:
        """Revoke a link, also one that another program has made."""
        with self._changing() as (connection, revision):
            access.revoke_link(connection, revision, link_id, now)
        self._copy_again()

    def claim_delivery(
        self, link_id: str, client: bytes, limit: int, now: int, window_seconds: int
    ) -> bool:
        """Whether a request may be answered: as part of the client's delivery, or a new one.

        A delivery goes on as long as requests are at most window_seconds apart.  False: the link
        has had limit deliveries.
        """
        with self._counting() as connection:
            return access.continue_delivery(
                connection, link_id, client, now, window_seconds
            ) or access.begin_delivery(connection, link_id, client, limit, now)

    def claim_whole_delivery(
        self, link_id: str, client: bytes, limit: int, now: int, window_seconds: int
    ) -> bool:
        """As claim_delivery for a request without Range: new once the one before is complete."""
        with self._counting() as connection:
            if not access.is_delivery_complete(
                connection, link_id, client, now, window_seconds
            ) and access.continue_delivery(connection, link_id, client, now, window_seconds):
                return True
            return access.begin_delivery(connection, link_id, client, limit, now)

    def has_delivery(
        self, link_id: str, client: bytes, limit: int, now: int, window_seconds: int
    ) -> bool:
        """Whether claim_delivery would answer True; counts nothing."""
        with reading(self._engine) as connection:
            return access.has_delivery(connection, link_id, client, now, window_seconds) or (
                access.count_deliveries(connection, link_id) < limit
            )

    def complete_delivery(self, link_id: str, client: bytes, now: int) -> None:
        """The client got all bytes of its delivery."""
        with writing(self._engine) as connection:
            access.complete_delivery(connection, link_id, client, now)

    def deliveries(self, link_id: str) -> int:
        """How many deliveries a link has had."""
        with reading(self._engine) as connection:
            return access.count_deliveries(connection, link_id)

    def note_event(
        self, when: int, who: str, deed: str, path: bytes | None = None, detail: str = ""
    ) -> None:
        """Write down who did what, for the admin."""
        with writing(self._engine) as connection:
            access.note_event(connection, when, who, deed, path=path, detail=detail)

    def events(self, limit: int, before: int | None = None) -> list[EventRecord]:
        """The newest events, the newest first; before: only those with a smaller number."""
        with reading(self._engine) as connection:
            return access.latest_events(connection, limit, before)

    def _make_ready(self) -> None:
        """Migrate, and take over who may from the copy where there is nothing yet."""
        with writing(self._engine) as connection:
            if self._file is None:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                schema.migrate(connection)
            elif schema.migrate(connection) == 0:
                access.restore(connection, read_copy(self._file))
        # Should it not be written, because the disk is full, the next change says so.
        with contextlib.suppress(CatalogUnavailable):
            self._copy_who_may()

    def _copy_again(self) -> None:
        if self._file is not None:
            with held(self._file):
                self._copy_who_may()

    def _copy_who_may(self) -> None:
        if self._file is not None:
            with reading(self._engine) as connection:
                who_may = access.who_may(connection)
            write_copy(self._file, who_may)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[Connection, int]]:
        """A transaction with the next revision; the last one to get it is the last to end."""
        with writing(self._engine) as connection:
            raised = schema.state.c.revision + 1
            query = update(schema.state).values(revision=raised).returning(schema.state.c.revision)
            yield connection, connection.execute(query).scalar_one()

    @contextlib.contextmanager
    def _counting(self) -> Iterator[Connection]:
        """A transaction that waits for all others that count or change."""
        with writing(self._engine) as connection:
            same = {"revision": schema.state.c.revision}
            connection.execute(update(schema.state).values(same))
            yield connection
