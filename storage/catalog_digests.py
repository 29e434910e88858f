"""The checksums of files in the catalog: one row for each path."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from storage.catalog_records import FileDigest
from storage.catalog_schema import digests

_BATCH = 500
_BUT_PIECES = [column for column in digests.c if column.name not in ("pieces", "revision")]
_WITH_PIECES = [*_BUT_PIECES, digests.c.pieces]


def put(connection: Connection, revision: int, records: Iterable[FileDigest]) -> None:
    """Write records over whatever is known of their paths."""
    left = iter(records)
    while batch := {record.path: record for record in islice(left, _BATCH)}:
        connection.execute(
            delete(digests).where(digests.c.path == bindparam("old_path")),
            [{"old_path": path} for path in batch],
        )
        rows = [{**_values(record), "revision": revision} for record in batch.values()]
        connection.execute(insert(digests), rows)


def at(connection: Connection, path: bytes) -> FileDigest | None:
    """The record of one path, pieces included."""
    row = connection.execute(select(*_WITH_PIECES).where(digests.c.path == path)).first()
    return None if row is None else _record(row)


def below(connection: Connection, path: bytes, after: bytes | None) -> list[FileDigest]:
    """The next batch of records at and below path in the order of their paths, without pieces.

    after: the last path of the batch before; None begins.  An empty batch is the end.
    """
    is_next = true() if after is None else digests.c.path > after
    query = select(*_BUT_PIECES).where(_is_at_or_below(path), is_next)
    return [
        _record(row) for row in connection.execute(query.order_by(digests.c.path).limit(_BATCH))
    ]


def since(connection: Connection, revision: int, limit: int) -> Iterator[list[FileDigest]]:
    """What was written after revision, the newest first, at most limit, without pieces."""
    query = select(*_BUT_PIECES).where(digests.c.revision > revision)
    ordered = query.order_by(digests.c.revision.desc()).limit(limit)
    streamed = connection.execution_options(yield_per=_BATCH).execute(ordered)
    for batch in streamed.partitions():
        yield [_record(row) for row in batch]


def count(connection: Connection) -> int:
    """How many files have a record."""
    return connection.execute(select(func.count()).select_from(digests)).scalar_one()


def forget(connection: Connection, paths: Sequence[bytes]) -> None:
    """Remove the records at paths and below them."""
    for path in paths:
        connection.execute(delete(digests).where(_is_at_or_below(path)))


def move(
    connection: Connection, revision: int, old: bytes, new: bytes, changed_ns: int | None
) -> None:
    """Let the records at and below old be those at and below new.

    changed_ns: the new change time of the file old itself, which a rename changes.
    """
    if old == new:
        return
    connection.execute(delete(digests).where(_is_at_or_below(new)))
    paths = connection.execute(select(digests.c.path).where(_is_at_or_below(old))).scalars().all()
    for path in paths:
        values: dict[str, object] = {"path": new + path[len(old) :], "revision": revision}
        if path == old and changed_ns is not None:
            values["changed_ns"] = _signed(changed_ns)
        connection.execute(update(digests).where(digests.c.path == path).values(values))


def batches(paths: Iterable[bytes]) -> Iterator[list[bytes]]:
    """paths, some hundreds at a time."""
    left = iter(paths)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _is_at_or_below(path: bytes) -> ColumnElement[bool]:
    if path == b"":
        return true()
    # "0" comes after "/": all that begins with path and a slash lies between.
    is_below = (digests.c.path > path + b"/") & (digests.c.path < path + b"0")
    return or_(false(), digests.c.path == path, is_below)


def _values(record: FileDigest) -> dict[str, object]:
    return {
        "path": record.path,
        "size": record.size,
        "modified_ns": _signed(record.modified_ns),
        "changed_ns": _signed(record.changed_ns),
        "inode": _signed(record.inode),
        "sha256": record.sha256,
        "crc32": record.crc32,
        "piece_length": record.piece_length,
        "pieces": record.pieces,
        "computed_at": record.computed_at,
    }


def _record(row: Row[tuple[object, ...]]) -> FileDigest:
    values = dict(row._mapping)
    values["inode"] %= 1 << 64
    return FileDigest(**values)


def _signed(number: int) -> int:
    """number in the 64 bits with a sign that databases have: inodes are without one.

    A time after 2262 comes back as another one: its file counts as changed.
    """
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)
