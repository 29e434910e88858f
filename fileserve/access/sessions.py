"""Sessions of browsers: a signed cookie instead of a token in every request (pure).

value = expires "." signature "." name, where signature is HMAC-SHA-256 by the session key over
the purpose, the name, the expiry and the token's hash.  Nothing of a session is stored: it ends
with its token.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from fileserve.access.origins import Line
from fileserve.access.tokens import KnownToken, is_valid

# For those who come each week; whoever lost a device has the token revoked.
SESSION_SECONDS = 14 * 86_400
_MAX_VALUE_CHARACTERS = 256
_ATTRIBUTES = "Path=/; HttpOnly; SameSite=Strict"


def cookie_name(line: Line) -> str:
    """The prefix makes browsers refuse the cookie from anybody else; it needs an encrypted line."""
    return "__Host-fileserve" if line is Line.ENCRYPTED else "fileserve"


def session_cookie(line: Line, value: str, lifetime_seconds: int) -> bytes:
    """A Set-Cookie field value; a lifetime of 0 ends the session in the browser."""
    secure = "; Secure" if line is Line.ENCRYPTED else ""
    text = f"{cookie_name(line)}={value}; {_ATTRIBUTES}; Max-Age={lifetime_seconds}{secure}"
    return text.encode("ascii")


def session_value(key: bytes, token: KnownToken, expires_at: int) -> str:
    """The value of a cookie that stands for token until expires_at."""
    return f"{expires_at}.{_signature(key, token, str(expires_at))}.{token.name}"


def token_of_session(
    key: bytes, value: str, tokens: Mapping[str, KnownToken], now: float
) -> KnownToken | None:
    """The token that a cookie's value stands for, if both hold at now; tokens are by name."""
    if len(value) > _MAX_VALUE_CHARACTERS or not value.isascii():
        return None
    expires, _, rest = value.partition(".")
    signature, _, name = rest.partition(".")
    token = tokens.get(name)
    if token is None or not expires.isdigit():
        return None
    if not hmac.compare_digest(_signature(key, token, expires), signature):
        return None
    return token if now < int(expires) and is_valid(token, now) else None


def _signature(key: bytes, token: KnownToken, expires: str) -> str:
    """Bound to the token's hash: another token that gets the same name is another one."""
    lines = ("fileserve-session-1", token.name, expires, token.secret_hash.hex())
    digest = hmac.digest(key, "\n".join(lines).encode("utf-8"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
