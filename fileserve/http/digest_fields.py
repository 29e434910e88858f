"""Repr-Digest, Content-Digest and Want-Repr-Digest: checksums in fields (RFC 9530).

All are Dictionaries of Structured Fields (RFC 8941 section 3.2):

    sf-dictionary = dict-member *( OWS "," OWS dict-member )
    dict-member   = key ( parameters / "=" bare-item parameters )
    parameters    = *( ";" *SP key [ "=" bare-item ] )

The values are Byte Sequences in the digests, Integers in the wish.  An inner list is none of them,
so a field with one is unreadable here.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from enum import Enum

SHA256 = "sha-256"
_LEAST_WANTED, _MOST_WANTED = 1, 10

_KEY = r"[a-z*][a-z0-9_.*-]*"
# Byte sequence; string; number; boolean; token.
_BARE_ITEM = (
    r":[A-Za-z0-9+/=]*:"
    r'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
    r"|-?[0-9]{1,12}\.[0-9]{1,3}|-?[0-9]{1,15}"
    r"|\?[01]"
    r"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"
)
_PARAMETERS = rf"(?:; *{_KEY}(?:=(?:{_BARE_ITEM}))?)*"
_MEMBER = re.compile(rf"(?P<key>{_KEY})(?:=(?P<item>{_BARE_ITEM}))?{_PARAMETERS}")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_ABSENT_ITEM = "?1"  # section 3.2: a member without a value is true


class Judgement(Enum):
    """What the digests in a field say of bytes whose SHA-256 is known."""

    MATCHES = "matches"
    DIFFERS = "differs"
    SAYS_NOTHING = "says nothing"  # no SHA-256 among them
    UNREADABLE = "unreadable"


def digest_field(sha256: bytes) -> str:
    """The value of a Repr-Digest or Content-Digest with this SHA-256 of 32 bytes."""
    return f"{SHA256}=:{base64.b64encode(sha256).decode('ascii')}:"


def parse_digests(field_value: str) -> Mapping[str, bytes] | None:
    """The digests by the names of their algorithms; None for what is no list of digests.

    Names are taken as they are: what is unknown may be ignored (RFC 9530 section 2).
    """
    members = _parse_dictionary(field_value)
    if members is None:
        return None
    digests: dict[str, bytes] = {}
    for algorithm, item in members.items():
        decoded = _byte_sequence(item)
        if decoded is None:
            return None
        digests[algorithm] = decoded
    return digests


def judge_sha256(field_value: str, sha256: bytes) -> Judgement:
    """Compare the SHA-256 that a Content-Digest or Repr-Digest tells with the one of the bytes."""
    digests = parse_digests(field_value)
    if digests is None:
        return Judgement.UNREADABLE
    told = digests.get(SHA256)
    if told is None:
        return Judgement.SAYS_NOTHING
    return Judgement.MATCHES if hmac.compare_digest(told, sha256) else Judgement.DIFFERS


def wants_sha256(field_value: str) -> bool:
    """Whether a Want-Repr-Digest or Want-Content-Digest asks for SHA-256 among others.

    RFC 9530 section 4: from 1, the least wanted, to 10; 0 is "not acceptable".
    """
    members = _parse_dictionary(field_value) or {}
    item = members.get(SHA256, "")
    return bool(_INTEGER.fullmatch(item)) and _LEAST_WANTED <= int(item) <= _MOST_WANTED


def _parse_dictionary(field_value: str) -> dict[str, str] | None:
    """The members and their items as they are written; of several with one key the last."""
    text = field_value.strip(" ")
    members: dict[str, str] = {}
    position = 0
    while position < len(text):
        member = _MEMBER.match(text, position)
        if member is None:
            return None
        members[member["key"]] = member["item"] or _ABSENT_ITEM
        position = member.end()
        if position == len(text):
            break
        comma = _COMMA.match(text, position)
        if comma is None or comma.end() == len(text):
            return None
        position = comma.end()
    return members


def _byte_sequence(item: str) -> bytes | None:
    if not item.startswith(":"):
        return None
    encoded = item[1:-1]
    try:
        # Section 4.2.7: padding that is missing is no reason to fail.
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return None
