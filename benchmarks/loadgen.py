"""The client in Python: for TLS, and for machines without a C compiler.

    python loadgen.py port=8443 path=/large.bin connections=8 seconds=2 [tls=1 name=value ...]

Same arguments, same output as loadgen.c, which explains them; every arrival costs it several times
as much.  Nothing but the standard library, so that it starts at once.
"""

import contextlib
import json
import random
import resource
import selectors
import socket
import ssl
import sys
import time
from dataclasses import dataclass, field

TICK_SECONDS = 0.005
SLOW_SECONDS = 0.25
REFUSED_SECONDS = 1.0
MIB = 1 << 20
UNTIL_CLOSE = 1 << 62
_BUFFER = memoryview(bytearray(MIB))
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_TEXTS = {"path": "/", "accept": "*/*"}
_NUMBERS = (
    "port", "connections", "seconds", "warmup", "range", "length", "player", "close", "rate",
    "rcvbuf", "pause", "each", "tls",
)  # fmt: skip


@dataclass(slots=True)
class Window:
    """What is counted; begins anew when the warm-up is over."""

    began: float = 0.0
    requests: int = 0
    errors: int = 0
    refused: int = 0
    first_bytes: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    finishes: list[float] = field(default_factory=list)


class Connection:
    """One connection: asks, discards the answer, asks again."""

    def __init__(self, load: "LoadGenerator") -> None:
        self.load = load
        self.received = 0
        self.answered = 0
        self.wake = 0.0
        self.is_finished = False
        self.head: bytearray | None = None
        self.left = 0
        self.open()

    def open(self) -> None:
        """Connect, as a newcomer whose clock runs from here; over TLS with the handshake."""
        self.started = time.perf_counter()
        plain = socket.socket()
        if self.load.number["rcvbuf"]:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(self.load.number["rcvbuf"]))
        plain.settimeout(10)
        try:
            plain.connect(("127.0.0.1", int(self.load.number["port"])))
            context = self.load.context
            self.socket = context.wrap_socket(plain) if context else plain
        except OSError:
            plain.close()
            self.fail()
            return
        self.socket.setblocking(False)
        self.load.selector.register(self.socket, selectors.EVENT_READ, self)
        self.ask()

    def close(self) -> None:
        with contextlib.suppress(KeyError, ValueError, AttributeError):
            self.load.selector.unregister(self.socket)
            self.socket.close()

    def ask(self) -> None:
        self.head = bytearray()
        try:
            self.socket.sendall(self.load.request())
        except OSError:
            self.fail()

    def fail(self) -> None:
        self.load.window.errors += 1
        self.close()
        self.rest(TICK_SECONDS)

    def rest(self, seconds: float) -> None:
        self.wake = time.perf_counter() + seconds
        self.load.resting.add(self)

    def wake_up(self) -> None:
        """Goes on after a rest: a slow reader takes its share, others ask."""
        if self.head is None and self.left and self.load.number["rate"]:
            self._receive(int(self.load.number["rate"] * SLOW_SECONDS))
            self.rest(SLOW_SECONDS)
        elif self.socket.fileno() < 0:
            self.open()
        else:
            self.started = time.perf_counter()
            self.ask()

    def readable(self) -> None:
        if self in self.load.resting:
            return
        # TLS keeps decrypted bytes that no selector sees: read until nothing comes.
        while self._receive(MIB) and self.load.context and self not in self.load.resting:
            pass

    def _receive(self, most: int) -> int:
        wanted = min(most, self.left) if self.head is None else 4096
        try:
            size = (
                self._discard(wanted)
                if self.head is None
                else self.socket.recv_into(_BUFFER, wanted)
            )
        except _WOULD_BLOCK:
            return 0
        except OSError:
            size = 0
        if size == 0:
            self._closed()
        elif self.head is not None:
            self._head_bytes(bytes(_BUFFER[:size]))
        else:
            self._body_bytes(size)
        return size

    def _discard(self, wanted: int) -> int:
        if self.load.context:
            return self.socket.recv_into(_BUFFER, min(wanted, MIB))
        return self.socket.recv_into(_BUFFER, min(wanted, MIB), socket.MSG_TRUNC)

    def _head_bytes(self, received: bytes) -> None:
        assert self.head is not None
        self.head += received
        fields, end, rest = bytes(self.head).partition(b"\r\n\r\n")
        if not end:
            return
        self.load.window.first_bytes.append(time.perf_counter() - self.started)
        if fields.split(b" ", 2)[1] not in (b"200", b"206"):
            self.load.window.refused += 1
            self.close()
            self.rest(REFUSED_SECONDS)
            return
        self.head = None
        _, found, after = fields.lower().partition(b"\r\ncontent-length:")
        self.left = int(after.split(b"\r\n")[0]) if found else UNTIL_CLOSE
        if self.load.number["player"]:
            self.left = random.randrange(MIB, 4 * MIB)
        self._body_bytes(min(len(rest), self.left))
        if self.load.number["rate"]:
            self.rest(SLOW_SECONDS * random.random())

    def _body_bytes(self, size: int) -> None:
        self.received += size
        self.left -= size
        if self.left == 0:
            self._answered()

    def _closed(self) -> None:
        if self.head is None and self.left > UNTIL_CLOSE // 2:
            self.close()
            self._answered()
        elif self._is_idle():
            self.close()
            self.open()
        else:
            self.fail()

    def _is_idle(self) -> bool:
        """Whether keep-alive ended between two requests, which is no error."""
        is_unanswered = self.head is not None and not self.head
        return is_unanswered and self.answered > 0 and not self.load.number["close"]

    def _answered(self) -> None:
        number, window, now = self.load.number, self.load.window, time.perf_counter()
        if window.began and self.started >= window.began:
            window.latencies.append(now - self.started)
            window.requests += 1
        self.answered += 1
        if number["close"] or number["player"]:
            self.close()
        if number["each"] and self.answered >= number["each"]:
            self.is_finished = True
            window.finishes.append(now - window.began)
        elif number["pause"]:
            self.rest(number["pause"])
        elif number["close"] or number["player"]:
            self.open()
        else:
            self.started = now
            self.ask()


