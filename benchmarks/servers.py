"""Starts a peer on an offer, waits until it serves, and reads what it costs."""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Channel
from benchmarks.peers.offer import Certificate, Offer, Peer
from benchmarks.processes import (
    StartError,
    cpu_seconds,
    proportional_bytes,
    started,
    tree,
)

START_SECONDS = 30.0
_LOG_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Server:
    """A peer that serves; start_seconds is from its first instruction to its first answer."""

    peer: Peer
    pid: int
    port: int
    channel: Channel
    start_seconds: float

    def pids(self) -> dict[int, str]:
        """Its processes now."""
        return tree(self.pid)

    def cpu_seconds(self) -> float:
        """User and system time of all its processes until now."""
        return cpu_seconds(self.pids())

    def proportional_bytes(self) -> int:
        """Resident memory of all its processes, shared pages counted once."""
        return proportional_bytes(self.pids())


@contextlib.contextmanager
def serving(
    peer: Peer,
    root: Path,
    scratch: Path,
    *,
    cores: frozenset[int],
    probe_path: str,
    workers: int = 1,
    certificate: Certificate | None = None,
) -> Iterator[Server]:
    """The peer serving root; probe_path is a file that it has to answer before it counts."""
    folder = scratch / f"{peer.name}-{time.monotonic_ns()}"
    folder.mkdir()
    offer = Offer(root, free_port(), folder, workers, certificate)
    channel = Channel.TLS if certificate else Channel.PLAIN
    log = folder / "log"
    command = peer.command(offer)
    began = time.perf_counter()
    with started(command, cores=cores, log=log) as process:
        while not _answers(offer.port, probe_path, channel):
            late = time.perf_counter() - began > START_SECONDS
            if process.poll() is not None or late:
                raise StartError(f"{peer.title} did not start: {_last_line(log)}")
            time.sleep(0.005)
        start_seconds = time.perf_counter() - began
        yield Server(peer, process.pid, offer.port, channel, start_seconds)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, path: str, channel: Channel) -> bool:
    """Whether a GET of path is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            if channel is Channel.PLAIN:
                return _status_line(plain, request).startswith(b"HTTP/1.1 200")
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(plain) as secured:
                return _status_line(secured, request).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _status_line(connection: socket.socket, request: str) -> bytes:
    connection.sendall(request.encode("ascii"))
    return connection.recv(512)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1][:_LOG_SHOWN] if lines else "it said nothing"
