"""Signed links: what they say, how that is written into an address, and whether it is genuine.

    address   = "/-/s/" token path
    token     = "1." key-id "." terms "." signature
    terms     = term *( "-" term )                 ; in this order, each at most once:
    term      = "i" 4*32( a-z / 0-9 )              ; the link's id
              / "d" number                         ; a folder, and how deep it lies; without: a file
              / "e" number                         ; seconds since 1970 at which it ends
              / "n" number                         ; how many deliveries
              / "r" number                         ; bytes per second
              / "b" ( 8 or 32 hex digits )         ; the only client's address
              / "b"                                ; the address of the first client only
              / "a"                                ; to be saved, not shown
    signature = base64url, without "=", of HMAC-SHA-256( key, canonical )
    canonical = "fileserve-link" LF "1" LF key-id LF terms LF path

The path is that of the file, or that of the folder with a slash at its end, each byte but letters,
digits and `-._~` escaped.  Pure: no clock, no I/O.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from fileserve.access.networks import plain_address
from storage.names import Name

LINKS_PREFIX = "/-/s/"
_VERSION = "1"
# No leading zeros, so that one link has one text only.
_NUMBER = r"(0|[1-9][0-9]{0,14})"
_TERMS = re.compile(
    rf"i([0-9a-z]{{4,32}})(?:-d{_NUMBER})?(?:-e{_NUMBER})?(?:-n{_NUMBER})?(?:-r{_NUMBER})?"
    r"(?:-b((?:[0-9a-f]{8}){0,4}))?(-a)?"
)
_TOKEN = re.compile(r"1\.([0-9a-z]{4,32})\.([0-9a-z-]{5,200})\.([A-Za-z0-9_-]{43})")
_ADDRESS_BYTES = (0, 4, 16)


@dataclass(frozen=True, slots=True)
class Link:
    """The terms of a signed link.

    segments: the file or folder it is for; is_folder: then everything below it, too.
    expires_at: seconds since 1970; rate: bytes per second; address: the only client's;
    is_bound_to_first: only whoever comes first.
    """

    link_id: str
    segments: tuple[bytes, ...]
    is_folder: bool
    expires_at: int | None = None
    downloads: int | None = None
    rate: int | None = None
    address: str | None = None
    is_attachment: bool = False
    is_bound_to_first: bool = False

    @property
    def url_path(self) -> str:
        """The path that is signed: a folder's with a slash at its end."""
        path = Name(self.segments).url_path
        return path.rstrip("/") + "/" if self.is_folder else path


@dataclass(frozen=True, slots=True)
class Token:
    """The parts of a token that is well-formed, which says nothing of its being genuine."""

    key_id: str
    terms: str
    signature: str
    link_id: str
    depth: int | None
    expires_at: int | None
    downloads: int | None
    rate: int | None
    address: str | None
    is_bound_to_first: bool
    is_attachment: bool

    def link_to(self, segments: tuple[bytes, ...]) -> Link:
        """What it promises if the path asked for is this one; the first segments are signed."""
        is_folder = self.depth is not None
        return Link(
            link_id=self.link_id,
            segments=segments[: self.depth] if is_folder else segments,
            is_folder=is_folder,
            expires_at=self.expires_at,
            downloads=self.downloads,
            rate=self.rate,
            address=self.address,
            is_attachment=self.is_attachment,
            is_bound_to_first=self.is_bound_to_first,
        )


def sign(link: Link, key_id: str, secret: bytes) -> str:
    """The token of link, for the address before its path.

    Raises ValueError for terms that cannot be written: a negative or immense number.
    """
    terms = terms_text(link)
    if _TERMS.fullmatch(terms) is None:
        raise ValueError(f"these terms cannot be written into a link: {terms}")
    return f"{_VERSION}.{key_id}.{terms}.{_signature(key_id, terms, link.url_path, secret)}"


def signed_path(link: Link, key_id: str, secret: bytes) -> str:
    """The path of the URL of link, the token in it."""
    return f"{LINKS_PREFIX}{sign(link, key_id, secret)}{link.url_path}"


def parse_token(text: str) -> Token | None:
    """The parts of a token; None for what is none."""
    parts = _TOKEN.fullmatch(text)
    terms = parts and _TERMS.fullmatch(parts[2])
    if not parts or not terms:
        return None
    link_id, depth, expires_at, downloads, rate, address, attachment = terms.groups()
    if address is not None and len(address) // 2 not in _ADDRESS_BYTES:
        return None
    return Token(
        key_id=parts[1],
        terms=parts[2],
        signature=parts[3],
        link_id=link_id,
        depth=_int(depth),
        expires_at=_int(expires_at),
        downloads=_int(downloads),
        rate=_int(rate),
        address=str(ip_address(bytes.fromhex(address))) if address else None,
        is_bound_to_first=address == "",
        is_attachment=attachment is not None,
    )


def genuine_link(
    token: Token, segments: tuple[bytes, ...], keys: Mapping[str, bytes]
) -> Link | None:
    """The link, if a key signed it for these segments or a folder above; None if none did.

    Whether it still holds, and for this client, is another question.
    """
    link = token.link_to(segments)
    secret = keys.get(token.key_id)
    if secret is None or len(link.segments) < (token.depth or 0):
        return None
    wanted = _signature(token.key_id, token.terms, link.url_path, secret)
    return link if hmac.compare_digest(wanted, token.signature) else None


def terms_text(link: Link) -> str:
    """The terms as they stand in the token."""
    terms = [f"i{link.link_id}"]
    if link.is_folder:
        terms.append(f"d{len(link.segments)}")
    numbers = (("e", link.expires_at), ("n", link.downloads), ("r", link.rate))
    terms += [f"{letter}{number}" for letter, number in numbers if number is not None]
    if link.address is not None:
        terms.append(f"b{plain_address(link.address).packed.hex()}")
    elif link.is_bound_to_first:
        terms.append("b")
    if link.is_attachment:
        terms.append("a")
    return "-".join(terms)


def _signature(key_id: str, terms: str, path: str, secret: bytes) -> str:
    canonical = "\n".join(("fileserve-link", _VERSION, key_id, terms, path))
    digest = hmac.digest(secret, canonical.encode("ascii"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _int(digits: str | None) -> int | None:
    return None if digits is None else int(digits)
