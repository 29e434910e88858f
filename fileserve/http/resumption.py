"""The fields of resumable uploads as the IETF drafts them: what a request asks for (pure).

draft-ietf-httpbis-resumable-upload-11; sections are named by their headings there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

CONTENT_TYPE = "application/partial-upload"
RESUMPTION_SUPPORTED = 104
# "Limits": the answer to OPTIONS tells by it that uploads can be made.
ACCEPT_PATCH = (b"accept-patch", CONTENT_TYPE.encode())
_PROBLEMS = "https://iana.org/assignments/http-problem-types#"
MISMATCHING_OFFSET = _PROBLEMS + "mismatching-upload-offset"
COMPLETED_UPLOAD = _PROBLEMS + "completed-upload"
INCONSISTENT_LENGTH = _PROBLEMS + "inconsistent-upload-length"

# "Draft Version Identification": from the sixth on, what is sent and understood here is the same.
_INTEROP_VERSIONS = frozenset(("6", "7", "8"))
# RFC 9651: a bare item, and parameters that nobody has given a meaning.
_BOOLEAN = re.compile(r"\?([01])(?:;.*)?")
_INTEGER = re.compile(r"([0-9]{1,15})(?:;.*)?")
_BOOLEANS = {"1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the fields of a request say of an upload; None: nothing that can be read.

    is_last: whether it is complete with the content of this request.  offset: where that belongs.
    length: of the whole.
    """

    is_last: bool | None
    offset: int | None
    length: int | None


def parse_asked(fields: Mapping[str, str]) -> Asked:
    """What a request asks for ("State": a value that cannot be read is as none)."""
    is_last = _BOOLEAN.fullmatch(fields.get("upload-complete", "").strip(" "))
    return Asked(
        None if is_last is None else _BOOLEANS[is_last[1]],
        _integer(fields.get("upload-offset", "")),
        _integer(fields.get("upload-length", "")),
    )


def is_partial_upload(fields: Mapping[str, str]) -> bool:
    """Whether the content of a request is the next bytes of an upload ("Upload Append")."""
    kind, _, _ = fields.get("content-type", "").partition(";")
    return kind.strip().lower() == CONTENT_TYPE


def interop_version(fields: Mapping[str, str]) -> str | None:
    """The version that the client speaks; None for none that is spoken here.

    A 104 may be sent only to who speaks the version that it tells.
    """
    version = fields.get("upload-draft-interop-version", "").strip(" ")
    return version if version in _INTEROP_VERSIONS else None


def limit_field(max_size: int | None, max_age: int) -> tuple[bytes, bytes]:
    """Upload-Limit: the most bytes of an upload, and the seconds until it is forgotten."""
    age = b"max-age=%d" % max_age
    return (b"upload-limit", age if max_size is None else b"max-size=%d, %b" % (max_size, age))


def _integer(value: str) -> int | None:
    found = _INTEGER.fullmatch(value.strip(" "))
    return None if found is None else int(found[1])
