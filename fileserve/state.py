"""The state folder: where what belongs to a served folder is kept outside of it."""

import hashlib
import os
import re
from functools import partial
from pathlib import Path

from fileserve.operations.catalog_desk import CatalogPlace
from fileserve.settings import Settings, SettingsError

CATALOG_NAME = "catalog.sqlite"
KEYS_NAME = "keys"
_FOLDER_MODE = 0o700
_STRANGE = re.compile(rb"[^A-Za-z0-9._-]+")
_MAX_NAME_LENGTH = 40


def state_folder(settings: Settings) -> Path:
    """The folder, which need not exist yet.

    Raises SettingsError where none can be told, or where it would lie in the served folder.
    """
    folder = settings.state_dir or _default_folder(settings)
    if _is_in(settings.root, folder):
        raise SettingsError(
            f"state_dir: {str(folder)!r} lies in the served folder; name another one with "
            "--state-dir or FILESERVE_STATE_DIR"
        )
    return folder


def made_state_folder(settings: Settings) -> Path:
    """The folder, made for its owner only where it is missing; raises SettingsError."""
    folder = state_folder(settings)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"state_dir: cannot make {str(folder)!r}: {error.strerror}") from error
    return folder


def catalog_url(settings: Settings) -> str:
    """The database of the catalog; raises SettingsError as state_folder does."""
    if settings.catalog is not None:
        return settings.catalog
    return f"sqlite:///{state_folder(settings).absolute() / CATALOG_NAME}"


def catalog_place(settings: Settings) -> CatalogPlace:
    """Where the catalog is for the server; raises SettingsError as state_folder does."""
    if settings.catalog is not None:
        return CatalogPlace(settings.catalog, None, lambda: None)
    url = catalog_url(settings)
    return CatalogPlace(url, url.removeprefix("sqlite:///"), partial(made_state_folder, settings))


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


def _is_in(root: Path, folder: Path) -> bool:
    real_root, real_folder = os.path.realpath(root), os.path.realpath(folder)
    return real_folder == real_root or real_folder.startswith(real_root.rstrip("/") + "/")
