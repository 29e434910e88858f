"""Lines of a SHA256SUMS file as GNU coreutils writes and checks them (pure).

line    = [ "\\" ] 64HEXDIG 2SP name LF
comment = "#" *any LF

A name with a backslash, a line feed or a carriage return in it is written with escapes, and its
line begins with a backslash.
"""

MEDIA_TYPE = "text/plain; charset=utf-8"
FILE_NAME = b"SHA256SUMS"
# sha256sum -c skips comments; a proxy that waits for bytes does not.
STILL_COMPUTING = b"# still reading a large file\n"

_ESCAPED = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def sum_line(path: tuple[bytes, ...], sha256: bytes) -> bytes:
    """The line for the file at path, relative to the folder in which the lines are checked."""
    # A lone "-" is standard input to sha256sum.
    name = b"./-" if path == (b"-",) else b"/".join(path)
    escaped = name
    for plain, escape in _ESCAPED:
        escaped = escaped.replace(plain, escape)
    mark = b"" if escaped == name else b"\\"
    return b"%b%b  %b\n" % (mark, sha256.hex().encode("ascii"), escaped)
