"""The records of a ZIP archive, by their numbers in PKWARE's APPNOTE 6.3 (sections 4.3 to 4.6).

Members are stored, not compressed, so that their bytes are the file's.  The CRC-32 stands behind
them (bit 3 of the flags): nothing has to be read before the first byte is sent.  The sizes are
known and stand in front as well, which is more than section 4.4.4 asks for, and lets programs that
read a stream find the end of a member.
"""

import struct
import time

from fileserve.archives.members import Kind, Member

_LOCAL = struct.Struct("<IHHHHHIIIHH")  # 4.3.7
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")  # 4.3.12
_DESCRIPTOR = struct.Struct("<IIII")  # 4.3.9
_DESCRIPTOR_64 = struct.Struct("<IIQQ")  # 4.3.9.2
_END = struct.Struct("<IHHHHIIH")  # 4.3.16
_END_64 = struct.Struct("<IQHHIIQQQQ")  # 4.3.14
_LOCATOR_64 = struct.Struct("<IIQI")  # 4.3.15
_TIME_EXTRA = struct.Struct("<HHBi")
_TIME_EXTRA_ID = 0x5455  # the time of modification in seconds since 1970, UTC
_ZIP64_EXTRA_ID = 0x0001  # 4.5.3
_STAMP_EXTRA_ID = 0x6673  # ours, in the private range
_EXTRA_HEAD = struct.Struct("<HH")

MAX_16 = 0xFFFF
MAX_32 = 0xFFFFFFFF
_MADE_BY_UNIX = 3 << 8 | 63  # 4.4.2: the attributes are Unix permissions; version 6.3
_NEEDS_FOLDERS = 20  # 4.4.3
_NEEDS_ZIP64 = 45
_SUM_FOLLOWS = 1 << 3  # 4.4.4
_NAME_IS_UTF8 = 1 << 11
_REGULAR, _DIRECTORY = 0o100000, 0o040000
_DOS_DIRECTORY = 0x10
_DOS_FIRST = 315_532_800  # 1980-01-01 00:00:00
_DOS_LAST = 4_354_819_198  # 2107-12-31 23:59:58
_NANOSECONDS = 1_000_000_000


def local_header_length(member: Member) -> int:
    """The length of local_header(member)."""
    return _LOCAL.size + len(member.name) + _time_extra_length(member) + _sizes_length(member)


def local_header(member: Member) -> bytes:
    """What stands before a member's bytes (4.3.7)."""
    extra = _time_extra(member)
    size = member.size
    if size >= MAX_32:
        # Both sizes must be there in a local header (4.5.3).
        extra = _EXTRA_HEAD.pack(_ZIP64_EXTRA_ID, 16) + struct.pack("<QQ", size, size) + extra
    shown = min(size, MAX_32)
    clock, date = _dos_time(member)
    needs = _NEEDS_ZIP64 if size >= MAX_32 else _NEEDS_FOLDERS
    lengths = (len(member.name), len(extra))
    head = _LOCAL.pack(0x04034B50, needs, _flags(member), 0, clock, date, 0, shown, shown, *lengths)
    return head + member.name + extra


def descriptor_length(member: Member) -> int:
    """The length of what stands behind a member's bytes: nothing if it has none."""
    if member.size == 0:
        return 0
    return _DESCRIPTOR_64.size if member.size >= MAX_32 else _DESCRIPTOR.size


def descriptor(size: int, crc32: int) -> bytes:
    """What stands behind the bytes of a member that has some (4.3.9)."""
    form = _DESCRIPTOR_64 if size >= MAX_32 else _DESCRIPTOR
    return form.pack(0x08074B50, crc32, size, size)


def central_header_length(member: Member, offset: int) -> int:
    """The length of central_header for a member whose local header stands at offset."""
    zip64 = _sizes_length(member)
    if offset >= MAX_32:
        zip64 = zip64 + 8 if zip64 else _EXTRA_HEAD.size + 8
    return _CENTRAL.size + len(member.name) + _time_extra_length(member) + zip64


def central_header(member: Member, offset: int, crc32: int, stamp: bytes = b"") -> bytes:
    """A member's entry in the directory at the end (4.3.12); stamp: one more extra field."""
    size = member.size
    large = struct.pack("<QQ", size, size) if size >= MAX_32 else b""
    if offset >= MAX_32:
        large += struct.pack("<Q", offset)
    zip64 = _EXTRA_HEAD.pack(_ZIP64_EXTRA_ID, len(large)) + large if large else b""
    extra = zip64 + _time_extra(member) + stamp
    shown = min(size, MAX_32)
    needs = _NEEDS_ZIP64 if large else _NEEDS_FOLDERS
    is_folder = member.kind is Kind.FOLDER
    mode = (_DIRECTORY if is_folder else _REGULAR) | member.kind.mode
    attributes = mode << 16 | (_DOS_DIRECTORY if is_folder else 0)
    head = _CENTRAL.pack(
        *(0x02014B50, _MADE_BY_UNIX, needs, _flags(member), 0, *_dos_time(member), crc32),
        *(shown, shown, len(member.name), len(extra), 0, 0, 0, attributes, min(offset, MAX_32)),
    )
    return head + member.name + extra


def stamp_extra(length: int) -> bytes:
    """An extra field of length bytes (0, or 4 and more) that says nothing."""
    return _EXTRA_HEAD.pack(_STAMP_EXTRA_ID, length - 4) + bytes(length - 4) if length else b""


def end_records(count: int, directory_length: int, directory_offset: int) -> bytes:
    """What ends the archive, with the records of ZIP64 where a number needs them (4.3.14 to 16)."""
    records = b""
    if max(directory_length, directory_offset) >= MAX_32 or count >= MAX_16:
        versions = (_MADE_BY_UNIX, _NEEDS_ZIP64)
        records += _END_64.pack(
            *(0x06064B50, _END_64.size - 12, *versions, 0, 0),
            *(count, count, directory_length, directory_offset),
        )
        records += _LOCATOR_64.pack(0x07064B50, 0, directory_offset + directory_length, 1)
    shown = min(count, MAX_16)
    sizes = (min(directory_length, MAX_32), min(directory_offset, MAX_32))
    return records + _END.pack(0x06054B50, 0, 0, shown, shown, *sizes, 0)


def _sizes_length(member: Member) -> int:
    return _EXTRA_HEAD.size + 16 if member.size >= MAX_32 else 0


def _time_extra_length(member: Member) -> int:
    return _TIME_EXTRA.size if _fits_time_extra(_seconds(member)) else 0


def _time_extra(member: Member) -> bytes:
    seconds = _seconds(member)
    if not _fits_time_extra(seconds):
        return b""
    return _TIME_EXTRA.pack(_TIME_EXTRA_ID, 5, 1, seconds)


def _fits_time_extra(seconds: int) -> bool:
    return -(1 << 31) <= seconds < 1 << 31


def _seconds(member: Member) -> int:
    return member.modified_ns // _NANOSECONDS


def _flags(member: Member) -> int:
    flags = _SUM_FOLLOWS if member.size else 0
    try:
        member.name.decode("utf-8")
    except UnicodeDecodeError:
        # Without the flag Unix programs take the bytes as they are, and no two names become one.
        return flags
    return flags | _NAME_IS_UTF8


def _dos_time(member: Member) -> tuple[int, int]:
    """Time and date (4.4.6) in UTC: the bytes must not depend on where the server stands."""
    t = time.gmtime(min(max(_seconds(member), _DOS_FIRST), _DOS_LAST))
    clock = t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec // 2
    return clock, (t.tm_year - 1980) << 9 | t.tm_mon << 5 | t.tm_mday
