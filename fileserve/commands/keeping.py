"""Keeps the catalog right when `add`, `move` and `remove` change the files.

The files come first: what goes wrong with the catalog is noted, and costs checksums only.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fileserve import console
from storage.beneath import Root
from storage.digests import Digests
from storage.errors import StorageError
from storage.library import Kind, look
from storage.names import Name

if TYPE_CHECKING:
    from fileserve.settings import Settings


def keep_added(settings: "Settings", root: Root, added: Sequence[tuple[Name, Digests]]) -> None:
    """Write down the checksums of files that were added a moment ago."""
    from fileserve.commands.catalogs import opened_catalog  # noqa: PLC0415 - SQLAlchemy, 0.2 s
    from storage.catalog_records import FileDigest  # noqa: PLC0415
    from storage.verification import item_fingerprint  # noqa: PLC0415

    if not added:  # folders without files
        return
    with _noted(), opened_catalog(settings) as catalog:
        now = int(time.time())
        catalog.put_digests(
            FileDigest.of(item.name.path, item_fingerprint(item), digests, now)
            for item, digests in ((look(root, name), digests) for name, digests in added)
            # Another size: somebody has written to it since.
            if item.size == digests.length
        )
        path = os.path.commonpath([name.path for name, _ in added])
        catalog.note_event(now, console.person(), "added", path, _in_words(added))


def _in_words(added: Sequence[tuple[Name, Digests]]) -> str:
    size = sum(digests.length for _, digests in added)
    return f"{size} bytes" if len(added) == 1 else f"{len(added)} files, {size} bytes"


def keep_moved(settings: "Settings", root: Root, old: Name, new: Name) -> None:
    """Let what is known of old, a file or a folder, hold for new."""
    from fileserve.commands.catalogs import existing_catalog  # noqa: PLC0415

    with _noted(), existing_catalog(settings) as catalog:
        if catalog is not None:
            moved = look(root, new)
            changed_ns = moved.changed_ns if moved.kind is Kind.FILE else None
            catalog.move_digests(old.path, new.path, changed_ns)
            detail = f"to {new.display}"
            catalog.note_event(int(time.time()), console.person(), "moved", old.path, detail)


def forget_removed(settings: "Settings", names: Sequence[Name]) -> None:
    """Forget what is known at names, and below them."""
    from fileserve.commands.catalogs import existing_catalog  # noqa: PLC0415

    with _noted(), existing_catalog(settings) as catalog:
        if catalog is not None:
            catalog.forget_digests([name.path for name in names])
            for name in names:
                catalog.note_event(int(time.time()), console.person(), "removed", name.path)


@contextlib.contextmanager
def _noted() -> Iterator[None]:
    from fileserve.settings import SettingsError  # noqa: PLC0415

    try:
        yield
    except (StorageError, SettingsError) as error:
        console.note(f"the files are as you wanted, but their checksums are not kept: {error}")
