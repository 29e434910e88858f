"""The fields of the tus protocol 1.0.0: what a request of a resumable upload asks for (pure).

https://tus.io/protocols/resumable-upload; sections are named by their headings there.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from hmac import compare_digest

VERSION = "1.0.0"
EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "checksum",
    "expiration",
    "termination",
    "concatenation",
)
CHECKSUM_ALGORITHMS = ("sha1", "sha256", "md5")
CONTENT_TYPE = "application/offset+octet-stream"
CHECKSUM_MISMATCH = 460  # "Checksum": the one status that HTTP does not know
MAX_METADATA_CHARACTERS = 16_384
MAX_PARTS = 1_000

_MAX_LENGTH = (1 << 63) - 1  # off_t
_DIGITS = re.compile(r"[0-9]{1,19}")
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
# In a URL or a path (ASCII, RFC 3986, no query, no fragment): the last segment below /-/uploads/.
_UPLOAD_ADDRESS = re.compile(r"(?:[\x21\x22\x24-\x3e\x40-\x7e]*/)?-/uploads/([0-9a-f]{32})")
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")  # "Creation": no space, no comma, ASCII


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request cannot be followed: a status of HTTP or of tus, and a sentence."""

    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the content of one request has to have ("Checksum")."""

    algorithm: str
    expected: bytes

    def fits(self, computed: bytes) -> bool:
        """Whether this is the checksum of what came."""
        return compare_digest(self.expected, computed)


@dataclass(frozen=True, slots=True)
class Whole:
    """An upload of a file by itself."""


@dataclass(frozen=True, slots=True)
class Partial:
    """An upload of a part, for a later Final."""


@dataclass(frozen=True, slots=True)
class Final:
    """A file made of parts that were uploaded before, in this order."""

    upload_ids: tuple[str, ...]


Concatenation = Whole | Partial | Final


@dataclass(frozen=True, slots=True)
class Creation:
    """A POST: a new upload.

    length: of the whole file; None is not known yet.  written_...: the fields as they came.
    """

    length: int | None
    concatenation: Concatenation = Whole()
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    written_metadata: str = ""
    written_concatenation: str = ""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A PATCH: the next bytes of an upload.

    offset: where they belong.  length: of the whole file, where the client tells it only now.
    """

    offset: int
    length: int | None
    checksum: Checksum | None


