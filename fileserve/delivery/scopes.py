"""The ASGI scopes of a connection and of its requests."""

import asyncio
import urllib.parse
from collections.abc import Mapping

from starlette.types import Scope

from fileserve.delivery.request_heads import RequestHead

# Our own extension: the exchange, for the access log and for FileResponse.
EXCHANGE_EXTENSION = "fileserve.exchange"
ASGI_VERSIONS = {"version": "3.0", "spec_version": "2.4"}


def connection_scope(transport: asyncio.BaseTransport, root_path: str) -> dict[str, object]:
    """Return what all requests of a connection have in common."""
    is_tls = transport.get_extra_info("sslcontext") is not None
    return {
        "type": "http",
        "asgi": ASGI_VERSIONS,
        "server": _address(transport.get_extra_info("sockname")),
        "client": _address(transport.get_extra_info("peername")),
        "scheme": "https" if is_tls else "http",
        "root_path": root_path,
    }


def request_scope(
    connection: Mapping[str, object],
    head: RequestHead,
    state: Mapping[str, object],
    extensions: dict[str, object],
) -> Scope:
    """Return the scope of one request; ``raw_path`` is the path as it came."""
    root_path = str(connection["root_path"])
    return {
        **connection,
        "http_version": head.version,
        "method": head.method.decode("latin-1"),
        "path": root_path + _decoded(head.target.raw_path),
        "raw_path": root_path.encode() + head.target.raw_path,
        "query_string": head.target.query,
        # A copy: an application may change its scope, and the parser remembers the head.
        "headers": list(head.fields),
        "state": dict(state),
        "extensions": extensions,
    }


def _decoded(raw_path: bytes) -> str:
    """Return the path as ASGI wants it, decoded; files are named by raw_path instead."""
    if b"%" in raw_path or not raw_path.isascii():
        return urllib.parse.unquote_to_bytes(raw_path).decode("utf-8", "replace")
    return raw_path.decode("ascii")


def _address(name: object) -> tuple[str, int | None] | None:
    """Return host and port of getpeername or getsockname; a Unix socket's path has no port."""
    if isinstance(name, tuple):
        return (str(name[0]), int(name[1]))
    if isinstance(name, str) and name:
        return (name, None)
    return None
