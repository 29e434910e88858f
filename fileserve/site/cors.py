"""What scripts of other origins may do: the CORS fields of files and listings (Fetch standard).

Nothing, unless `cors_origins` names their origin.  Cookies are never allowed, so `*` is safe: a
script that brings a token in Authorization has it from its user.
"""

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
# Where the folder can be changed, too: what PUT, MOVE and resumable uploads need beside.
EXPOSED_OF_CHANGES = (
    b"Accept-Patch, Location, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, "
    b"Tus-Resumable, Tus-Version, Upload-Complete, Upload-Concat, Upload-Defer-Length, "
    b"Upload-Expires, Upload-Length, Upload-Limit, Upload-Metadata, Upload-Offset"
)
ALLOWED_FOR_CHANGES = (
    b"Content-Digest, Content-Disposition, Content-Type, Destination, Overwrite, Repr-Digest, "
    b"Tus-Resumable, Upload-Checksum, Upload-Complete, Upload-Concat, Upload-Defer-Length, "
    b"Upload-Draft-Interop-Version, Upload-Length, Upload-Metadata, Upload-Offset, "
    b"X-HTTP-Method-Override, X-Request-ID, X-Requested-With"
)
CHANGING_METHODS = b"PUT, POST, PATCH, DELETE, MOVE"
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
        return [(b"access-control-allow-origin", b"*"), *_permissions(settings, method, headers)]
    fields: Fields = [(b"vary", b"Origin")]
    origin = _field(headers, b"origin")
    if origin is not None and origin.decode("latin-1") in origins:
        permissions = _permissions(settings, method, headers)
        fields += [(b"access-control-allow-origin", origin), *permissions]
    return fields


def with_cors(app: ASGIApp, settings: Settings) -> ASGIApp:
    """app, whose answers the scripts of allowed origins can read."""
    if not settings.cors_origins:
        return app

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        fields = cors_fields(settings, scope["method"], scope["headers"])

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        await app(scope, receive, send_with_fields)

    return answer


def _permissions(settings: Settings, method: str, headers: Iterable[Field]) -> Fields:
    """What an allowed origin may read, or ask for when this is a preflight (section 3.2.2)."""
    is_preflight = (
        method == "OPTIONS" and _field(headers, b"access-control-request-method") is not None
    )
    if not is_preflight:
        exposed = _joined(settings, EXPOSED_FIELDS, EXPOSED_OF_CHANGES)
        return [(b"access-control-expose-headers", exposed)]
    methods = _joined(settings, ALLOWED_METHODS, CHANGING_METHODS)
    allowed = _joined(settings, ALLOWED_FIELDS, ALLOWED_FOR_CHANGES)
    return [
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", allowed),
        (b"access-control-max-age", str(PREFLIGHT_MAX_AGE_SECONDS).encode("ascii")),
    ]


def _joined(settings: Settings, always: bytes, where_writable: bytes) -> bytes:
    return b"%s, %s" % (always, where_writable) if settings.writable else always


def _field(headers: Iterable[Field], name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)
