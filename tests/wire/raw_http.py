"""A strict HTTP/1.1 client on a plain socket: what a test sends is what goes out, byte for byte.

    with connect(server) as client:
        client.send(b"GET /film.mkv HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        answer = client.answer()

Strict means that it refuses whatever RFC 9112 does not let a server send, so that every test of
every behaviour also is a test of the framing.
"""

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Protocol, Self

from tests.wire.answers import Answer, Head, parse_head

# Generous: a noisy machine with two cores may leave a process alone for seconds.
PATIENCE_SECONDS = 30.0
_MAX_HEAD_BYTES = 64 << 10
_READ_BYTES = 64 << 10

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+")


class Address(Protocol):
    """Where a server listens; RunningServer is one."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


class End(Enum):
    """How a connection ended, as the client sees it."""

    CLEAN = "the server closed it"
    CUT = "it was reset, or TLS ended without close_notify"


class ConnectionEnded(AssertionError):  # noqa: N818 - an outcome, and where unexpected a failure
    """The connection ended in the middle of something; received is what had come of it."""

    def __init__(self, end: End, received: bytes) -> None:
        super().__init__(f"{end.value}, after {len(received)} bytes: {received[-200:]!r}")
        self.end = end
        self.received = received


class RawClient:
    """One connection; closes its socket at the end of its `with`."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._buffer = b""
        connected.settimeout(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def send_in_pieces(self, raw: bytes, piece_bytes: int = 1) -> None:
        """Each piece only after the server has read the last, so that none are joined."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(raw), piece_bytes):
            self._socket.sendall(raw[start : start + piece_bytes])
            self.wait_until_read()

    @contextmanager
    def sending(self, raw: bytes) -> Iterator[None]:
        """Sends in a thread what is more than the buffers of both sides may hold."""
        thread = threading.Thread(target=self.send, args=(raw,))
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def wait_until_read(self) -> None:
        """Until nothing that was sent waits in a kernel's buffer: the server has it."""
        ours, theirs = self._socket.getsockname()[1], self._socket.getpeername()[1]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _bytes_underway(ours, theirs):
            assert time.monotonic() < deadline, "the server does not read"
            time.sleep(0.0005)

    def end_sending(self) -> None:
        """Half-close: nothing more is sent, everything is still read."""
        self._socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """Reset the connection, as a client does whose process died with unread bytes."""
        linger_for_no_time = b"\1\0\0\0\0\0\0\0"
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
        self._socket.close()

    def read_head(self) -> Head:
        """The next head, interim (1xx) ones included."""
        while b"\r\n\r\n" not in self._buffer:
            assert len(self._buffer) < _MAX_HEAD_BYTES, "a head without an end"
            self._receive()
        raw, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        return parse_head(raw)

    def read_content(self, head: Head, method: str = "GET") -> bytes:
        """The content that belongs to head (9112, 6.3): exactly, and nothing behind it."""
        if method == "HEAD" or head.status < 200 or head.status in (204, 304):
            return b""
        if head.has("transfer-encoding"):
            return self._read_chunked()
        if head.has("content-length"):
            return self.read_exactly(int(head.field("content-length")))
        assert head.closes, "without a length only the end of the connection ends the content"
        return self.read_until_closed()

    def answer(self, method: str = "GET") -> Answer:
        """The next response, complete."""
        head = self.read_head()
        return Answer(head, self.read_content(head, method))

    def ask(self, raw: bytes, method: str = "GET") -> Answer:
        self.send(raw)
        return self.answer(method)

    def read_exactly(self, length: int) -> bytes:
        pieces = [self._buffer[:length]]
        self._buffer = self._buffer[length:]
        missing = length - len(pieces[0])
        while missing:
            try:
                piece = self._received(min(missing, 1 << 20))
            except ConnectionEnded as ended:
                raise ConnectionEnded(ended.end, b"".join(pieces)) from None
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def read_until_closed(self) -> bytes:
        """Everything up to the end, which must be clean."""
        rest, end = self.read_to_the_end()
        if end is not End.CLEAN:
            raise ConnectionEnded(end, rest)
        return rest

    def read_to_the_end(self) -> tuple[bytes, End]:
        """Everything up to the end, and how it ended; a server that does not end it fails."""
        pieces, self._buffer = [self._buffer], b""
        while True:
            try:
                pieces.append(self._received(1 << 20))
            except ConnectionEnded as ended:
                return b"".join(pieces), ended.end

    def _read_chunked(self) -> bytes:
        pieces: list[bytes] = []
        while True:
            line = self._read_line()
            assert _CHUNK_SIZE.fullmatch(line), f"not a chunk size: {line!r}"
            size = int(line, 16)
            if size == 0:
                assert self._read_line() == b"", "trailers are not announced"
                return b"".join(pieces)
            pieces.append(self.read_exactly(size))
            assert self.read_exactly(2) == b"\r\n", "a chunk ends in CRLF"

    def _read_line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._receive()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def _receive(self) -> None:
        try:
            self._buffer += self._received(_READ_BYTES)
        except ConnectionEnded as ended:
            raise ConnectionEnded(ended.end, self._buffer) from None

    def _received(self, limit: int) -> bytes:
        """At least one byte; raises ConnectionEnded."""
        try:
            piece = self._socket.recv(limit)
        except TimeoutError:
            raise AssertionError(f"nothing came for {PATIENCE_SECONDS} s") from None
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            raise ConnectionEnded(End.CUT, b"") from None
        if not piece:
            raise ConnectionEnded(End.CLEAN, b"")
        return piece


def _bytes_underway(our_port: int, their_port: int) -> int:
    """What one side has sent and the other not read, from the kernel's table of connections.

    A server that has closed the connection reads nothing more: 0.
    """
    ours = theirs = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues = line.split()[:5]
        ports = int(local.split(":")[1], 16), int(remote.split(":")[1], 16)
        to_send, to_read = (int(text, 16) for text in queues.split(":"))
        if ports == (our_port, their_port):
            ours = to_send
        elif ports == (their_port, our_port):
            theirs = to_read
    return ours + theirs


def connect(
    address: Address, *, tls: ssl.SSLContext | None = None, receive_buffer_bytes: int = 0
) -> RawClient:
    """A new connection; a small receive buffer makes a client slow that does not read."""
    connected = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if receive_buffer_bytes:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        connected.settimeout(PATIENCE_SECONDS)
        connected.connect((address.host, address.port))
        if tls is not None:
            # A cut must be told from an end: the default would hide a missing close_notify.
            connected = tls.wrap_socket(
                connected, server_hostname=address.host, suppress_ragged_eofs=False
            )
    except BaseException:
        connected.close()
        raise
    return RawClient(connected)


def request(
    target: str | bytes,
    fields: Sequence[str | bytes] = (),
    *,
    method: str = "GET",
    version: str = "1.1",
) -> bytes:
    """A request with a Host field and field lines as given, complete; target is not escaped."""
    raw_target = target.encode() if isinstance(target, str) else target
    lines = [line.encode("latin-1") if isinstance(line, str) else line for line in fields]
    start = b"%b %b HTTP/%b\r\n" % (method.encode(), raw_target, version.encode())
    return start + b"".join(line + b"\r\n" for line in [b"Host: files.example", *lines]) + b"\r\n"
