"""A folder as a tar archive: header, bytes, padding for each member; no sums are needed."""

from collections.abc import Iterator

from fileserve.archives import tar_records as records
from fileserve.archives.layout import Content, Offsets, Piece, cut
from fileserve.archives.members import Member, MemberTable

MEDIA_TYPE = "application/x-tar"
# Whenever a byte of some archive is laid out otherwise than by the version before.
FORMAT_VERSION = 1
# More blocks of zeros than the two that end an archive: two states of a folder have as many by a
# chance of 1 in 127.  Archives on tapes end in as many, so every reader knows them.
_STAMP_LENGTHS = 127


class TarLayout:
    """See Layout; the members are those of table, which gets each of them before add."""

    def __init__(self, table: MemberTable) -> None:
        self._table = table
        self._members = Offsets(0)
        self.length = 0

    def add(self, member: Member) -> None:
        """Lay out the next member."""
        header = records.header_length(member)
        self._members.add(header + member.size + records.padding(member.size))

    def close(self, digest: bytes) -> None:
        """Lay out the end: two blocks of zeros or more."""
        stamp = int.from_bytes(digest[:4]) % _STAMP_LENGTHS
        self.length = self._members.end + (2 + stamp) * records.BLOCK_BYTES

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """The bytes [start, stop) of the archive."""
        for index in self._members.overlapping(start, stop):
            yield from self._member(index, start, stop)
        yield from cut(bytes(self.length - self._members.end), self._members.end, start, stop)

    def _member(self, index: int, start: int, stop: int) -> Iterator[Piece]:
        member, begin = self._table.member(index), self._members[index]
        content = begin + records.header_length(member)
        if start < content:
            yield from cut(records.header(member), begin, start, stop)
        if member.size:
            yield from cut(Content(index, 0, member.size), content, start, stop)
            zeros = bytes(records.padding(member.size))
            yield from cut(zeros, content + member.size, start, stop)
