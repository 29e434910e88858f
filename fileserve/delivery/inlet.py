"""What a client sends on one connection: parsed a message at a time, kept back until its turn."""

import asyncio

from fileserve.delivery.content_socket import ContentSocket
from fileserve.delivery.request_parser import RequestParser


class Inlet:
    """The bytes that have come and were not parsed yet, and whether more are read.

    Nothing more is read before all of it was parsed: a client may send faster than it is
    answered, and for ever.

    backlog: empty where all that has come was parsed.
    """

    __slots__ = ("_backlog_start", "_parser", "backlog", "has_peer_ended", "is_paused",
                 "is_refused", "received_bytes", "transport")  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, parser: RequestParser) -> None:
        self._parser = parser
        self.backlog = b""
        self._backlog_start = 0
        self.received_bytes = 0
        self.is_paused = False
        self.is_refused = False
        self.has_peer_ended = False

    @property
    def is_head_open(self) -> bool:
        """Whether a head has begun and is not complete."""
        return self._parser.is_head_open

    def add(self, data: bytes) -> None:
        """Keep what came in behind what is not parsed yet."""
        self.backlog = self.backlog[self._backlog_start :] + data if self.backlog else data
        self._backlog_start = 0

    def parse_message(self) -> None:
        """Parse to the end of a message at most."""
        self._backlog_start = self._parser.feed(self.backlog, self._backlog_start)
        if self._backlog_start == len(self.backlog):
            self.forget_backlog()

    def forget_backlog(self) -> None:
        """Drop what was not parsed."""
        self.backlog, self._backlog_start = b"", 0

    def pause(self) -> None:
        """Read nothing more for now."""
        if not self.is_paused and not self.transport.is_closing():
            self.is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if not self.is_paused or self.transport.is_closing():
            return
        self.is_paused = False
        if not self.has_peer_ended:
            self.transport.resume_reading()

    def lend_socket(self) -> ContentSocket | None:
        """Let a thread read the content that stands in the socket, where its length is known."""
        left = self._parser.content_left
        if not left:
            return None
        self.pause()
        if not self.is_paused:
            return None
        try:
            return ContentSocket(self.transport.get_extra_info("socket").fileno(), left)
        except OSError:
            # No descriptor left: the content comes the ordinary way.
            return None

    def take_back(self, lent: ContentSocket) -> None:
        """Go on behind the content that was read."""
        self.received_bytes += lent.count_read
        self._parser.content_was_read(lent.count_read)
