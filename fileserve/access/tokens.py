"""Tokens: secrets of 256 random bits, known by their SHA-256, and what each lets its holder do.

No work here depends on how much of a wrong secret is right: it is hashed whole, the hash is looked
up, and the hash that is found, or one that nobody has, is compared in constant time.  What could
be learned from the look-up is about SHA-256 of a guess, not about the secret.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Protocol

from fileserve.access.visit import Segments, Visit

SECRET_PREFIX = "fs_"  # noqa: S105 - so that scanners for leaked secrets find it
_SECRET_BYTES = 32
# A name stands in cookies, log lines and terminals as it is.
is_token_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}").fullmatch
_HASH_OF_NOBODY = bytes(hashlib.sha256().digest_size)


class KnownToken(Protocol):
    """What the catalog knows of a token; storage.catalog has the record.

    scope: read, write or admin; path: below the root, segments joined by slashes; times are
    seconds since 1970.
    """

    @property
    def name(self) -> str: ...

    @property
    def secret_hash(self) -> bytes: ...

    @property
    def scope(self) -> str: ...

    @property
    def path(self) -> bytes: ...

    @property
    def expires_at(self) -> int | None: ...

    @property
    def revoked_at(self) -> int | None: ...


def new_secret() -> str:
    """A secret that nobody has: `fs_` and 43 characters of base64url."""
    return SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def hash_of(secret: bytes) -> bytes:
    """What is stored of a secret.  No salt and no stretching: 256 random bits need neither."""
    return hashlib.sha256(secret).digest()


def find_token(tokens: Mapping[bytes, KnownToken], secret: bytes, now: float) -> KnownToken | None:
    """The token with this secret, if it holds at now; tokens are by the hash of theirs."""
    shown = hash_of(secret)
    token = tokens.get(shown)
    known = _HASH_OF_NOBODY if token is None else token.secret_hash
    if not hmac.compare_digest(known, shown) or token is None:
        return None
    return token if is_valid(token, now) else None


def is_valid(token: KnownToken, now: float) -> bool:
    """Whether it was neither revoked nor has expired."""
    return token.revoked_at is None and (token.expires_at is None or now < token.expires_at)


def visit_by(token: KnownToken) -> Visit:
    """What the holder of token may: who may write may read, too."""
    below = segments_of(token.path)
    writes = below if token.scope in ("write", "admin") else None
    return Visit(f"token {token.name}", below, writes, is_admin=token.scope == "admin")


def segments_of(path: bytes) -> Segments:
    """The segments of a path below the root; none for the root itself."""
    return tuple(part for part in path.split(b"/") if part not in (b"", b"."))
