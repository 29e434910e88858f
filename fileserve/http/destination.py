"""The Destination of a MOVE: where on this very server to (RFC 4918 section 10.3)."""

from urllib.parse import urlsplit

from fileserve.http.target import parse_target


def destination_path(field_value: bytes, own_hosts: frozenset[str]) -> bytes | None:
    """The path of a Destination, still percent-encoded; None if it is unreadable or elsewhere.

    field_value is an absolute path, or an absolute URL whose host is among own_hosts (in lower
    case, with the port as Host tells it).  A query means nothing and is refused.
    """
    target = parse_target(b"MOVE", field_value)
    if target is None or target.query or not target.raw_path.startswith(b"/"):
        return None
    if target.authority is None:
        return target.raw_path
    host = target.authority.decode("latin-1").lower()
    return target.raw_path if host in own_hosts else None


def hosts_of(host_field: bytes, public_url: str | None) -> frozenset[str]:
    """By what hosts this server is known: the one it was asked by, and its public one."""
    hosts = {host_field.decode("latin-1").lower()}
    if public_url:
        hosts.add(urlsplit(public_url).netloc.lower())
    return frozenset(hosts)
