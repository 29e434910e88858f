"""A served folder as the tests of the wire see it: by which delivery, and how to reach it."""

import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Self

import trustme

from tests.running_server import RunningServer, running_server
from tests.wire.answers import Answer
from tests.wire.raw_http import RawClient, connect, request

# Every byte tells its position.
FACTS = bytes(range(200))
# Each line tells its position: 16 MiB, more than the socket buffers of both sides hold.
LARGE = b"".join(b"%015d\n" % number for number in range(1 << 20))
# A small one makes a slow client of one that does not read.
SLOW_READER_BUFFER_BYTES = 4096
# The clock that files are dated by; Python has no name for it (linux/time.h).
_CLOCK_REALTIME_COARSE = 5

_file_numbers = count(1)


class Delivery(Enum):
    """How bytes get from a file to a client."""

    UVLOOP = "zero-copy, uvloop"
    ASYNCIO = "zero-copy, asyncio"
    CHUNKED = "chunked"
    TLS = "chunked, TLS"


@dataclass(frozen=True)
class Served:
    """A running server of a folder, and what a client needs to reach it."""

    server: RunningServer
    root: Path
    delivery: Delivery
    tls: ssl.SSLContext | None

    def connect(self, *, receive_buffer_bytes: int = 0) -> RawClient:
        return connect(self.server, tls=self.tls, receive_buffer_bytes=receive_buffer_bytes)

    def ask(self, raw: bytes, method: str = "GET") -> Answer:
        """One request on a connection of its own, and its response."""
        with self.connect() as client:
            return client.ask(raw, method)

    def get(self, target: str, *fields: str) -> Answer:
        return self.ask(request(target, fields))

    def head(self, target: str, *fields: str) -> Answer:
        return self.ask(request(target, fields, method="HEAD"), "HEAD")

    def new_file(self, content: bytes) -> Path:
        """A file of a name that no other test has, so that its log lines can be found."""
        path = self.root / f"file-{next(_file_numbers)}.bin"
        path.write_bytes(content)
        return path

    def new_name_of_large(self) -> Path:
        """Another name of large.bin, which must not be written to."""
        path = self.root / f"large-{next(_file_numbers)}.bin"
        path.hardlink_to(self.root / "large.bin")
        return path

    def access_line(self, path: Path) -> "AccessLine":
        """The first line of the access log for a file; waits for it."""
        line = self.server.output.wait_for(f" /{path.relative_to(self.root)} ")
        _client, method, _path, status, _range, sent, _seconds, cause = line.split()[2:]
        return AccessLine(method, status, int(sent), cause)

    def error_lines(self) -> list[str]:
        return [line for line in self.server.lines if " ERROR " in line or "Traceback" in line]


def tick() -> None:
    """Until files get a new change time: older kernels count time in steps of some 4 ms."""
    before = time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
    while time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) == before:
        time.sleep(0.001)


@dataclass(frozen=True, slots=True)
class AccessLine:
    """What the access log says of one response; bytes_sent counts content only."""

    method: str
    status: str
    bytes_sent: int
    end_cause: str


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate for loopback and who trusts it."""

    chain: Path
    key: Path
    trusting: ssl.SSLContext

    @classmethod
    def issue(cls, folder: Path) -> Self:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        chain, key = folder / "chain.pem", folder / "key.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(chain)
        issued.private_key_pem.write_to_path(key)
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return cls(chain, key, context)


@dataclass
class Servers:
    """Starts a server for each delivery when it is first asked for; keeps it."""

    root: Path
    without_uvloop: Path
    certificates: Certificates
    _running: ExitStack
    _served: dict[Delivery, Served] = field(default_factory=dict)

    def by(self, delivery: Delivery) -> Served:
        """The shared server of this delivery, with default settings."""
        if delivery not in self._served:
            self._served[delivery] = self._running.enter_context(self.started(delivery, self.root))
        return self._served[delivery]

    def all_served(self) -> list[Served]:
        return list(self._served.values())

    @contextmanager
    def started(self, delivery: Delivery, root: Path, **settings: str) -> Iterator[Served]:
        """A server of its own, with settings by their names."""
        environment = {f"FILESERVE_{name.upper()}": text for name, text in settings.items()}
        environment |= self._environment(delivery)
        tls = self.certificates.trusting if delivery is Delivery.TLS else None
        with running_server(root, env=environment) as server:
            yield Served(server, root, delivery, tls)

    def _environment(self, delivery: Delivery) -> dict[str, str]:
        match delivery:
            case Delivery.UVLOOP:
                return {}
            case Delivery.ASYNCIO:
                return {"PYTHONPATH": str(self.without_uvloop)}
            case Delivery.CHUNKED:
                return {"FILESERVE_CHUNKED": "."}
            case Delivery.TLS:
                return {
                    "FILESERVE_TLS_CERTIFICATE": str(self.certificates.chain),
                    "FILESERVE_TLS_KEY": str(self.certificates.key),
                }
