"""What the catalog keeps, as values; times are seconds since 1970, paths are below the root.

A path is its segments joined with b"/", as bytes; b"" is the root.
"""

from dataclasses import dataclass
from typing import Literal, Self

from storage.blob import Fingerprint
from storage.digests import Digests

# What stands behind the name of a catalog's file in that of its copy (see catalog_copy).
COPY_SUFFIX = ".access.json"

Scope = Literal["read", "write", "admin"]


@dataclass(frozen=True, slots=True)
class FileDigest:
    """The checksums of a file, which hold as long as its fingerprint does.

    piece_length: bytes of each piece but the last one; pieces: their SHA-256s, 32 bytes each.
    Where digests come by the thousands, pieces is None though piece_length tells that they exist.
    """

    path: bytes
    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    sha256: bytes
    crc32: int
    piece_length: int | None = None
    pieces: bytes | None = None
    computed_at: int = 0

    @classmethod
    def of(cls, path: bytes, state: Fingerprint, digests: Digests, now: int) -> Self:
        """The record of a file that was read, or written, in this state; without pieces."""
        return cls(path, *state, digests.sha256, digests.crc32, computed_at=now)

    @property
    def fingerprint(self) -> Fingerprint:
        """The state of the file that the checksums hold for."""
        return Fingerprint(self.size, self.modified_ns, self.changed_ns, self.inode)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token: who holds its secret may do what scope says, at and below path.

    secret_hash: SHA-256 of the secret, which nobody keeps.
    """

    name: str
    secret_hash: bytes
    scope: Scope
    path: bytes
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A link that was made or revoked here; never its signature.

    path is None for a link of another program that was revoked here: only its id is known.
    rate: bytes per second; downloads: how many deliveries it is good for.
    """

    link_id: str
    key_id: str
    path: bytes | None
    is_folder: bool
    created_at: int
    expires_at: int | None = None
    downloads: int | None = None
    rate: int | None = None
    address: str | None = None
    is_attachment: bool = False
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Somebody did something; number grows with each event."""

    number: int
    at: int
    who: str
    deed: str
    path: bytes | None
    detail: str
