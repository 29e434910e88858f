"""The state folder: where what belongs to a served folder is kept outside of it."""

import hashlib
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fileserve.operations.catalog_desk import CatalogPlace
from fileserve.settings import Settings, SettingsError
from fileserve.state_owner import note_owner, refuse_of_another
from storage.errors import CatalogUnavailable

if TYPE_CHECKING:
    from storage.catalog import Catalog

CATALOG_NAME = "catalog.sqlite"
_SQLITE = "sqlite:///"
_FOLDER_MODE = 0o700
_STRANGE = re.compile(rb"[^A-Za-z0-9._-]+")
_MAX_NAME_LENGTH = 40


def state_folder(settings: Settings) -> Path:
    """The folder, which need not exist yet.

    Raises SettingsError where none can be told, where it would lie in the served folder, and
    where it belongs to another root.
    """
    folder = settings.state_dir or _default_folder(settings)
    _refuse_in_root(settings.root, folder, "state_dir")
    refuse_of_another(folder, settings.root)
    return folder


def made_state_folder(settings: Settings) -> Path:
    """The folder, made for its owner only where it is missing; raises SettingsError."""
    folder = state_folder(settings)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"state_dir: cannot make {str(folder)!r}: {error.strerror}") from error
    note_owner(folder, settings.root)
    return folder


def catalog_url(settings: Settings) -> str:
    """The database of the catalog; raises SettingsError as state_folder does."""
    if settings.catalog is not None:
        if settings.catalog.startswith(_SQLITE):
            _refuse_in_root(settings.root, Path(settings.catalog.removeprefix(_SQLITE)), "catalog")
        return settings.catalog
    return f"{_SQLITE}{state_folder(settings).absolute() / CATALOG_NAME}"


def usable_catalog_url(settings: Settings) -> str:
    """The same, with the folder for it made where that is ours."""
    if settings.catalog is None:
        made_state_folder(settings)
    return catalog_url(settings)


def catalog_file(settings: Settings) -> Path | None:
    """The SQLite file of the catalog, which need not exist; None for another database."""
    url = catalog_url(settings)
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def catalog_place(settings: Settings) -> CatalogPlace:
    """Where the catalog is for the server; raises SettingsError as state_folder does."""
    file = catalog_file(settings)
    prepare = partial(_prepare, settings) if settings.catalog is None else _nothing
    return CatalogPlace(catalog_url(settings), None if file is None else os.fspath(file), prepare)


def open_catalog(settings: Settings) -> "Catalog":
    """The catalog, made where there is none; the caller closes it.

    Raises CatalogUnavailable, and SettingsError as made_state_folder does.
    """
    from storage.catalog import Catalog  # noqa: PLC0415 - SQLAlchemy, 20 MiB

    return Catalog.open(usable_catalog_url(settings))


def needs_catalog(settings: Settings) -> bool:
    """Whether the server cannot do what it is told without a catalog."""
    asks = settings.private or settings.writable or settings.background_checksums
    return asks or settings.catalog is not None


def _default_folder(settings: Settings) -> Path:
    """systemd's StateDirectory=, or a folder of the user's own for each root."""
    if from_systemd := os.environ.get("STATE_DIRECTORY"):
        return Path(from_systemd.partition(":")[0])
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # as the XDG specification wants it
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            raise SettingsError("state_dir: this user has no home; name a folder by --state-dir")
        base = os.path.join(home, ".local", "state")
    return Path(base, "fileserve", _name_of(settings.root))


def _name_of(root: Path) -> str:
    real = os.path.realpath(os.fsencode(root))
    readable = _STRANGE.sub(b"_", os.path.basename(real))[:_MAX_NAME_LENGTH] or b"root"
    return f"{readable.decode('ascii')}-{hashlib.sha256(real).hexdigest()[:8]}"


def _refuse_in_root(root: Path, path: Path, setting: str) -> None:
    real_root, real_path = os.path.realpath(root), os.path.realpath(path)
    if real_path == real_root or real_path.startswith(real_root.rstrip("/") + "/"):
        raise SettingsError(
            f"{setting}: {str(path)!r} lies in the served folder; name another place, like "
            "--state-dir FOLDER or FILESERVE_STATE_DIR"
        )


def _prepare(settings: Settings) -> None:
    try:
        made_state_folder(settings)
    except SettingsError as error:
        raise CatalogUnavailable(str(error)) from error


def _nothing() -> None:
    """A database of one's own choice needs no folder of ours."""
