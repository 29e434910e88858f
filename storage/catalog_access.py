"""Tokens, links, deliveries and events in the catalog."""

from dataclasses import asdict

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.catalog_copy import WhoMay
from storage.catalog_records import EventRecord, LinkRecord, TokenRecord
from storage.catalog_schema import deliveries, events, links, tokens
from storage.errors import AlreadyExists, NotFound

# Some 10 MB; what is older goes.
MAX_EVENTS = 100_000
_EVENTS_BETWEEN_CLEANUPS = 1_000
_MAX_TEXT = 2_000
_EXPIRED_LINKS_KEPT_SECONDS = 30 * 86_400

_TOKEN_COLUMNS = [column for column in tokens.c if column.name != "revision"]
_LINK_COLUMNS = [column for column in links.c if column.name != "revision"]


def put_token(connection: Connection, revision: int, record: TokenRecord) -> None:
    """Raises AlreadyExists for a name that has had a token, be it revoked."""
    has_name = select(tokens.c.name).where(tokens.c.name == record.name)
    if connection.execute(has_name).first() is not None:
        raise AlreadyExists(f"{record.name}: there is, or was, a token of this name")
    connection.execute(insert(tokens).values(**asdict(record), revision=revision))


def all_tokens(connection: Connection) -> list[TokenRecord]:
    """Every token in the order of names, revoked and expired ones included."""
    query = select(*_TOKEN_COLUMNS).order_by(tokens.c.name)
    return [TokenRecord(**row._mapping) for row in connection.execute(query)]


def revoke_token(connection: Connection, revision: int, name: str, now: int) -> None:
    """Raises NotFound; a token that was revoked before keeps its time."""
    found = connection.execute(select(tokens.c.revoked_at).where(tokens.c.name == name)).first()
    if found is None:
        raise NotFound(f"{name}: there is no token of this name")
    if found.revoked_at is None:
        values = {"revoked_at": now, "revision": revision}
        connection.execute(update(tokens).where(tokens.c.name == name).values(values))


def note_token_use(connection: Connection, name: str, now: int) -> None:
    """Remember when a token was used last."""
    connection.execute(update(tokens).where(tokens.c.name == name).values(last_used_at=now))


def put_link(connection: Connection, revision: int, record: LinkRecord) -> None:
    """Raises AlreadyExists for an id that is known."""
    _forget_old_links(connection, record.created_at)
    has_id = select(links.c.link_id).where(links.c.link_id == record.link_id)
    if connection.execute(has_id).first() is not None:
        raise AlreadyExists(f"{record.link_id}: there is a link of this id")
    connection.execute(insert(links).values(**asdict(record), revision=revision))


def _forget_old_links(connection: Connection, now: int) -> None:
    """Those that nobody can use and nobody asks for any more, so that lists stay short."""
    is_old = links.c.expires_at < now - _EXPIRED_LINKS_KEPT_SECONDS
    old = select(links.c.link_id).where(is_old)
    connection.execute(delete(deliveries).where(deliveries.c.link_id.in_(old)))
    connection.execute(delete(links).where(is_old))


def all_links(connection: Connection) -> list[LinkRecord]:
    """Every link, the oldest first, revoked and expired ones included."""
    # Of two made in one second the revision tells, which a later revocation raises.
    query = select(*_LINK_COLUMNS).order_by(links.c.created_at, links.c.revision, links.c.link_id)
    return [LinkRecord(**row._mapping) for row in connection.execute(query)]


def links_since(connection: Connection, revision: int) -> list[LinkRecord]:
    """The links that were written after revision."""
    query = select(*_LINK_COLUMNS).where(links.c.revision > revision)
    return [LinkRecord(**row._mapping) for row in connection.execute(query)]


def revoke_link(connection: Connection, revision: int, link_id: str, now: int) -> None:
    """Revoke a link, known or not; one that was revoked before keeps its time."""
    query = select(links.c.revoked_at).where(links.c.link_id == link_id)
    found = connection.execute(query).first()
    if found is None:
        unknown = LinkRecord(link_id, "", None, is_folder=False, created_at=now, revoked_at=now)
        connection.execute(insert(links).values(**asdict(unknown), revision=revision))
    elif found.revoked_at is None:
        values = {"revoked_at": now, "revision": revision}
        connection.execute(update(links).where(links.c.link_id == link_id).values(values))


