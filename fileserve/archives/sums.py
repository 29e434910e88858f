"""The CRC-32 of an archive's members, as far as they are known: five bytes for each member."""

from array import array


class KnownSums:
    """Sums by the member's index; what is known stays known as long as the archive is sent."""

    __slots__ = ("_is_known", "_sums")

    def __init__(self, members: int) -> None:
        self._sums = array("I", bytes(4 * members))
        self._is_known = bytearray(members)

    def __getitem__(self, index: int) -> int | None:
        return self._sums[index] if self._is_known[index] else None

    def __setitem__(self, index: int, crc32: int) -> None:
        self._sums[index] = crc32
        self._is_known[index] = 1
