"""Tokens for tests that speak to a Site without a catalog.

site = create_app(settings, storage)              # with private or writable
secret = let_in(site, scope="write", path=b"films")
ask(site, "PUT", "/films/a.mkv", authorization=f"Bearer {secret}")
"""

from dataclasses import dataclass

from fileserve.access.tokens import hash_of, new_secret
from fileserve.app import Site


@dataclass(frozen=True, slots=True)
class Known:
    """What a catalog would know of a token."""

    name: str
    secret_hash: bytes
    scope: str
    path: bytes = b""
    expires_at: int | None = None
    revoked_at: int | None = None


def let_in(
    site: Site,
    scope: str = "write",
    path: bytes = b"",
    name: str = "",
    *,
    expires_at: int | None = None,
    revoked_at: int | None = None,
) -> str:
    """Make a token that site knows from now on, besides those it knew; its secret."""
    secret = new_secret()
    before = dict(site.tokens())
    name = name or f"token-{len(before) + 1}"
    known = Known(name, hash_of(secret.encode()), scope, path, expires_at, revoked_at)
    after = {**before, known.secret_hash: known}
    site.tokens = lambda: after
    return secret
