"""Tokens for tests that speak to a Site without a catalog.

site = create_app(settings, storage)              # with private or writable
secret = let_in(site, scope="write", path=b"films")
ask(site, "PUT", "/films/a.mkv", authorization=f"Bearer {secret}")
"""

import time
from dataclasses import dataclass
from pathlib import Path

from fileserve.access.tokens import hash_of, new_secret
from fileserve.app import Site
from fileserve.settings import Settings
from fileserve.state import catalog_url, made_state_folder
from storage.catalog import Catalog
from storage.catalog_records import Scope, TokenRecord


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
    if site.gate is None:  # everybody reads, nobody writes: no token is asked for
        return secret
    before = dict(site.gate.tokens())
    name = name or f"token-{len(before) + 1}"
    known = Known(name, hash_of(secret.encode()), scope, path, expires_at, revoked_at)
    after = {**before, known.secret_hash: known}
    site.gate.tokens = lambda: after
    return secret


def token_for(
    root: Path,
    scope: Scope = "write",
    path: str = "",
    name: str = "",
    *,
    expires_at: int | None = None,
) -> str:
    """Make a token, which a server of root knows within two seconds; its secret."""
    secret = new_secret()
    settings = Settings(root=root)
    made_state_folder(settings)
    with Catalog.open(catalog_url(settings)) as catalog:
        name = name or f"token-{len(catalog.tokens()) + 1}"
        hashed = hash_of(secret.encode())
        now = int(time.time())
        catalog.put_token(TokenRecord(name, hashed, scope, path.encode(), now, expires_at))
    return secret


def revoke(root: Path, name: str) -> None:
    """Revoke a token in the catalog of root; a running server knows it within two seconds."""
    with Catalog.open(catalog_url(Settings(root=root))) as catalog:
        catalog.revoke_token(name, int(time.time()))
