"""What `fileserve doctor` examines of the state folder and the catalog; nothing is changed."""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fileserve.access.tokens import is_valid
from fileserve.deadlines import NoAnswer, answer_within
from fileserve.findings import Finding, Status
from fileserve.settings import SettingsError
from fileserve.state import catalog_file, catalog_url, needs_catalog, state_folder
from storage.catalog_records import TokenRecord
from storage.errors import CatalogDamaged, StorageError
from storage.mounts import Mounts
from storage.names import printable

if TYPE_CHECKING:
    from fileserve.settings import Settings

_FOLDER_SECONDS = 5.0
# A catalog of a million files is read in some seconds.
_CATALOG_SECONDS = 30.0
_RESTART_ADVICE = (
    "serving goes on; restart the server, or make a token or link: the file is set aside and a "
    "new one begun, tokens and links go over as far as they can be read"
)


def catalog_findings(settings: "Settings", mounts: Mounts) -> Iterator[Finding]:
    """Where the server keeps what it knows, whether that is a good place, and whole."""
    try:
        folder = state_folder(settings)
        file = catalog_file(settings)
    except SettingsError as error:
        worst = Status.FAIL if needs_catalog(settings) else Status.WARN
        yield Finding(worst, "state", str(error), "without it there are no tokens and checksums")
        return
    try:
        yield answer_within(_FOLDER_SECONDS, partial(_folder_finding, folder, mounts))
        if file is None or os.path.exists(file):
            yield from answer_within(_CATALOG_SECONDS, partial(_findings_inside, settings))
        else:
            yield Finding(Status.OK, "catalog", "none yet: made when something needs it")
            yield from _token_findings(settings, ())
        if file is not None and (broken := sorted(file.parent.glob(file.name + "*.broken-*[0-9]"))):
            yield _broken_finding(broken)
    except NoAnswer:
        sentence = f"the catalog did not answer for {_CATALOG_SECONDS:g} s"
        yield Finding(Status.WARN, "catalog", sentence, "it is very large, or hangs")


def _folder_finding(folder: Path, mounts: Mounts) -> Finding:
    path = os.fsencode(os.path.realpath(folder))
    shown = printable(os.fsencode(folder))
    if mounts.is_network(mounts.holding(path)):
        sentence = f"{shown} may lie on a network mount, where SQLite loses what it keeps"
        advice = "name a folder on a local disk with --state-dir, or use PostgreSQL: --catalog"
        return Finding(Status.WARN, "state", sentence, advice)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return Finding(Status.OK, "state", f"{shown}, not made yet")
    except OSError as error:
        return Finding(Status.FAIL, "state", f"{shown}: {error.strerror}", "name another one")
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        sentence = f"{shown} cannot be written by user {os.geteuid()}"
        return Finding(Status.FAIL, "state", sentence, "run this as the server's user, or chown it")
    if stat.S_IMODE(status.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        sentence = f"{shown} is open to other users, and holds keys"
        return Finding(Status.WARN, "state", sentence, "chmod go= it")
    return Finding(Status.OK, "state", shown)


def _findings_inside(settings: "Settings") -> Sequence[Finding]:
    from storage.catalog import Catalog  # noqa: PLC0415 - SQLAlchemy, 0.2 s

    try:
        with Catalog.as_it_is(catalog_url(settings)) as catalog:
            version = catalog.version()
            if version == 0:
                empty = Finding(Status.OK, "catalog", "empty: filled when something needs it")
                return (empty, *_token_findings(settings, ()))
            catalog.refuse_newer()
            catalog.check()
            tokens = catalog.tokens()
            known = f"{catalog.count_digests():,} checksums, {len(tokens):,} tokens"
            sentence = f"version {version}: {known}, {len(catalog.links()):,} links"
    except CatalogDamaged as error:
        return (Finding(Status.FAIL, "catalog", f"broken: {error}", _RESTART_ADVICE),)
    except StorageError as error:
        advice = "serving goes on without checksums, counts and new tokens"
        return (Finding(Status.FAIL, "catalog", str(error), advice),)
    return (Finding(Status.OK, "catalog", sentence), *_token_findings(settings, tokens))


def _token_findings(settings: "Settings", tokens: Sequence[TokenRecord]) -> Iterator[Finding]:
    """Whether anybody has the right that the server asks for."""
    valid = [token for token in tokens if is_valid(token, time.time())]
    if settings.writable and all(token.scope == "read" for token in valid):
        sentence = "no token may write, so nobody can upload"
        advice = "make one: fileserve token create NAME --scope write"
        yield Finding(Status.WARN, "tokens", sentence, advice)
    elif settings.private and not valid:
        sentence = "there is none that holds, so only links open anything"
        advice = "make one: fileserve token create NAME"
        yield Finding(Status.WARN, "tokens", sentence, advice)


def _broken_finding(broken: list[Path]) -> Finding:
    names = ", ".join(path.name for path in broken[:3])
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    advice = "compute what it knew by `fileserve checksum --all`, then remove it"
    return Finding(Status.WARN, "catalog", f"a broken one was set aside: {names}{more}", advice)
