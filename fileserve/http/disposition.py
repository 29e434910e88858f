"""Content-Disposition for any file name (RFC 6266, with the extended parameters of RFC 8187)."""

import re
import unicodedata
from enum import Enum
from functools import lru_cache
from urllib.parse import quote

# attr-char of RFC 8187 section 3.2.1, without the letters and digits that quote() always keeps.
_ATTR_CHARS = "!#$&+-.^_`|~"

# Bytes that are not UTF-8 come out of surrogateescape as these.
_UNDECODABLE = re.compile("[\udc80-\udcff]")

# What a quoted file name can do without: control characters, the quote and the backslash that
# some browsers misread even when escaped, the slash that is a folder's, and "%41", which some
# browsers decode and others do not (RFC 6266 appendix D).
_UNSAFE_IN_QUOTES = re.compile(r'[^\x20-\x7e]|["\\/]|%(?=[0-9A-Fa-f]{2})')


class Disposition(Enum):
    """Whether a browser shows the file or saves it."""

    INLINE = "inline"
    ATTACHMENT = "attachment"


@lru_cache(maxsize=1024)
def content_disposition(disposition: Disposition, file_name: bytes) -> str:
    """The field value, ASCII without controls, whatever bytes the name consists of.

    A UTF-8 name survives exactly, in filename* if need be; filename beside it is what clients
    get that do not know filename* (RFC 6266 section 4.3 has it come first).  Bytes that are
    not UTF-8 appear as %E9: readable, and two such names never become one.
    """
    if not file_name:
        return disposition.value
    name = _UNDECODABLE.sub(_as_percent, file_name.decode("utf-8", "surrogateescape"))
    plain = _UNSAFE_IN_QUOTES.sub("_", _without_accents(name))
    field_value = f'{disposition.value}; filename="{plain}"'
    if plain == name:
        return field_value
    return f"{field_value}; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def _as_percent(undecodable: re.Match[str]) -> str:
    return f"%{ord(undecodable[0]) - 0xDC00:02X}"


def _without_accents(name: str) -> str:
    if name.isascii():
        return name
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(char for char in decomposed if not unicodedata.combining(char))
