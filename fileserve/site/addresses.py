"""The absolute addresses of what is served, as the visitor who asks would write them."""

from starlette.types import Scope

from fileserve.access.links import LINKS_PREFIX
from fileserve.http.target import is_valid_host


def base_url(scope: Scope, public_url: str | None) -> str | None:
    """The URL below which the request found this service; None where it does not tell.

    public_url: the address people use, where it is known.  For who came by a link its token
    belongs to it.  Proxies are believed as far as the server believed them when it made the scope.
    """
    root_path: str = scope.get("root_path", "")
    if public_url is not None:
        at = root_path.find(LINKS_PREFIX)
        return public_url + (root_path[at:] if at >= 0 else "")
    authority = _authority(scope)
    return None if authority is None else f"{scope['scheme']}://{authority}{root_path}"


def _authority(scope: Scope) -> str | None:
    hosts = [value for key, value in scope["headers"] if key == b"host"]
    if hosts and hosts[0] and is_valid_host(hosts[0]):
        return str(hosts[0].decode("ascii"))
    server = scope.get("server")
    if server is None or server[1] is None:  # HTTP/1.0 on a Unix socket
        return None
    host = f"[{server[0]}]" if ":" in server[0] else server[0]
    return f"{host}:{server[1]}"
