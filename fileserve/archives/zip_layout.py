"""A folder as a ZIP archive: stored members, then the directory; ZIP64 where numbers need it."""

from collections.abc import Iterator
from functools import partial

from fileserve.archives import zip_records as records
from fileserve.archives.layout import Content, Offsets, Piece, Summed, cut
from fileserve.archives.members import Member, MemberTable

MEDIA_TYPE = "application/zip"
# Whenever a byte of some archive is laid out otherwise than by the version before.
FORMAT_VERSION = 1
# Of an extra field of the directory's last entry: two states of a folder have the same one by a
# chance of 1 in 4,093.
_STAMP_LENGTHS = 4093


class ZipLayout:
    """See Layout; the members are those of table, which gets each of them before add."""

    def __init__(self, table: MemberTable) -> None:
        self._table = table
        self._members = Offsets(0)
        self._entries = Offsets(0)  # counted from the directory's start
        self._directory = 0
        self._stamp = b""
        self._end = b""
        self.length = 0

    def add(self, member: Member) -> None:
        """Lay out the next member."""
        self._entries.add(records.central_header_length(member, self._members.end))
        self._members.add(
            records.local_header_length(member) + member.size + records.descriptor_length(member)
        )

    def close(self, digest: bytes) -> None:
        """Lay out the directory and the end."""
        self._directory = self._members.end
        self._stamp = records.stamp_extra(4 + int.from_bytes(digest[:4]) % _STAMP_LENGTHS)
        self._entries.end += len(self._stamp)
        directory_length = self._entries.end
        self._end = records.end_records(len(self._table), directory_length, self._directory)
        self.length = self._directory + directory_length + len(self._end)

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """The bytes [start, stop) of the archive."""
        for index in self._members.overlapping(start, stop):
            yield from self._member(index, start, stop)
        for index in self._entries.overlapping(start - self._directory, stop - self._directory):
            yield from self._entry(index, start, stop)
        yield from cut(self._end, self.length - len(self._end), start, stop)

    def _member(self, index: int, start: int, stop: int) -> Iterator[Piece]:
        member, begin = self._table.member(index), self._members[index]
        content = begin + records.local_header_length(member)
        if start < content:
            yield from cut(records.local_header(member), begin, start, stop)
        if member.size:
            yield from cut(Content(index, 0, member.size), content, start, stop)
            length = records.descriptor_length(member)
            encode = partial(records.descriptor, member.size)
            yield from cut(Summed(index, encode, 0, length), content + member.size, start, stop)

    def _entry(self, index: int, start: int, stop: int) -> Iterator[Piece]:
        member, offset = self._table.member(index), self._members[index]
        begin = self._directory + self._entries[index]
        stamp = self._stamp if index == len(self._table) - 1 else b""
        encode = partial(records.central_header, member, offset, stamp=stamp)
        if member.size == 0:
            yield from cut(encode(0), begin, start, stop)
        else:
            length = records.central_header_length(member, offset) + len(stamp)
            yield from cut(Summed(index, encode, 0, length), begin, start, stop)
