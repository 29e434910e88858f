"""What the admin and the service manager are told about the server: its start, its end.

The start is at most seven lines on standard output; with JSON logs, lines of the log, so that a
program that reads them never meets anything else.
"""

import contextlib
import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version

from fileserve.listening import Listeners
from fileserve.operations.readiness import ServiceManager
from fileserve.operations.shutdown import (
    FAREWELL_SECONDS,
    Drained,
    Load,
    drained_sentence,
    waiting_sentence,
)
from fileserve.settings import Settings
from fileserve.standard_streams import takes_a_line
from storage.local import LocalStorage, MountReport

logger = logging.getLogger("fileserve.server")

_MOUNTS_NAMED = 3
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class Announcer:
    """Tells what happens to a server; in the place of shutdown.Events."""

    def __init__(
        self,
        settings: Settings,
        storage: LocalStorage,
        listeners: Listeners,
        manager: ServiceManager,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._urls = urls(settings, listeners)
        self._manager = manager
        self._drain_began = 0.0
        self._drains = False

    def ready(self) -> None:
        lines = banner_lines(self._settings, self._storage.mounts(), self._urls)
        for line in lines:
            if self._settings.log_format == "json":
                logger.info(line)
            else:
                _print(line)
        self._manager.ready(f"Serving at {self._urls[0]}")

    def alive(self, load: Load) -> None:
        self._manager.alive(f"{'Stopping' if self._drains else 'Serving'}: {load}")

    def closed(self, load: Load) -> None:
        self._drains = True
        self._drain_began = time.monotonic()
        sentence = waiting_sentence(load.transfers, self._settings.drain_seconds)
        if load.transfers:
            logger.info(sentence)
        self._manager.stopping(sentence, self._settings.drain_seconds + FAREWELL_SECONDS)

    def drained(self, drained: Drained) -> None:
        logger.info(drained_sentence(drained, time.monotonic() - self._drain_began))


def _print(line: str) -> None:
    """Print line if standard output takes it: nobody there to read is no reason not to serve."""
    with contextlib.suppress(OSError):
        if takes_a_line(sys.stdout):
            print(line, flush=True)


def banner_lines(
    settings: Settings, mounts: Sequence[MountReport], addresses: Sequence[str]
) -> list[str]:
    """At most seven lines about a server that starts."""
    return [
        f"fileserve {version('fileserve')} serves {settings.root.absolute()}, {_rights(settings)}",
        f"at {'  '.join(addresses)}",
        *_token_line(settings),
        *_network_mount_line(mounts),
        f"zero-copy: {_zero_copy_state(settings)}",
        f"stop with Ctrl-C or SIGTERM: transfers then have {settings.drain_seconds:g} s to "
        "finish; twice stops now",
    ]


def _rights(settings: Settings) -> str:
    """Who may what, in short."""
    if settings.private and settings.writable:
        return "to holders of tokens and links; write tokens may change it"
    if settings.private:
        return "read-only, to holders of tokens and links"
    return "to everybody; write tokens may change it" if settings.writable else "read-only"


def _token_line(settings: Settings) -> list[str]:
    """The command that lets somebody in, complete: it has to find the same catalog."""
    if not (settings.private or settings.writable):
        return []
    state = (
        settings.state_dir
        and f"FILESERVE_STATE_DIR={shlex.quote(str(settings.state_dir.absolute()))} "
    )
    scope = "write" if settings.writable else "read"
    root = shlex.quote(str(settings.root.absolute()))
    command = f"fileserve token create NAME --scope {scope} --root {root}"
    return [f"let somebody in: {state or ''}{command}"]


def _network_mount_line(mounts: Sequence[MountReport]) -> list[str]:
    network = [mount for mount in mounts if mount.is_network]
    if not network:
        return []
    named = [f"{mount.path} ({mount.fs_type})" for mount in network[:_MOUNTS_NAMED]]
    more = len(network) - len(named)
    if more:
        named.append(f"{more} more")
    return [f"network mounts, sent in chunks by threads of their own: {', '.join(named)}"]


def _zero_copy_state(settings: Settings) -> str:
    if settings.tls_certificate is not None:
        return "off, since TLS encrypts in this process"
    if "." in settings.chunked:
        return "off (--chunked .)"
    if settings.chunked:
        return f"on, but for {', '.join(settings.chunked)} (--chunked)"
    return "on (sendfile)"


def urls(settings: Settings, listeners: Listeners) -> list[str]:
    """Where clients find the server: the public URL first, then what the sockets say."""
    public = [settings.public_url] if settings.public_url else []
    scheme = "http" if settings.tls_certificate is None else "https"
    own = [url for listener in listeners.sockets for url in _socket_urls(listener, scheme)]
    return list(dict.fromkeys([*public, *own]))


def _socket_urls(listener: socket.socket, scheme: str) -> list[str]:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return [f"unix:{os.fsdecode(name)}"]
    host, port = str(name[0]), int(name[1])
    if host not in _EVERY_ADDRESS:
        return [f"{scheme}://{_bracketed(host)}:{port}/"]
    hosts = ["127.0.0.1", *_address_towards_others()]
    return [f"{scheme}://{_bracketed(each)}:{port}/" for each in hosts]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _address_towards_others() -> list[str]:
    """This machine's address on the way to others; empty without a network.

    Connecting a datagram socket chooses a route and sends nothing; 192.0.2.0/24 is documentation.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [str(probe.getsockname()[0])]