def who_may(connection: Connection) -> WhoMay:
    """All tokens, and the links that were revoked."""
    revoked = select(*_LINK_COLUMNS).where(links.c.revoked_at.is_not(None))
    found = connection.execute(revoked.order_by(links.c.link_id))
    return WhoMay(tuple(all_tokens(connection)), tuple(LinkRecord(**row._mapping) for row in found))


def restore(connection: Connection, copy: WhoMay) -> None:
    """Write what copy tells into tables that are empty."""
    for token in copy.tokens:
        connection.execute(insert(tokens).values(**asdict(token), revision=0))
    for link in copy.revoked_links:
        connection.execute(insert(links).values(**asdict(link), revision=0))


def continue_delivery(
    connection: Connection, link_id: str, client: bytes, now: int, window_seconds: int
) -> bool:
    """Whether the client has a delivery that goes on, which this request renews."""
    number = _latest_delivery(connection, link_id, client, now - window_seconds)
    if number is None:
        return False
    connection.execute(update(deliveries).where(deliveries.c.number == number).values(seen_at=now))
    return True


def has_delivery(
    connection: Connection, link_id: str, client: bytes, now: int, window_seconds: int
) -> bool:
    """Whether the client has a delivery that goes on; it is not renewed."""
    return _latest_delivery(connection, link_id, client, now - window_seconds) is not None


def begin_delivery(
    connection: Connection, link_id: str, client: bytes, limit: int, now: int
) -> bool:
    """Count one more delivery of a link; False when it has had limit of them."""
    if count_deliveries(connection, link_id) >= limit:
        return False
    row = {"link_id": link_id, "client": client, "begun_at": now, "seen_at": now}
    connection.execute(insert(deliveries).values(row))
    return True


def is_delivery_complete(
    connection: Connection, link_id: str, client: bytes, now: int, window_seconds: int
) -> bool:
    """Whether the client's delivery that goes on has brought all bytes once."""
    number = _latest_delivery(connection, link_id, client, now - window_seconds)
    query = select(deliveries.c.completed_at).where(deliveries.c.number == number)
    row = None if number is None else connection.execute(query).first()
    return row is not None and row.completed_at is not None


def complete_delivery(connection: Connection, link_id: str, client: bytes, now: int) -> None:
    """All bytes were sent: the client's next whole request is a delivery of its own."""
    number = _latest_delivery(connection, link_id, client, 0)
    connection.execute(
        update(deliveries).where(deliveries.c.number == number).values(completed_at=now)
    )


def count_deliveries(connection: Connection, link_id: str) -> int:
    """How many deliveries a link has had."""
    query = select(func.count()).select_from(deliveries).where(deliveries.c.link_id == link_id)
    return connection.execute(query).scalar_one()


def _latest_delivery(
    connection: Connection, link_id: str, client: bytes, seen_since: int
) -> int | None:
    query = (
        select(deliveries.c.number)
        .where(deliveries.c.link_id == link_id, deliveries.c.client == client)
        .where(deliveries.c.seen_at >= seen_since)
        .order_by(deliveries.c.number.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def note_event(
    connection: Connection, at: int, who: str, deed: str, *, path: bytes | None, detail: str
) -> None:
    """Append an event; the oldest beyond MAX_EVENTS go."""
    row = {
        "at": at,
        "who": _storable(who),
        "deed": deed,
        "path": path,
        "detail": _storable(detail),
    }
    done = connection.execute(insert(events).values(row))
    number: int = done.inserted_primary_key[0] if done.inserted_primary_key else 0
    if number % _EVENTS_BETWEEN_CLEANUPS == 0:
        connection.execute(delete(events).where(events.c.number <= number - MAX_EVENTS))


def _storable(text: str) -> str:
    """text as every database takes it: PostgreSQL has no NUL, none has half a surrogate pair."""
    plain = text[:_MAX_TEXT].replace("\0", "\\0")
    return plain.encode("utf-8", "backslashreplace").decode("utf-8")


def latest_events(connection: Connection, limit: int, before: int | None) -> list[EventRecord]:
    """The newest events, the newest first; before: only those with a smaller number."""
    query = select(events).order_by(events.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(events.c.number < before)
    return [EventRecord(**row._mapping) for row in connection.execute(query)]
