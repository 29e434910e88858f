"""Archives made in memory, from members whose bytes are told by their index."""

import zlib
from collections.abc import Callable, Sequence

from fileserve.archives.layout import Content, Layout, Summed
from fileserve.archives.members import MemberTable
from storage.blob import Fingerprint
from storage.checksums import FileState
from storage.trees import TreeEntry

MODIFIED_NS = 1_700_000_001_500_000_000  # 2023-11-14 22:13:21.5 UTC


def folder(*path: bytes, modified_ns: int = MODIFIED_NS) -> TreeEntry:
    return TreeEntry(path, modified_ns, True, None)


def file(
    *path: bytes, size: int = 5, modified_ns: int = MODIFIED_NS, is_executable: bool = False
) -> TreeEntry:
    state = FileState(1, Fingerprint(size, modified_ns, 3, 4))
    return TreeEntry(path, modified_ns, is_executable, state)


def content(index: int, size: int) -> bytes:
    """What the tests take for the bytes of a member."""
    return bytes((index + position) % 251 for position in range(size))


def laid_out(
    entries: Sequence[TreeEntry],
    layout_of: Callable[[MemberTable], Layout],
    top: bytes = b"Top",
) -> tuple[MemberTable, Layout]:
    table = MemberTable(top)
    layout = layout_of(table)
    for entry in entries:
        layout.add(table.add(entry))
    layout.close(table.digest)
    return table, layout


def bytes_of(table: MemberTable, layout: Layout, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes [start, stop) of an archive."""
    found = []
    for piece in layout.pieces(start, layout.length if stop is None else stop):
        match piece:
            case bytes():
                found.append(piece)
            case Content():
                whole = content(piece.member, table.member(piece.member).size)
                found.append(whole[piece.start : piece.stop])
            case Summed():
                size = table.member(piece.member).size
                found.append(piece.encoded(zlib.crc32(content(piece.member, size))))
    return b"".join(found)
