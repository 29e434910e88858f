"""The catalog as commands use it: opened for the length of a block."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fileserve import console
from fileserve.settings import SettingsError
from fileserve.state import catalog_file, usable_catalog_url
from storage.catalog_records import COPY_SUFFIX
from storage.errors import CatalogUnavailable

if TYPE_CHECKING:
    from fileserve.settings import Settings
    from storage.catalog import Catalog


@contextlib.contextmanager
def opened_catalog(settings: "Settings") -> "Iterator[Catalog]":
    """The catalog, made where there is none; a broken one is set aside, and said so.

    Raises SettingsError without a place for it, and CatalogUnavailable.
    """
    from storage.catalog_repair import open_or_renew  # noqa: PLC0415 - SQLAlchemy, 0.2 s

    catalog, told = open_or_renew(usable_catalog_url(settings))
    for sentence in told:
        console.note(sentence)
    with catalog:
        yield catalog


@contextlib.contextmanager
def existing_catalog(settings: "Settings") -> "Iterator[Catalog | None]":
    """The catalog, or None where nobody has made one: what only keeps it right makes none."""
    if not is_there(settings):
        yield None
        return
    with opened_catalog(settings) as catalog:
        yield catalog


def note_if_there(settings: "Settings", deed: str, detail: str) -> None:
    """Write down what was done with the keys, which are as they are also where that fails."""
    try:
        with existing_catalog(settings) as catalog:
            if catalog is not None:
                catalog.note_event(int(time.time()), console.person(), deed, detail=detail)
    except CatalogUnavailable as error:
        console.note(f"{error}; the keys are as told, but 'fileserve events' will not show it")


def is_there(settings: "Settings") -> bool:
    """Whether somebody has made a catalog; a database of one's own choice counts as made."""
    try:
        file = catalog_file(settings)
    except SettingsError:  # the default place does not do for this root
        return False
    return file is None or file.exists() or Path(f"{file}{COPY_SUFFIX}").exists()
