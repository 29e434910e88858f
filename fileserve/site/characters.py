"""The bytes of a text file as characters: Unicode where they are, Windows-1252 where not (pure)."""

import codecs
from enum import Enum

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What Windows programs wrote before Unicode; every byte but five means something in it.
_LEGACY = "cp1252"


class Extent(Enum):
    """Whether bytes are all of a file, or its beginning, cut perhaps within a character."""

    WHOLE = "whole"
    BEGINNING = "beginning"


def decode_text(content: bytes, extent: Extent = Extent.WHOLE) -> str:
    """content as text, by its byte order mark, else as UTF-8, else as Windows-1252.

    What cannot be read is U+FFFD; a character that was cut off is left out.
    """
    is_final = extent is Extent.WHOLE
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            decoder = codecs.getincrementaldecoder(encoding)("replace")
            return decoder.decode(content[len(mark) :], is_final)
    try:
        return codecs.getincrementaldecoder("utf-8")("strict").decode(content, is_final)
    except UnicodeDecodeError:
        return content.decode(_LEGACY, "replace")


def is_binary(content: bytes) -> bool:
    """Whether content is no text: it has NUL bytes and no mark of UTF-16."""
    return b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
