"""What the gate looks at of a request, whichever way it came (pure)."""

import urllib.parse
from collections.abc import Sequence
from typing import NamedTuple

from starlette.types import Scope

from fileserve.delivery.request_heads import RequestHead
from storage.errors import NameRefused
from storage.names import Name, parse_request_path

Field = tuple[bytes, bytes]
READING = ("GET", "HEAD", "OPTIONS")
# What all pages need, whoever may see them.
STATIC_PREFIX = b"/-/static/"


class Asked(NamedTuple):
    """raw_path is the path below root_path as it came, still percent-encoded.

    fields have lower-case names; client is the peer's address, empty where it has none.
    """

    method: str
    raw_path: bytes
    fields: Sequence[Field]
    client: str
    scheme: str


def asked_in(scope: Scope) -> Asked:
    """What an ASGI request asks for."""
    client = scope.get("client")
    return Asked(
        scope["method"],
        path_below(scope),
        scope["headers"],
        client[0] if client else "",
        scope.get("scheme", "http"),
    )


def asked_by(head: RequestHead, client: str) -> Asked:
    """What a request asks for that may be answered at once: those come over plain TCP."""
    method = head.method.decode("latin-1")
    return Asked(method, head.target.raw_path, head.fields, client, "http")


def path_below(scope: Scope) -> bytes:
    """The path below this application as it came; servers may leave raw_path out."""
    raw_path = scope.get("raw_path") or urllib.parse.quote(scope["path"]).encode()
    root_path = scope.get("root_path", "").encode()
    return bytes(raw_path.removeprefix(root_path) or b"/")


def name_at(raw_path: bytes) -> Name | None:
    """The name that a path, still percent-encoded, means; None where there can be none."""
    try:
        return parse_request_path(raw_path).name
    except NameRefused:
        return None
