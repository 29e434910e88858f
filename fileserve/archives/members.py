"""The members of an archive: 100 bytes and a name each, and the digest that tells states apart."""

import hashlib
import struct
from array import array
from dataclasses import dataclass
from enum import IntEnum

from storage.blob import Fingerprint
from storage.checksums import FileState
from storage.trees import TreeEntry

_STATE = struct.Struct(">BQqqQI")


class Kind(IntEnum):
    """PROGRAM: a file that its owner may execute."""

    FOLDER = 0
    FILE = 1
    PROGRAM = 2

    @property
    def mode(self) -> int:
        """The permissions it gets where it is unpacked: those of the disk are nobody's business."""
        return 0o644 if self is Kind.FILE else 0o755


@dataclass(frozen=True, slots=True)
class Member:
    """What an archive says of a file or folder.

    name: the bytes as on the disk, with slashes, one at the end of a folder's; size in bytes, 0
    for folders; modified_ns since 1970.
    """

    name: bytes
    kind: Kind
    size: int
    modified_ns: int


class MemberTable:
    """All members in their order, in arrays: a million of them must fit into memory.

    top: the name of the folder that all of it is unpacked into.
    """

    def __init__(self, top: bytes) -> None:
        self._prefix = top + b"/"
        self._names = bytearray()
        self._name_stops = array("Q")
        self._kinds = array("B")
        self._numbers = {name: array(kind) for name, kind in _COLUMNS}
        self._far_off: dict[int, Fingerprint] = {}
        self._digest = hashlib.sha256(top)
        self.size = 0
        self.newest_ns = 0

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, entry: TreeEntry) -> Member:
        """Put entry behind the others."""
        path = b"/".join(entry.path)
        name = self._prefix + path
        if entry.state is None:
            kind, found = Kind.FOLDER, Fingerprint(0, entry.modified_ns, 0, 0)
            name += b"/" if path else b""
        else:
            kind = Kind.PROGRAM if entry.is_executable else Kind.FILE
            found = entry.state.fingerprint
        self._note(path, kind, found, entry.state.device if entry.state else 0)
        return Member(name, kind, found.size, found.modified_ns)

    def member(self, index: int) -> Member:
        """What the archive says of a member."""
        kind = Kind(self._kinds[index])
        name = self._prefix + self._path(index)
        if kind is Kind.FOLDER and len(name) > len(self._prefix):
            name += b"/"
        found = self._fingerprint(index)
        return Member(name, kind, found.size, found.modified_ns)

    def path(self, index: int) -> tuple[bytes, ...]:
        """Where it lies, in segments below the folder."""
        return tuple(self._path(index).split(b"/"))

    def state(self, index: int) -> FileState:
        """The state of a file that all bytes of it in the archive belong to."""
        return FileState(self._numbers["device"][index], self._fingerprint(index))

    @property
    def digest(self) -> bytes:
        """32 bytes that differ when a name, a state or an executable bit does.

        Without the devices: their numbers change when a machine starts anew.
        """
        return self._digest.digest()

    def _note(self, path: bytes, kind: Kind, found: Fingerprint, device: int) -> None:
        self.size += found.size
        self.newest_ns = max(self.newest_ns, found.modified_ns)
        try:
            packed = _STATE.pack(kind, *found, len(path))
        except struct.error:
            # The year 2262 or later, which touch(1) can set: too many nanoseconds for 64 bits.
            packed = repr((kind.value, *found, len(path))).encode("ascii")
            self._far_off[len(self)] = found
            found = found._replace(modified_ns=0, changed_ns=0)
        self._digest.update(packed)
        self._digest.update(path)
        self._names += path
        self._name_stops.append(len(self._names))
        self._kinds.append(kind)
        for column, number in zip(self._numbers.values(), (*found, device), strict=True):
            column.append(number)

    def _fingerprint(self, index: int) -> Fingerprint:
        size, modified_ns, changed_ns, inode, _ = self._numbers.values()
        found = Fingerprint(size[index], modified_ns[index], changed_ns[index], inode[index])
        return self._far_off.get(index, found)

    def _path(self, index: int) -> bytes:
        start = self._name_stops[index - 1] if index else 0
        return bytes(self._names[start : self._name_stops[index]])


# In the order of a Fingerprint.
_COLUMNS = (
    ("size", "Q"),
    ("modified_ns", "q"),
    ("changed_ns", "q"),
    ("inode", "Q"),
    ("device", "Q"),
)
