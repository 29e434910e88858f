"""The file of a catalog with a token, a link and 2,000 digests."""

import dataclasses
from pathlib import Path

from storage.catalog import Catalog
from storage.catalog_records import FileDigest, LinkRecord, TokenRecord

TOKEN = TokenRecord("a", b"1" * 32, "read", b"", 1)
OTHER_TOKEN = TokenRecord("b", b"2" * 32, "write", b"b", 1, revoked_at=2)
LINK = LinkRecord("one", "k", b"a", False, 1)
REVOKED = LinkRecord("two", "k", b"a\xff", True, 1, 2, 3, 4, "::1", True, 6)


def filled_catalog(file: Path) -> Path:
    """file, which holds them now; one link was revoked."""
    with Catalog.open(f"sqlite:///{file}") as catalog:
        catalog.put_digests(
            FileDigest(b"%d" % n, 1, 2, 3, 4, b"s" * 32, 5, 6, b"p" * 600) for n in range(2_000)
        )
        catalog.put_token(TOKEN)
        catalog.put_token(OTHER_TOKEN)
        catalog.put_link(LINK)
        catalog.put_link(dataclasses.replace(REVOKED, revoked_at=None))
        catalog.revoke_link("two", 6)
    return file
