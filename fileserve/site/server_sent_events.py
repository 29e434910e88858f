"""Growing text as Server-Sent Events (pure; HTML standard, section 9.2).

stream  = [ bom ] *event
event   = *( comment / field ) end-of-line
comment = ":" *any-char end-of-line
field   = 1*name-char [ ":" [ space ] *any-char ] end-of-line

CR, LF and CRLF end a line both in the stream and in the text that is carried, so a line of text is
one `data` field, and nothing in it needs an escape.
"""

import re
from dataclasses import dataclass

EVENT_STREAM = "text/event-stream"
# What a comment is for: a proxy or a client that has gone is noticed by bytes only.
HEARTBEAT = b":\n\n"
# A line without an end must not fill the memory.
MAX_LINE_BYTES = 64 << 10

_LINE_END = re.compile(rb"\r\n|\n|\r")
_EVENT_ID = re.compile(r"(?P<offset>[0-9]{1,19})(?:-(?P<inode>[0-9a-f]{1,16}))?")
# The first bytes of a UTF-8 sequence whose last ones are still to come.
_UNFINISHED_CHARACTER = re.compile(
    rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: what an event's id tells, and Last-Event-ID brings back.

    inode None: whoever asks does not say in which file.
    """

    offset: int
    inode: int | None

    def __str__(self) -> str:
        return str(self.offset) if self.inode is None else f"{self.offset}-{self.inode:x}"


def parse_position(text: str) -> Position | None:
    """The position that an id names, ``OFFSET-INODE`` or ``OFFSET``; None for anything else."""
    found = _EVENT_ID.fullmatch(text)
    if found is None:
        return None
    inode = found["inode"]
    return Position(int(found["offset"]), None if inode is None else int(inode, 16))


def end_event(reason: str, *fields: bytes) -> bytes:
    """The last event of a stream that will not be continued; reason is its data."""
    return b"event: end\n" + b"".join(fields) + b"data: %b\n\n" % reason.encode("ascii")


# As a field of the end event: the position is void, a client that connects again begins anew.
FORGET_POSITION = b"id\n"


class LineEvents:
    """Makes events of text as it comes: whole lines, and an id where the next one begins.

    start: the position of the first byte that will be fed.  Lines are UTF-8, other bytes become
    U+FFFD.  A line over 64 KiB comes in pieces, as if it had ended in between.
    """

    def __init__(self, start: Position) -> None:
        self._inode = start.inode
        self._next_offset = start.offset
        self._held = b""
        self._is_skipping = False

    @property
    def fed_offset(self) -> int:
        """Where in the file the next bytes to be fed lie."""
        return self._next_offset + len(self._held)

    def skip_to_line_start(self) -> None:
        """Drop what is fed up to the end of the line that it begins in the middle of."""
        self._is_skipping = True

    def opening(self, retry_seconds: float) -> bytes:
        """What a stream begins with: how long to wait before connecting again, and from where.

        It tells the position already here, for the sake of files to which nothing is appended.
        """
        retry = b"retry: %d\n" % round(retry_seconds * 1000)
        return retry + (b"" if self._is_skipping else self._id()) + b"\n"

    def feed(self, text: bytes) -> bytes:
        """One event with the lines that text completes; empty when it completes none."""
        self._held += text
        if self._is_skipping:
            self._skip()
        stop = _end_of_lines(self._held)
        if len(self._held) - stop > MAX_LINE_BYTES:
            stop = _end_of_characters(self._held)
        return self._event(stop)

    def rest(self) -> bytes:
        """One event with the line that never ended; empty without one."""
        return b"" if self._is_skipping else self._event(len(self._held))

    def _event(self, length: int) -> bytes:
        if length == 0:
            return b""
        text, self._held = self._held[:length], self._held[length:]
        self._next_offset += length
        lines = _LINE_END.split(text.decode("utf-8", "replace").encode())
        if not lines[-1]:  # behind the end of the last line
            lines.pop()
        return self._id() + b"".join(b"data: %b\n" % line for line in lines) + b"\n"

    def _id(self) -> bytes:
        return b"id: %b\n" % str(Position(self._next_offset, self._inode)).encode("ascii")

    def _skip(self) -> None:
        found = _LINE_END.search(self._held)
        if found is None:
            skipped = len(self._held)
        elif found.end() == len(self._held) and found[0] == b"\r":
            skipped = found.start()  # perhaps one half of CRLF
        else:
            self._is_skipping = False
            skipped = found.end()
        self._next_offset += skipped
        self._held = self._held[skipped:]


def _end_of_lines(text: bytes) -> int:
    """Where the last line that surely is complete ends; a CR at the end may be half of CRLF."""
    stop = len(text) - 1 if text.endswith(b"\r") else len(text)
    return max(text.rfind(b"\n", 0, stop), text.rfind(b"\r", 0, stop)) + 1


def _end_of_characters(text: bytes) -> int:
    """Where text can be cut without cutting a character or CRLF."""
    if text.endswith(b"\r"):
        return len(text) - 1
    unfinished = _UNFINISHED_CHARACTER.search(text, max(len(text) - 3, 0))
    return len(text) if unfinished is None else unfinished.start()
