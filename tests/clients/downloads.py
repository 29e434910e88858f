"""Downloads in threads of the test's own, which tell how far they are and how they ended."""

import contextlib
import hashlib
import http.client
import threading
import time
from dataclasses import dataclass, field

from tests.clients.programs import PATIENCE_SECONDS
from tests.clients.samples import MIB
from tests.running_server import RunningServer

_PIECE_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response; seconds from the request to its last byte."""

    status: int
    fields: http.client.HTTPMessage
    content: bytes
    seconds: float


def get(server: RunningServer, path: str) -> Answer:
    """The answer to one GET on a connection of its own."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
    return Answer(response.status, response.headers, content, time.monotonic() - started)


@dataclass
class Download:
    """One GET that reads a MiB and waits until it may go on; joins its thread at the end.

    seconds counts from when it might go on.  was_cut: the connection ended before the content.
    """

    server: RunningServer
    path: str
    may_go_on: threading.Event
    status: int | None = None
    received: int = 0
    sha256: str = ""
    was_cut: bool = False
    seconds: float = 0.0
    has_begun: threading.Event = field(default_factory=threading.Event)
    has_ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> "Download":
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def _run(self) -> None:
        try:
            self._receive()
        except (http.client.HTTPException, OSError):
            self.was_cut = True
        finally:
            self.has_begun.set()
            self.has_ended.set()

    def _receive(self) -> None:
        digest = hashlib.sha256()
        address = (self.server.host, self.server.port)
        connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
        started = time.monotonic()
        try:
            connection.request("GET", self.path)
            response = connection.getresponse()
            self.status = response.status
            self._take(response, digest, MIB)
            self.has_begun.set()
            self.may_go_on.wait(PATIENCE_SECONDS)
            started = time.monotonic()
            self._take(response, digest, None)
            self.was_cut = response.length not in (0, None)
        finally:
            self.seconds = time.monotonic() - started
            connection.close()
            self.sha256 = digest.hexdigest()

    def _take(
        self, response: http.client.HTTPResponse, digest: "hashlib._Hash", limit: int | None
    ) -> None:
        while (limit is None or self.received < limit) and (piece := response.read1(_PIECE_BYTES)):
            digest.update(piece)
            self.received += len(piece)
