"""A folder as a Metalink (RFC 5854): each file with its size, its URL and its digests (pure).

metalinkMetalink = element metalink:metalink { ..., metalinkFile+ }
metalinkFile     = element metalink:file { attribute name { text },
                   (hash* & pieces* & size? & url+ ...) }
metalinkPieces   = element metalink:pieces {
                   attribute length { ... }, attribute type { text }, hash+ }
"""

import re
from xml.sax.saxutils import escape, quoteattr

from storage.file_sums import PieceSums

MEDIA_TYPE = "application/metalink4+xml"
ENDING = b".meta4"

HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
"""

# What XML 1.0 cannot carry, or would turn into spaces (sections 2.2 and 3.3.3), and the backslash:
# a file name here, but a way out of the folder where a program on Windows writes it down.
_IMPOSSIBLE = re.compile("[\x00-\x1f\x7f\\\\\ufffe\uffff]")
_DRIVE = re.compile("[A-Za-z]:")


def file_element(
    path: tuple[bytes, ...],
    size: int,
    url: str,
    sha256: bytes | None,
    of_pieces: PieceSums | None = None,
) -> str | None:
    """The element of one file; None for a name that a Metalink cannot carry safely.

    url is absolute.  RFC 5854 section 4.1.2.1: a name is a relative path, and leads nowhere up.
    """
    name = _name(path)
    if name is None:
        return None
    digest = "" if sha256 is None else f'<hash type="sha-256">{sha256.hex()}</hash>'
    if of_pieces is not None:
        digest += _pieces(of_pieces)
    return (
        f"<file name={quoteattr(name)}><size>{size}</size>{digest}<url>{escape(url)}</url></file>\n"
    )


def _pieces(sums: PieceSums) -> str:
    """Section 4.2.17: with them a client finds the piece that is damaged, and fetches it alone."""
    text = sums.sha256s.hex()
    hashes = "".join(f"<hash>{text[at : at + 64]}</hash>" for at in range(0, len(text), 64))
    return f'<pieces length="{sums.length}" type="sha-256">{hashes}</pieces>'


def tail(left_out: int) -> str:
    """What comes after all files; left_out of them had impossible names."""
    if not left_out:
        return "</metalink>\n"
    return f"<!-- left out, because of characters in their names: {left_out} -->\n</metalink>\n"


def file_name(folder: bytes) -> bytes:
    """The name under which the Metalink of a folder is saved; b"" is the root."""
    return (folder or b"files") + ENDING


def _name(path: tuple[bytes, ...]) -> str | None:
    try:
        name = b"/".join(path).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _IMPOSSIBLE.search(name) or _DRIVE.match(name) else name
