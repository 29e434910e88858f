"""An open file of known content, for arithmetic only, and what segments of it hold."""

from dataclasses import dataclass

from fileserve.delivery.body import Segment


@dataclass(frozen=True)
class Letters:
    """A file that nobody has opened; content is all of it."""

    content: bytes
    zero_copy: bool = True

    def fileno(self) -> int:
        raise NotImplementedError

    async def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


FILE = Letters(b"abcdefghij")


def content_of(segments: tuple[Segment, ...]) -> bytes:
    """The bytes that segments of Letters, and bytes, stand for."""
    pieces = []
    for segment in segments:
        if isinstance(segment, bytes):
            pieces.append(segment)
        else:
            assert isinstance(segment.file, Letters)
            pieces.append(segment.file.content[segment.start : segment.stop])
    return b"".join(pieces)
