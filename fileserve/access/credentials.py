"""What a request shows to be let in: a token in Authorization, or a session cookie (pure).

credentials = "Bearer" 1*SP token / "Basic" 1*SP base64(user ":" token)     (RFC 6750, RFC 7617)
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

Field = tuple[bytes, bytes]

# What nobody has: a field that cannot be read is a wrong token, not a missing one.
_UNREADABLE = b""


@dataclass(frozen=True, slots=True)
class TokenShown:
    """A secret, genuine or not; empty where the field could not be read."""

    secret: bytes


@dataclass(frozen=True, slots=True)
class SessionShown:
    """The value of a session cookie, genuine or not."""

    value: str


Shown = TokenShown | SessionShown | None


def shown_in(fields: Iterable[Field], cookie_name: bytes) -> Shown:
    """What the fields (lower-case names) of a request show; Authorization outranks the cookie."""
    authorizations: list[bytes] = []
    cookie: bytes | None = None
    for name, value in fields:
        if name == b"authorization":
            authorizations.append(value)
        elif name == b"cookie" and cookie is None:
            cookie = cookie_value(value, cookie_name)
    if authorizations:
        # Two of them: whoever is in front may have believed the other one.
        secret = secret_in(authorizations[0]) if len(authorizations) == 1 else _UNREADABLE
        return TokenShown(secret)
    return None if cookie is None else SessionShown(cookie.decode("latin-1"))


def secret_in(authorization: bytes) -> bytes:
    """The token of an Authorization field value; empty where there is none to be read.

    Of Basic it is the password; the user may be anybody.
    """
    scheme, _, credentials = authorization.strip(b" \t").partition(b" ")
    match scheme.lower():
        case b"bearer":
            return credentials.strip(b" ")
        case b"basic":
            return _password(credentials.strip(b" "))
        case _:
            return _UNREADABLE


def cookie_value(field_value: bytes, name: bytes) -> bytes | None:
    """The value of the first cookie of that name (RFC 6265 section 5.4); None without one."""
    for pair in field_value.split(b";"):
        key, separator, value = pair.strip(b" \t").partition(b"=")
        if separator and key == name:
            return value
    return None


def _password(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return _UNREADABLE
