"""Opens a catalog even where its file is broken: that one is set aside, never deleted."""

import os

from storage.catalog import Catalog
from storage.catalog_engine import held, make_engine, sqlite_path
from storage.errors import CatalogDamaged, CatalogUnavailable

# SQLite's own companions of a file: what they hold belongs to it.
_COMPANIONS = ("-wal", "-shm")
_MAX_BROKEN = 1_000


def open_or_renew(url: str) -> tuple[Catalog, str | None]:
    """The catalog at url, and where a broken file is now that was in its place.

    Only a file that is broken from the start is noticed; see set_aside for others.
    Raises CatalogUnavailable.
    """
    try:
        return Catalog.open(url), None
    except CatalogDamaged:
        aside = set_aside(url)
        return Catalog.open(url), aside


def set_aside(url: str) -> str | None:
    """Rename a broken SQLite file to NAME.broken-N; None when another process has done so.

    Raises CatalogUnavailable when that is not possible, CatalogDamaged for another database.
    """
    path = sqlite_path(url)
    if path is None:
        raise CatalogDamaged("catalog: the database is damaged")
    with held(path):
        try:
            with Catalog(make_engine(url)) as found:
                found.check()
        except CatalogDamaged:
            aside = _free_name(path)
            try:
                os.rename(path, aside)
                for companion in _COMPANIONS:
                    if os.path.lexists(path + companion):
                        os.rename(path + companion, aside + companion)
            except OSError as error:
                raise CatalogUnavailable(
                    f"catalog: cannot set the broken file aside: {error.strerror}"
                ) from error
            return aside
    return None


def _free_name(path: str) -> str:
    for number in range(1, _MAX_BROKEN):
        aside = f"{path}.broken-{number}"
        if not os.path.lexists(aside):
            return aside
    raise CatalogUnavailable("catalog: too many broken ones lie in the state folder")
