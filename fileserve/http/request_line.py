"""Reads a request line as RFC 9112 section 3 has it, where a stricter parser comes after."""

import re

from fileserve.http.request_head import Refusal

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_METHOD = re.compile(_TOKEN + rb"(?= )")
_BEGINS_LIKE_A_METHOD = re.compile(_TOKEN + rb"(?: |\Z)")
_VERSION = re.compile(rb" HTTP/([0-9])\.([0-9])\r\n\Z")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def prepare_request_line(line: bytes) -> bytes | Refusal:
    """Return ``line``, which ends in LF, in the form that strict parsers read, or a refusal.

    A minor version above 1 is read as 1.1 (RFC 9110 section 2.5).  Raw
    non-ASCII bytes in the target, which curl and others send as they were
    typed, become percent-encoded: they mean the same name.  HTTP/0.9 has no
    version and no fields that could be waited for.
    """
    if line.endswith(b" HTTP/1.1\r\n") and line.isascii():
        return line
    version = _VERSION.search(line)
    if version is None:
        return Refusal(400, "Bad Request", "The request line is malformed.")
    if version[1] != b"1":
        return Refusal(505, "HTTP Version Not Supported", "This server speaks HTTP/1.1.")
    if version[2] not in b"01":
        line = line[: version.start()] + b" HTTP/1.1\r\n"
    return _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], line)


def method_of(line: bytes) -> bytes | None:
    """Return the method that a request line begins with; None when it is no token."""
    found = _METHOD.match(line)
    return found[0] if found is not None else None


def may_become_a_request(beginning: bytes) -> bool:
    """Whether ``beginning``, a line that is not complete yet, can be that of a request.

    TLS spoken to a plain port, for one, cannot.
    """
    return _BEGINS_LIKE_A_METHOD.match(beginning) is not None
