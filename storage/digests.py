"""SHA-256 and CRC-32 of bytes in one pass, with their text forms.

SHA-256 is what people and programs verify a download with; CRC-32 is what a ZIP archive has to
say about its members, and would otherwise cost a second reading of the file.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from storage.crc32 import crc32

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Digests:
    """What identifies a sequence of bytes: its length, SHA-256 (32 bytes) and CRC-32."""

    length: int
    sha256: bytes
    crc32: int

    @property
    def sha256_hex(self) -> str:
        """64 lower-case digits, as sha256sum prints and checks them."""
        return self.sha256.hex()

    @property
    def sha256_base64(self) -> str:
        """Base64 with padding: what RFC 9530 section 2 puts between the colons of sha-256."""
        return base64.b64encode(self.sha256).decode("ascii")

    @property
    def crc32_hex(self) -> str:
        """Eight lower-case digits."""
        return f"{self.crc32:08x}"


class Digester:
    """Takes bytes piece by piece; both sums run over each piece while it is in the CPU's cache."""

    __slots__ = ("_crc32", "_length", "_sha256")

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._crc32 = 0
        self._length = 0

    def update(self, buffer: Buffer) -> None:
        """Add the next piece; large ones are hashed with the interpreter's lock released."""
        self._sha256.update(buffer)
        self._crc32 = crc32(buffer, self._crc32)
        self._length += memoryview(buffer).nbytes

    def digests(self) -> Digests:
        """The digests of all pieces so far."""
        return Digests(self._length, self._sha256.digest(), self._crc32)


def digest(buffers: Iterable[Buffer]) -> Digests:
    """The digests of all buffers, one after the other, in one pass."""
    digester = Digester()
    for buffer in buffers:
        digester.update(buffer)
    return digester.digests()
