"""Opens a catalog even where its file is broken: that one is set aside, never deleted.

Tokens and links move to the new one as far as they can be read, or are remembered: without them
a private server would send nothing any more.
"""

import contextlib
import os
from dataclasses import dataclass

from storage.catalog import Catalog
from storage.catalog_engine import held, sqlite_path
from storage.catalog_records import SCOPES, LinkRecord, TokenRecord
from storage.errors import AlreadyExists, CatalogDamaged, CatalogUnavailable, StorageError

# SQLite's own companions of a file: what they hold belongs to it.
_COMPANIONS = ("-wal", "-shm")
_MAX_BROKEN = 1_000
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True)
class Remembered:
    """What somebody has in memory of a catalog, for the case that nothing of it can be read."""

    tokens: tuple[TokenRecord, ...] = ()
    links: tuple[LinkRecord, ...] = ()


_NOTHING = Remembered()


def open_or_renew(url: str, remembered: Remembered = _NOTHING) -> tuple[Catalog, str | None]:
    """The catalog at url, and where a broken file is now that was in its place.

    Only a file that is broken from the start is noticed; see renew for others.
    Raises CatalogUnavailable.
    """
    try:
        return Catalog.open(url), None
    except CatalogDamaged:
        return renew(url, remembered)


def renew(url: str, remembered: Remembered = _NOTHING) -> tuple[Catalog, str | None]:
    """As open_or_renew, for a catalog that somebody found broken: looks at all of it.

    The place is None when it is whole, as when another process has done this meanwhile.
    Raises CatalogUnavailable, and CatalogDamaged for another database than SQLite.
    """
    path = sqlite_path(url)
    if path is None:
        raise CatalogDamaged("catalog: the database is damaged")
    with held(path):
        if _is_whole(url):
            return Catalog.open_held(url), None
        rescued = _rescued(url) or remembered
        aside = _set_aside(path)
        catalog = Catalog.open_held(url)
        _put_back(catalog, rescued)
        return catalog, aside


def _is_whole(url: str) -> bool:
    try:
        with Catalog.as_it_is(url) as found:
            found.check()
    except CatalogDamaged:
        return False
    return True


def _rescued(url: str) -> Remembered | None:
    """Tokens and links of a broken catalog, None where they cannot be read."""
    try:
        with Catalog.as_it_is(url) as broken:
            tokens, links = tuple(broken.tokens()), tuple(broken.links())
    except StorageError:
        return None
    is_sound = all(
        token.scope in SCOPES and len(token.secret_hash) == _SHA256_BYTES for token in tokens
    )
    return Remembered(tokens, links) if is_sound else None


def _put_back(catalog: Catalog, kept: Remembered) -> None:
    for token in kept.tokens:
        with contextlib.suppress(AlreadyExists):
            catalog.put_token(token)
    for link in kept.links:
        with contextlib.suppress(AlreadyExists):
            catalog.put_link(link)


def _set_aside(path: str) -> str:
    aside = _free_name(path)
    try:
        # The companions first: SQLite would take them for those of the next file.
        for companion in _COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                os.rename(path + companion, aside + companion)
        os.rename(path, aside)
    except OSError as error:
        raise CatalogUnavailable(
            f"catalog: cannot set the broken file aside: {error.strerror}"
        ) from error
    return aside


def _free_name(path: str) -> str:
    for number in range(1, _MAX_BROKEN):
        aside = f"{path}.broken-{number}"
        if not os.path.lexists(aside):
            return aside
    raise CatalogUnavailable("catalog: too many broken ones lie in the state folder")
