"""What a request line and a Host field ask for (RFC 9112 section 3.2, RFC 3986 section 3.2.2).

origin-form   = absolute-path [ "?" query ]
absolute-form = http(s) "://" authority path-abempty [ "?" query ]
asterisk-form = "*"                                     OPTIONS only
Host          = uri-host [ ":" port ]
uri-host      = IP-literal / IPv4address / reg-name
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

ROOT_PATH = b"/"
WHOLE_SERVER = b"*"

# Wider than RFC 3986: browsers send "|", "^", "[" and "]" as they are, and old tools whole
# names in their own encoding.  What could be read in two ways is refused: controls, spaces,
# and the fragment, which has no place here.
_ORIGIN_FORM = re.compile(rb"(?P<path>/[^\x00-\x20\x7f#?]*+)(?:\?(?P<query>[^\x00-\x20\x7f#]*+))?")
_ABSOLUTE_FORM = re.compile(
    rb"(?P<scheme>https?)://(?P<authority>[^\x00-\x20\x7f/?#]++)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)

# reg-name without the comma, which it may contain by the letter: there it can only come from
# two Host fields joined into one.
_REG_NAME = rb"(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*+"
_IP_FUTURE = rb"v[0-9A-Fa-f]++\.[A-Za-z0-9._~!$&'()*+,;=:-]++"
_HOST = re.compile(
    rb"(?:\[(?:(?P<ipv6>[0-9A-Fa-f:.]++)|" + _IP_FUTURE + rb")\]|" + _REG_NAME + rb")(?::[0-9]*+)?"
)


class RequestTarget(NamedTuple):
    """raw_path is still percent-encoded and begins with a slash, or is `*` for the whole server.

    query is without its question mark, b"" also if there is none.  authority and scheme are
    from the absolute form only; authority overrules the Host field (RFC 9112 section 3.2.2).
    """

    raw_path: bytes
    query: bytes
    authority: bytes | None
    scheme: bytes | None = None


def parse_target(method: bytes, target: bytes) -> RequestTarget | None:
    """The parts of a request-target; None is a 400.

    CONNECT has a form of its own, which only a proxy understands: None.
    """
    if method == b"CONNECT":
        return None
    if target.startswith(b"/"):
        return _parse_origin_form(target, None, None)
    if target == WHOLE_SERVER:
        return RequestTarget(WHOLE_SERVER, b"", None) if method == b"OPTIONS" else None
    return _parse_absolute_form(method, target)


def is_valid_host(field_value: bytes) -> bool:
    """Whether this can be a Host field; the empty one can, if the target has no authority."""
    found = _HOST.fullmatch(field_value)
    if found is None:
        return False
    return found["ipv6"] is None or _is_ipv6_address(found["ipv6"])


def _parse_origin_form(
    target: bytes, authority: bytes | None, scheme: bytes | None
) -> RequestTarget | None:
    found = _ORIGIN_FORM.fullmatch(target)
    if found is None:
        return None
    return RequestTarget(found["path"], found["query"] or b"", authority, scheme)


def _parse_absolute_form(method: bytes, target: bytes) -> RequestTarget | None:
    """Userinfo and an empty host are errors in an http URI (RFC 9110 sections 4.2.1, 4.2.4)."""
    found = _ABSOLUTE_FORM.fullmatch(target)
    if found is None:
        return None
    authority, rest = found["authority"], found["rest"]
    scheme = found["scheme"].lower()
    if authority.startswith(b":") or not is_valid_host(authority):
        return None
    if not rest and method == b"OPTIONS":
        # What a proxy was to send on as "*" (RFC 9112 section 3.2.4).
        return RequestTarget(WHOLE_SERVER, b"", authority, scheme)
    path = rest if rest.startswith(b"/") else ROOT_PATH + rest
    return _parse_origin_form(path, authority, scheme)


def _is_ipv6_address(text: bytes) -> bool:
    try:
        IPv6Address(text.decode("ascii"))
    except AddressValueError:
        return False
    return True
