"""Judges the head of a request as RFC 9112 demands: version, Host, target and framing."""

from collections.abc import Sequence
from dataclasses import dataclass

from fileserve.http.target import RequestTarget, is_valid_host, parse_target

Field = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that needs no resource: the connection is closed after it."""

    status: int
    title: str
    detail: str


def judge_head(
    version: str, method: bytes, target: bytes, fields: Sequence[Field]
) -> RequestTarget | Refusal:
    """Return what is asked for, or why the request is refused.

    version is "1.1" or "1.0" when the request can be answered.  fields have
    lower-case names.  Whoever forwards an ambiguous message may have read
    it differently (RFC 9112 section 11.2), so it is refused, not repaired.
    """
    if version not in ("1.1", "1.0"):
        return Refusal(505, "HTTP Version Not Supported", "This server speaks HTTP/1.1.")
    hosts: list[bytes] = []
    has_length = False
    codings: list[bytes] = []
    for name, value in fields:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            has_length = True
        elif name == b"transfer-encoding":
            codings.append(value)
    if codings:
        refusal = _judge_codings(version, codings, has_length=has_length)
        if refusal is not None:
            return refusal
    refusal = _judge_host(version, hosts)
    if refusal is not None:
        return refusal
    if method == b"CONNECT":
        return Refusal(501, "Not Implemented", "This server is not a proxy.")
    parsed = parse_target(method, target)
    if parsed is None:
        return _bad("The request target is not one that RFC 9112 section 3.2 allows.")
    return parsed


def _judge_host(version: str, hosts: list[bytes]) -> Refusal | None:
    """RFC 9112 section 3.2: exactly one valid Host in HTTP/1.1, at most one before."""
    if not hosts and version == "1.1":
        return _bad("An HTTP/1.1 request needs a Host field.")
    if len(hosts) > 1:
        return _bad("A request has one Host field, not several.")
    if hosts and not is_valid_host(hosts[0]):
        return _bad("The Host field is not a host with an optional port.")
    return None


def _judge_codings(version: str, codings: list[bytes], *, has_length: bool) -> Refusal | None:
    """RFC 9112 sections 6.1 and 6.3: Transfer-Encoding alone, in HTTP/1.1, chunked at its end."""
    if has_length:
        return _bad("Content-Length beside Transfer-Encoding makes the length ambiguous.")
    if version == "1.0":
        return _bad("HTTP/1.0 has no Transfer-Encoding.")
    listed = [coding.strip(b" \t").lower() for coding in b",".join(codings).split(b",")]
    if listed[-1] != b"chunked":
        return _bad("The last transfer coding is not chunked, so the length is unknown.")
    if len(listed) > 1:
        return Refusal(501, "Not Implemented", "The only transfer coding known here is chunked.")
    return None


def _bad(detail: str) -> Refusal:
    return Refusal(400, "Bad Request", detail)