def tus_fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The fields of a request by lower-case name; a repeated one is unreadable: a lone comma."""
    fields: dict[str, str] = {}
    for key, value in headers:
        name = key.decode("latin-1").lower()
        fields[name] = "," if name in fields else value.decode("latin-1")
    return fields


def is_version_spoken(fields: Mapping[str, str]) -> bool:
    """Whether the client speaks the version that is spoken here ("Tus-Resumable")."""
    return fields.get("tus-resumable") == VERSION


def has_upload(fields: Mapping[str, str]) -> bool:
    """Whether the content of a request is bytes of an upload ("PATCH", "Creation With Upload")."""
    media_type = fields.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == CONTENT_TYPE


def parse_creation(fields: Mapping[str, str]) -> Creation | Refused:
    """What a POST asks for ("Creation", "Concatenation")."""
    written = fields.get("upload-metadata", "")
    metadata = parse_metadata(written)
    if metadata is None:
        return Refused(400, "Upload-Metadata is not a list of keys with Base64 values.")
    written_concatenation = fields.get("upload-concat")
    concatenation = parse_concatenation(written_concatenation)
    if isinstance(concatenation, Refused):
        return concatenation
    length = _parse_creation_length(fields, concatenation)
    if isinstance(length, Refused):
        return length
    return Creation(length, concatenation, metadata, written, written_concatenation or "")


def parse_continuation(fields: Mapping[str, str]) -> Continuation | Refused:
    """What a PATCH asks for ("PATCH", "Checksum", Upload-Length after a deferred one)."""
    if not has_upload(fields):
        return Refused(415, f"The content of an upload is {CONTENT_TYPE}.")
    offset = parse_length(fields.get("upload-offset", ""))
    if offset is None:
        return Refused(400, "Upload-Offset should be a number of bytes.")
    length = None
    if (written := fields.get("upload-length")) is not None:
        length = parse_length(written)
        if length is None:
            return Refused(400, "Upload-Length should be a number of bytes.")
    checksum = parse_checksum(fields.get("upload-checksum"))
    if isinstance(checksum, Refused):
        return checksum
    return Continuation(offset, length, checksum)


def parse_length(written: str) -> int | None:
    """A number of bytes; None for anything else, and for more than any file can have."""
    if not _DIGITS.fullmatch(written):
        return None
    number = int(written)
    return number if number <= _MAX_LENGTH else None


def parse_metadata(written: str) -> dict[str, bytes] | None:
    """The values of an Upload-Metadata field by their keys; None where it cannot be read.

    Nothing at all is no metadata.  A key without a value has an empty one.
    """
    if len(written) > MAX_METADATA_CHARACTERS:
        return None
    values: dict[str, bytes] = {}
    if not written.strip():
        return values
    for pair in written.split(","):
        key, _, encoded = pair.strip().partition(" ")
        value = _from_base64(encoded.strip())
        if value is None or key in values or not _KEY.fullmatch(key):
            return None
        values[key] = value
    return values


def parse_checksum(written: str | None) -> Checksum | Refused | None:
    """The checksum that a request announces for its content; None where it announces none."""
    if written is None:
        return None
    algorithm, _, encoded = written.partition(" ")
    if algorithm not in CHECKSUM_ALGORITHMS:
        return Refused(400, f"Upload-Checksum should be of {', '.join(CHECKSUM_ALGORITHMS)}.")
    expected = _from_base64(encoded)
    digest_size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    if expected is None or len(expected) != digest_size:
        return Refused(400, f"Upload-Checksum is not the Base64 of a {algorithm}.")
    return Checksum(algorithm, expected)


def parse_concatenation(written: str | None) -> Concatenation | Refused:
    """What an Upload-Concat field makes of a new upload."""
    if written is None:
        return Whole()
    if written == "partial":
        return Partial()
    kind, separator, addresses = written.partition(";")
    if kind != "final" or not separator:
        return Refused(400, "Upload-Concat should be 'partial' or 'final;' with addresses.")
    upload_ids = [upload_id_of(address) for address in addresses.split()]
    known = tuple(upload_id for upload_id in upload_ids if upload_id is not None)
    if not known or len(known) < len(upload_ids):
        return Refused(400, "Upload-Concat names something that is no upload here.")
    if len(known) > MAX_PARTS:
        return Refused(400, f"An upload is made of at most {MAX_PARTS} parts.")
    return Final(known)


def upload_id_of(address: str) -> str | None:
    """The id in the address of an upload, a URL or a path; None if it is not one."""
    found = _UPLOAD_ADDRESS.fullmatch(address)
    return None if found is None else found[1]


def is_upload_id(text: str) -> bool:
    """Whether text can be the id of an upload: nothing else ever becomes a file name."""
    return _UPLOAD_ID.fullmatch(text) is not None


def expires_field(at: float) -> str:
    """The value of Upload-Expires ("Expiration"): a date as RFC 9110 writes it."""
    return formatdate(at, usegmt=True)


def _parse_creation_length(
    fields: Mapping[str, str], concatenation: Concatenation
) -> int | Refused | None:
    written, deferred = fields.get("upload-length"), fields.get("upload-defer-length")
    if isinstance(concatenation, Final):
        # Its length is the sum; a client's own could only contradict it.
        return None if written is None else Refused(400, "A final upload has no Upload-Length.")
    if (written is None) == (deferred is None):
        return Refused(400, "A new upload needs Upload-Length or Upload-Defer-Length.")
    if written is None:
        return None if deferred == "1" else Refused(400, "Upload-Defer-Length can only be 1.")
    length = parse_length(written)
    return Refused(400, "Upload-Length should be a number of bytes.") if length is None else length


def _from_base64(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