class LoadGenerator:
    """All connections of one run, their selector and their window."""

    def __init__(self, arguments: list[str]) -> None:
        given = dict(argument.split("=", 1) for argument in arguments)
        self.text = {name: given.get(name, default) for name, default in _TEXTS.items()}
        self.number = {name: float(given.get(name, 0)) for name in _NUMBERS}
        self.window = Window()
        self.selector = selectors.DefaultSelector()
        self.resting: set[Connection] = set()
        self.context: ssl.SSLContext | None = None
        if self.number["tls"]:
            self.context = ssl.create_default_context()
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE

    def request(self) -> bytes:
        number, length = self.number, int(self.number["length"])
        wanted = ""
        if number["player"]:
            wanted = f"Range: bytes={random.randrange(max(length - 4 * MIB, 1))}-\r\n"
        elif number["range"]:
            first = random.randrange(length - int(number["range"]) + 1)
            wanted = f"Range: bytes={first}-{first + int(number['range']) - 1}\r\n"
        ending = "Connection: close\r\n" if number["close"] else ""
        host = f"127.0.0.1:{int(number['port'])}"
        head = (
            f"GET {self.text['path']} HTTP/1.1\r\nHost: {host}\r\nAccept: {self.text['accept']}\r\n"
        )
        return f"{head}{wanted}{ending}\r\n".encode("ascii")

    def run(self) -> None:
        """Warm up, measure, report, and hold the connections until standard input ends."""
        warm_up = self.number["warmup"]
        if not warm_up:
            self._begin()
        self.connections = [Connection(self) for _ in range(int(self.number["connections"]))]
        if warm_up:
            self._until(time.perf_counter() + warm_up)
            self._begin()
        self._until(self.window.began + self.number["seconds"])
        self._report(time.perf_counter() - self.window.began)
        sys.stdin.buffer.read()

    def _begin(self) -> None:
        number = self.number
        is_long = not (number["range"] or number["player"] or number["close"])
        kept = self.window.first_bytes if is_long else []
        self.window = Window(began=time.perf_counter(), first_bytes=kept)
        for connection in getattr(self, "connections", ()):
            connection.received = 0
        print("begin", flush=True)

    def _until(self, end: float) -> None:
        while (now := time.perf_counter()) < end:
            if all(connection.is_finished for connection in self.connections):
                return
            for key, _ in self.selector.select(TICK_SECONDS if self.resting else end - now):
                key.data.readable()
            if self.resting:
                self._wake(time.perf_counter())

    def _wake(self, now: float) -> None:
        for connection in [each for each in self.resting if each.wake <= now]:
            self.resting.discard(connection)
            connection.wake_up()

    def _report(self, seconds: float) -> None:
        received = [connection.received for connection in self.connections]
        window, usage = self.window, resource.getrusage(resource.RUSAGE_SELF)
        report = {
            "seconds": seconds,
            "bytes": sum(received),
            "requests": window.requests,
            "errors": window.errors,
            "refused": window.refused,
            "least_bytes": min(received),
            "most_bytes": max(received),
            "first_finish": min(window.finishes, default=0),
            "last_finish": max(window.finishes, default=0),
            "client_cpu": usage.ru_utime + usage.ru_stime,
            "first_byte": percentiles(window.first_bytes),
            "latency": percentiles(window.latencies),
        }
        print(json.dumps(report), flush=True)


def percentiles(values: list[float]) -> list[float]:
    """The 50th, 99th and 99.9th; none of nothing."""
    ordered = sorted(values)
    return [ordered[round(share * (len(ordered) - 1))] for share in (0.5, 0.99, 0.999) if ordered]


if __name__ == "__main__":
    LoadGenerator(sys.argv[1:]).run()
