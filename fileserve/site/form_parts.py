"""The parts of a multipart form as they come in (RFC 7578), without keeping them (pure)."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

# A browser sends two or three fields of a hundred bytes with each part.
_MAX_HEADER_BYTES = 16 << 10
_MAX_HEADERS = 16
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_EXTENDED_NAME = re.compile(rb"(?i);\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)")
_PLAIN_CODINGS = frozenset((b"7bit", b"8bit", b"binary"))
# It warns of each form that is malformed; a client's mistake is no line in the log.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class FormUnreadable(Exception):  # noqa: N818 - an outcome in the domain's words
    """The content is not a form as its Content-Type says."""


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins; file_name is None for a plain field, b"" where no file was chosen."""

    field: str
    file_name: bytes | None


@dataclass(frozen=True, slots=True)
class PartPiece:
    """Bytes of the part that began last; a view of what was fed."""

    content: memoryview


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part that began last is whole."""


PartEvent = PartBegin | PartPiece | PartEnd


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary in a Content-Type of multipart/form-data; None for any other."""
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary")
    return boundary if kind == b"multipart/form-data" and boundary else None


def file_name_in(disposition: bytes) -> bytes | None:
    """The file name in a Content-Disposition; None where there is none."""
    extended = _extended_name(disposition)
    if extended is not None:
        return extended
    written = parse_options_header(disposition)[1].get(b"filename")
    return None if written is None else _unescape(written)


class FormParser:
    """Turns the content of a form into events, in the order of its bytes."""

    def __init__(self, boundary: bytes) -> None:
        """Raises FormUnreadable for a boundary that cannot be one."""
        self._events: list[PartEvent] = []
        self._name = self._value = b""
        self._fields: dict[bytes, bytes] = {}
        self._is_whole = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_to_name,
                    "on_header_value": self._add_to_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_content,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
                max_header_count=_MAX_HEADERS,
                max_header_size=_MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise FormUnreadable(str(error)) from error

    def feed(self, content: bytes) -> Sequence[PartEvent]:
        """What the next bytes tell; raises FormUnreadable."""
        self._events = []
        try:
            self._parser.write(content)
        except FormParserError as error:
            raise FormUnreadable(str(error)) from error
        return self._events

    def end(self) -> None:
        """Raises FormUnreadable unless the last boundary was there."""
        if not self._is_whole:
            raise FormUnreadable("the form ends before its last boundary")

    def _begin(self) -> None:
        self._fields = {}

    def _add_to_name(self, fed: bytes, start: int, end: int) -> None:
        self._name += fed[start:end]

    def _add_to_value(self, fed: bytes, start: int, end: int) -> None:
        self._value += fed[start:end]

    def _end_header(self) -> None:
        self._fields[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end_headers(self) -> None:
        coding = self._fields.get(b"content-transfer-encoding", b"binary").strip().lower()
        if coding not in _PLAIN_CODINGS:
            # RFC 7578 section 4.7 wants none; to keep coded bytes as they are would break the file.
            raise FormUnreadable("a part has a Content-Transfer-Encoding")
        disposition = self._fields.get(b"content-disposition", b"")
        _, parameters = parse_options_header(disposition)
        field = parameters.get(b"name", b"").decode("utf-8", "replace")
        self._events.append(PartBegin(field, file_name_in(disposition)))

    def _add_content(self, fed: bytes, start: int, end: int) -> None:
        self._events.append(PartPiece(memoryview(fed)[start:end]))

    def _end_part(self) -> None:
        self._events.append(PartEnd())

    def _end(self) -> None:
        self._is_whole = True


def _unescape(file_name: bytes) -> bytes:
    """Browsers escape three characters in names, and no others (HTML, multipart/form-data)."""
    return file_name.replace(b"%22", b'"').replace(b"%0D", b"\r").replace(b"%0A", b"\n")


def _extended_name(disposition: bytes) -> bytes | None:
    """The name in filename* (RFC 8187), in UTF-8; None where there is none.

    RFC 7578 section 4.2 forbids it, but .NET sends it, beside a filename that nobody can read.
    """
    found = _EXTENDED_NAME.search(_QUOTED.sub(b'""', disposition))
    if found is None:
        return None
    name = unquote_to_bytes(found[2])
    return name if found[1].lower() == b"utf-8" else name.decode("latin-1").encode()
