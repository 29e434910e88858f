"""A TCP proxy that outlives the server behind it: it cuts with it, and waits for its successor."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.clients.programs import PATIENCE_SECONDS

_PIECE_BYTES = 64 << 10
_RETRY_SECONDS = 0.05


@dataclass
class PatientProxy:
    """Listens at port for clients of the server at server_port; counts what it hands on to them.

    bytes_per_second bounds each connection, so that a test has time to cut it; 0 is no bound.
    """

    server_port: int
    bytes_per_second: int = 0
    received: int = 0
    port: int = 0
    _listener: socket.socket = field(default_factory=socket.socket)
    _is_open: bool = True

    def serve(self) -> None:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._is_open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while self._is_open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), self._reached() as server:
            threading.Thread(target=self._hand_on, args=(client, server), daemon=True).start()
            try:
                self._hand_down(server, client)
            finally:
                # Closing alone ends nothing while the other thread waits in recv.
                for end in (client, server):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def _hand_down(self, server: socket.socket, client: socket.socket) -> None:
        while piece := server.recv(_PIECE_BYTES):
            client.sendall(piece)
            self.received += len(piece)
            if self.bytes_per_second:
                time.sleep(len(piece) / self.bytes_per_second)

    def _reached(self) -> socket.socket:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.server_port))
            except ConnectionRefusedError:
                if not self._is_open or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)

    @staticmethod
    def _hand_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                target.sendall(piece)


@contextlib.contextmanager
def patient_proxy(server_port: int, *, bytes_per_second: int = 0) -> Iterator[PatientProxy]:
    """The proxy at work; closed at the end of the block."""
    proxy = PatientProxy(server_port, bytes_per_second)
    proxy.serve()
    try:
        yield proxy
    finally:
        proxy.close()
