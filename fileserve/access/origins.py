"""Where a request comes from, as browsers tell: over which line, and from whose page (pure)."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

Field = tuple[bytes, bytes]


class Line(Enum):
    """Who can listen in between browser and server."""

    ENCRYPTED = "https, or no line at all: this very machine"
    PLAIN = "http: whoever is in between"


@dataclass(frozen=True, slots=True)
class Address:
    """How a request named this server: scheme, and the Host field."""

    scheme: str
    host: str

    @classmethod
    def of(cls, scheme: str, fields: Iterable[Field]) -> "Address":
        """The address in a request with these fields (lower-case names)."""
        return cls(scheme, _value(fields, b"host") or "")


def line_of(address: Address, public_url: str | None) -> Line:
    """What browsers think of the line; public_url tells of a proxy that speaks https for us."""
    if address.scheme == "https" or is_loopback(address.host):
        return Line.ENCRYPTED
    public = urlsplit(public_url or "")
    is_public = public.scheme == "https" and public.netloc.lower() == address.host.lower()
    return Line.ENCRYPTED if is_public else Line.PLAIN


def is_loopback(host: str) -> bool:
    """Whether a Host field value names the machine of the client itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_same_origin(fields: Iterable[Field], address: Address, public_url: str | None) -> bool:
    """Whether a page of this site sent the request.

    Browsers send Sec-Fetch-Site where the line is encrypted, and Origin with everything that
    changes something.  A request with neither is not from a page of ours.
    """
    kept = [field for field in fields if field[0] in (b"sec-fetch-site", b"origin")]
    site, origin = _value(kept, b"sec-fetch-site"), _value(kept, b"origin")
    if site is not None:
        return site == "same-origin"
    return origin is not None and _names(origin, address, public_url)


def _names(origin: str, address: Address, public_url: str | None) -> bool:
    if origin.lower() == f"{address.scheme}://{address.host}".lower():
        return True
    public = urlsplit(public_url or "")
    if public_url and origin.lower() == f"{public.scheme}://{public.netloc}".lower():
        return True
    # A proxy may speak https in front of us, but never http in front of our https.
    return origin.lower() == f"https://{address.host}".lower()


def _value(fields: Iterable[Field], name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in fields if key == name), None)
