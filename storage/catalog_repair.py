"""Opens a catalog even where its file is broken: that one is set aside, never deleted."""

import contextlib
import os
from collections.abc import Sequence

from storage.catalog import Catalog
from storage.catalog_engine import held, sqlite_path
from storage.catalog_records import COPY_SUFFIX
from storage.errors import CatalogDamaged, CatalogUnavailable

# SQLite's own companions of a file: what they hold belongs to it.
_COMPANIONS = ("-wal", "-shm")
_MAX_BROKEN = 1_000
_CATALOG_ASIDE = "the catalog was broken; a new one is begun, the old one is {}"
_COPY_ASIDE = (
    "with the catalog its copy of tokens and revoked links is lost: it was broken, and is now {}; "
    "make new tokens; `fileserve link rotate-key --forget-old` ends links that were revoked, too"
)


def open_or_renew(url: str) -> tuple[Catalog, Sequence[str]]:
    """The catalog at url, and a sentence for each broken file that was in its place.

    Only a file that is broken from the start is noticed; see renew for others.
    Raises CatalogUnavailable.
    """
    try:
        return Catalog.open(url), ()
    except CatalogDamaged:
        return renew(url)


def renew(url: str) -> tuple[Catalog, Sequence[str]]:
    """As open_or_renew, for a catalog that somebody found broken: looks at all of it.

    There is no sentence when it is whole, as when another process has done this meanwhile.
    Raises CatalogUnavailable, and CatalogDamaged for another database than SQLite.
    """
    path = sqlite_path(url)
    if path is None:
        raise CatalogDamaged("catalog: the database is damaged")
    with held(path):
        told = [] if _is_whole(url) else [_CATALOG_ASIDE.format(_set_aside(path))]
        try:
            return Catalog.open_held(url), told
        except CatalogDamaged:
            # Now it is the copy: it is looked at where there is no catalog any more.
            told.append(_COPY_ASIDE.format(_set_aside(path + COPY_SUFFIX)))
            return Catalog.open_held(url), told


def _is_whole(url: str) -> bool:
    try:
        with Catalog.as_it_is(url) as found:
            found.check()
    except CatalogDamaged:
        return False
    return True


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
