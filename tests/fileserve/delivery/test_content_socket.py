"""What a thread reads of a request's content: all that is there, never past the end."""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from fileserve.delivery import content_socket
from fileserve.delivery.content_socket import ContentSocket

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Who sends and who reads, over TCP."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        sender = socket.create_connection(listener.getsockname())
        reader, _ = listener.accept()
    reader.setblocking(False)
    with sender, reader:
        yield sender, reader


def lent(reader: socket.socket, length: int) -> ContentSocket:
    return ContentSocket(reader.fileno(), length)


def send(pair: Pair, content: bytes) -> None:
    """Send it, and wait until it has come: a busy kernel delivers later than at once."""
    sender, reader = pair
    sender.sendall(content)
    deadline = time.monotonic() + 60
    while content and len(_waiting(reader)) < len(content):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _waiting(reader: socket.socket) -> bytes:
    with suppress(BlockingIOError):
        return reader.recv(1_000, socket.MSG_PEEK)
    return b""


# fmt: off
READ = [
    # sent        length  buffers       read                   id
    (b"abcdef",   10,     (4, 4, 4),    [b"abcd", b"ef", b""], "all-that-is-there"),
    (b"abcdef",   6,      (6, 6),       [b"abcdef", b""],      "to-the-end"),
    (b"abcdeGET", 5,      (8, 8),       [b"abcde", b""],       "never-past-the-end"),
    (b"abcdeGET", 5,      (4, 4, 4),    [b"abcd", b"e", b""],  "the-end-within-a-buffer"),
    (b"",         5,      (4,),         [b""],                 "nothing-came"),
]
# fmt: on


@pytest.mark.parametrize(
    ("sent", "length", "buffers", "read"),
    [row[:4] for row in READ],
    ids=[row[4] for row in READ],
)
def test_no_more_is_read_than_the_content(
    pair: Pair, sent: bytes, length: int, buffers: tuple[int, ...], read: list[bytes]
) -> None:
    _, reader = pair
    send(pair, sent)
    pieces = []
    with lent(reader, length) as content:
        for size in buffers:
            buffer = memoryview(bytearray(size))
            pieces.append(bytes(buffer[: content.fill(buffer)]))
    assert pieces == read
    assert content.count_read == len(b"".join(read))


def test_what_the_loop_has_read_comes_first(pair: Pair) -> None:
    _, reader = pair
    send(pair, b"defGET")
    pieces = []
    with lent(reader, 3) as content:
        content.begin_with(b"abc")
        for _ in range(4):
            buffer = memoryview(bytearray(2))
            pieces.append(bytes(buffer[: content.fill(buffer)]))
    assert pieces == [b"ab", b"c", b"de", b"f"]
    assert content.count_read == 3


def test_a_client_that_has_gone_is_for_the_loop_to_see(pair: Pair) -> None:
    sender, reader = pair
    sender.sendall(b"abc")
    # As a process that is killed with data unread: RST.
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sender.close()
    with lent(reader, 100) as content:
        while content.fill(memoryview(bytearray(10))):
            pass
    assert content.count_read in (0, 3)


def test_a_turn_ends_however_much_there_is(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    _, reader = pair
    send(pair, b"abc")
    monkeypatch.setattr(content_socket, "TURN_SECONDS", -1.0)
    with lent(reader, 3) as content:
        content.begin_with(b"x")
        buffers = [memoryview(bytearray(3)) for _ in range(2)]
        # What nobody else can read any more comes, however late it is.
        assert [content.fill(buffer) for buffer in buffers] == [1, 0]
    assert reader.recv(10) == b"abc"


def test_the_descriptor_is_the_callers_and_the_copy_is_closed(pair: Pair) -> None:
    _, reader = pair
    with lent(reader, 3) as content:
        assert descriptors_of(reader) == 2
    assert descriptors_of(reader) == 1
    with pytest.raises(ValueError, match="closed"):
        content.fill(memoryview(bytearray(3)))


def descriptors_of(wanted: socket.socket) -> int:
    """How many descriptors of this process are that socket."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # another thread closed it meanwhile
            found += os.path.samestat(os.fstat(int(number)), os.fstat(wanted.fileno()))
    return found
