"""The records of a tar archive: ustar, and pax headers where ustar is too small (POSIX.1-2017).

The form is that of "pax Interchange Format" in the pax utility's page of the standard.
"""

import struct

from fileserve.archives.members import Kind, Member

BLOCK_BYTES = 512
# name mode uid gid size mtime | chksum typeflag linkname | magic+version uname gname devmajor
# devminor prefix, padded to a block
_USTAR = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_CHECKSUM = slice(148, 156)
_MAX_NAME = 100
_MAX_OCTAL_11 = 8**11 - 1  # 8 GiB - 1, and the year 2242
_MAGIC = b"ustar\x0000"
_REGULAR, _DIRECTORY, _EXTENDED = b"0", b"5", b"x"
_NANOSECONDS = 1_000_000_000


def header(member: Member) -> bytes:
    """What stands before a member's bytes: one block, and before it a pax header if it needs one.

    Owner and group are root by number and have no names: what they are on the server is nobody's
    business, and nobody but root unpacks owners.
    """
    kind = _DIRECTORY if member.kind is Kind.FOLDER else _REGULAR
    seconds = member.modified_ns // _NANOSECONDS
    block = _ustar(
        _short(member.name),
        member.kind.mode,
        min(member.size, _MAX_OCTAL_11),
        min(max(seconds, 0), _MAX_OCTAL_11),
        kind,
    )
    records = _records(member)
    if not records:
        return block
    about = _ustar(b"PaxHeader", 0o644, len(records), 0, _EXTENDED)
    return about + records + bytes(padding(len(records))) + block


def header_length(member: Member) -> int:
    """The length of header(member)."""
    records = _records(member)
    if not records:
        return BLOCK_BYTES
    return 2 * BLOCK_BYTES + len(records) + padding(len(records))


def padding(length: int) -> int:
    """How many zeros fill up the last block of length bytes."""
    return -length % BLOCK_BYTES


def _records(member: Member) -> bytes:
    """What the ustar block cannot say; nothing for most members."""
    records = b""
    if not _fits_ustar(member.name):
        # What is no UTF-8 is marked as plain bytes, else programs would have to refuse it.
        if not _is_utf8(member.name):
            records += pax_record(b"hdrcharset", b"BINARY")
        records += pax_record(b"path", member.name)
    if member.size > _MAX_OCTAL_11:
        records += pax_record(b"size", b"%d" % member.size)
    seconds = member.modified_ns // _NANOSECONDS
    if not 0 <= seconds <= _MAX_OCTAL_11:
        records += pax_record(b"mtime", b"%d" % seconds)
    return records


def pax_record(keyword: bytes, value: bytes) -> bytes:
    """``LENGTH KEYWORD=VALUE NEWLINE``, where LENGTH counts its own digits, too."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(b"%d" % rest)
    length = rest + len(b"%d" % length)  # the digits may have become one more
    return b"%d %b=%b\n" % (length, keyword, value)


def _fits_ustar(name: bytes) -> bool:
    return len(name) <= _MAX_NAME and name.isascii()


def _short(name: bytes) -> bytes:
    """The name, or what of it programs see that know no pax."""
    if _fits_ustar(name):
        return name
    return bytes(byte if byte < 0x80 else 0x5F for byte in name)[-_MAX_NAME:].lstrip(b"/")


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _ustar(name: bytes, mode: int, size: int, seconds: int, kind: bytes) -> bytes:
    block = bytearray(
        _USTAR.pack(
            *(name, b"%07o\0" % mode, b"0000000\0", b"0000000\0"),
            *(b"%011o\0" % size, b"%011o\0" % seconds, b" " * 8, kind, b""),
            *(_MAGIC, b"", b"", b"0000000\0", b"0000000\0", b""),
        )
    )
    # The sum of all bytes, its own eight taken as spaces.
    block[_CHECKSUM] = b"%06o\0 " % sum(block)
    return bytes(block)
