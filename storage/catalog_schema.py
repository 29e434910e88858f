"""The tables of the catalog, and how an older catalog becomes one of this version."""

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    select,
    update,
)

from storage.errors import CatalogUnavailable

metadata = MetaData()

# One row: the version of the tables, and the number that each change of a catalog raises.
state = Table(
    "catalog_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
digests = Table(
    "digests",
    metadata,
    Column("path", LargeBinary, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("crc32", BigInteger, nullable=False),
    Column("piece_length", BigInteger),
    Column("computed_at", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    # Last: up to 128 KiB, which SQLite leaves unread for whoever wants the columns before it.
    Column("pieces", LargeBinary),
    Index("digests_by_revision", "revision"),
)
tokens = Table(
    "tokens",
    metadata,
    Column("name", String, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("scope", String, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("revision", BigInteger, nullable=False),
)
links = Table(
    "links",
    metadata,
    Column("link_id", String, primary_key=True),
    Column("key_id", String, nullable=False),
    Column("path", LargeBinary),
    Column("is_folder", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("downloads", BigInteger),
    Column("rate", BigInteger),
    Column("address", String),
    Column("is_attachment", Boolean, nullable=False),
    Column("revoked_at", BigInteger),
    Column("revision", BigInteger, nullable=False),
)
deliveries = Table(
    "deliveries",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("link_id", String, nullable=False),
    Column("client", LargeBinary, nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("completed_at", BigInteger),
    Index("deliveries_by_link", "link_id", "client"),
)
events = Table(
    "events",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("deed", String, nullable=False),
    Column("path", LargeBinary),
    Column("detail", String, nullable=False),
)


def _make_first_tables(connection: Connection) -> None:
    metadata.create_all(connection)
    connection.execute(insert(state).values(id=1, schema_version=0, revision=0))


# The step at index n makes version n + 1 of version n; never changed once it was released.
STEPS: Sequence[Callable[[Connection], None]] = (_make_first_tables,)
SCHEMA_VERSION = len(STEPS)


def migrate(connection: Connection) -> int:
    """Bring the tables to SCHEMA_VERSION, in the transaction of connection; from which version.

    Raises CatalogUnavailable for a catalog that a newer fileserve has made.
    """
    version = schema_version(connection)
    refuse_newer(version)
    for step in STEPS[version:]:
        step(connection)
    if version < SCHEMA_VERSION:
        connection.execute(update(state).values(schema_version=SCHEMA_VERSION))
    return version


def refuse_newer(version: int) -> None:
    """Raises CatalogUnavailable for a version that this fileserve does not know."""
    if version > SCHEMA_VERSION:
        raise CatalogUnavailable(
            f"the catalog has version {version}, this fileserve knows {SCHEMA_VERSION}: "
            "use the newer fileserve that made it, or another state folder"
        )


def schema_version(connection: Connection) -> int:
    """The version of the tables that are there; 0 is none at all."""
    if not inspect(connection).has_table(state.name):
        return 0
    version: int = connection.execute(select(state.c.schema_version)).scalar_one()
    return version


def revision(connection: Connection) -> int:
    """The number of the last change."""
    number: int = connection.execute(select(state.c.revision)).scalar_one()
    return number
