"""A copy of who may do what, beside the SQLite file of a catalog, for the day that file is lost.

Without it a lost catalog would shut out the holders of tokens, and open revoked links again.
It is JSON: tokens with the hashes of their secrets, and the links that were revoked.
"""

import contextlib
import dataclasses
import json
from dataclasses import dataclass

from storage.catalog_records import COPY_SUFFIX, LinkRecord, TokenRecord
from storage.errors import CatalogDamaged, CatalogUnavailable
from storage.private_files import replace_for_owner

_BYTES_FIELDS = frozenset({"secret_hash", "path"})


@dataclass(frozen=True, slots=True)
class WhoMay:
    """All tokens, and the links that were revoked."""

    tokens: tuple[TokenRecord, ...] = ()
    revoked_links: tuple[LinkRecord, ...] = ()


def read_copy(path: str) -> WhoMay:
    """What the copy beside the catalog at path tells; nothing without one.

    Raises CatalogDamaged for a broken one, and CatalogUnavailable for one that cannot be read.
    """
    try:
        with open(path + COPY_SUFFIX, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return WhoMay()
    except OSError as error:
        raise CatalogUnavailable(f"catalog: cannot read its copy: {error.strerror}") from error
    try:
        return _parsed(content)
    except (ValueError, TypeError, KeyError) as error:
        raise CatalogDamaged("catalog: its copy of who may do what is broken") from error


def write_copy(path: str, who_may: WhoMay) -> None:
    """Let the copy beside the catalog at path be of who_may; for whoever holds the catalog.

    Whole and durable or not at all; nothing is written where it is so already.  Raises
    CatalogUnavailable.
    """
    try:
        _replace(path + COPY_SUFFIX, _formatted(who_may))
    except OSError as error:
        raise CatalogUnavailable(
            f"catalog: it was changed, but the copy for its loss was not: {error.strerror}"
        ) from error


def _replace(path: str, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        if file.read() == content:
            return
    replace_for_owner(path, content)


def _formatted(who_may: WhoMay) -> bytes:
    members = {
        "tokens": [_members(token) for token in who_may.tokens],
        "revoked_links": [_members(link) for link in who_may.revoked_links],
    }
    return (json.dumps(members, indent=1) + "\n").encode("ascii")


def _members(record: TokenRecord | LinkRecord) -> dict[str, object]:
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in dataclasses.asdict(record).items()
        if name != "last_used_at"  # noted often, and no loss
    }


def _parsed(content: bytes) -> WhoMay:
    members = json.loads(content, object_hook=_with_bytes)
    return WhoMay(
        tuple(TokenRecord(**each) for each in members["tokens"]),
        tuple(LinkRecord(**each) for each in members["revoked_links"]),
    )


def _with_bytes(members: dict[str, object]) -> dict[str, object]:
    return {
        name: bytes.fromhex(value) if name in _BYTES_FIELDS and isinstance(value, str) else value
        for name, value in members.items()
    }
