"""What scripts of other origins may do: the CORS fields of files and listings (Fetch standard).

Nothing, unless `cors_origins` names their origin.  Cookies are never allowed, so `*` is safe: a
script that brings a token in Authorization has it from its user.
"""

from collections.abc import Iterable

from fileserve.settings import Settings

Field = tuple[bytes, bytes]
Fields = list[Field]

EXPOSED_FIELDS = (
    b"Accept-Ranges, Content-Range, Content-Length, ETag, Last-Modified, Content-Disposition, "
    b"Repr-Digest"
)
ALLOWED_FIELDS = (
    b"Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, "
    b"Want-Repr-Digest, Authorization"
)
ALLOWED_METHODS = b"GET, HEAD, OPTIONS"
# Chromium caps it at two hours; a preflight before each of a player's ranges doubles its latency.
PREFLIGHT_MAX_AGE_SECONDS = 7_200


def cors_fields(settings: Settings, method: str, headers: Iterable[Field]) -> Fields:
    """The CORS fields of the response to a request, as its headers ask; none when CORS is off.

    With listed origins `Vary: Origin` is there whether or not this request has an Origin: a
    cache must not hand one origin's answer to another.
    """
    origins = settings.cors_origins
    if not origins:
        return []
    if "*" in origins:
        return [(b"access-control-allow-origin", b"*"), *_permissions(method, headers)]
    fields: Fields = [(b"vary", b"Origin")]
    origin = _field(headers, b"origin")
    if origin is not None and origin.decode("latin-1") in origins:
        fields += [(b"access-control-allow-origin", origin), *_permissions(method, headers)]
    return fields


def _permissions(method: str, headers: Iterable[Field]) -> Fields:
    """What an allowed origin may read, or ask for when this is a preflight (section 3.2.2)."""
    is_preflight = (
        method == "OPTIONS" and _field(headers, b"access-control-request-method") is not None
    )
    if not is_preflight:
        return [(b"access-control-expose-headers", EXPOSED_FIELDS)]
    return [
        (b"access-control-allow-methods", ALLOWED_METHODS),
        (b"access-control-allow-headers", ALLOWED_FIELDS),
        (b"access-control-max-age", str(PREFLIGHT_MAX_AGE_SECONDS).encode("ascii")),
    ]


def _field(headers: Iterable[Field], name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)
