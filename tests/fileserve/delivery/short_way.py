"""One connection to the real application: a real socket, the protocol class, and a client."""

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from fileserve.app import Site, create_app
from fileserve.delivery.direct import Delivery
from fileserve.delivery.request_heads import RequestHead
from fileserve.delivery.time_limits import Limits
from fileserve.delivery.zerocopy import ZeroCopyProtocol, protocol_class
from fileserve.settings import Settings
from storage.local import LocalStorage

LARGE_BYTES = 8 << 20
Run = Callable[[Coroutine[object, object, None]], None]

PATIENCE_SECONDS = 30.0
# The kernel's least is twice this; more would hide how far a server reads ahead.
SMALL_BUFFER_BYTES = 16 << 10


class ThroughAsgi:
    """The site as any ASGI server has it; asked counts its requests."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await self.site(scope, receive, send)


class AtOnce(ThroughAsgi):
    """The site as our own protocol has it."""

    def answer_at_once(self, request: RequestHead, client: str) -> Delivery | None:
        return self.site.answer_at_once(request, client)


@dataclass
class Connected:
    """A client, and the server's side of its connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: ZeroCopyProtocol
    state: ServerState

    async def ask(self, raw: bytes) -> bytes:
        """All that comes for raw on a connection that the client then half-closes."""
        self.writer.write(raw)
        self.writer.write_eof()
        return await self.rest()

    async def rest(self) -> bytes:
        """All that still comes; what came before a reset where it ends in one."""
        received = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    piece = await self.reader.read(1 << 20)
                except ConnectionResetError:
                    return received
                if not piece:
                    return received
                received += piece


@dataclass
class Service:
    """An application, and how to connect to it."""

    app: ThroughAsgi
    config: uvicorn.Config
    state: ServerState
    http: type[ZeroCopyProtocol]

    @asynccontextmanager
    async def connected(self, *, has_small_buffers: bool = False) -> AsyncIterator[Connected]:
        ours, theirs = _tcp_pair(has_small_buffers=has_small_buffers)
        loop = asyncio.get_running_loop()
        made: list[ZeroCopyProtocol] = []

        def protocol() -> ZeroCopyProtocol:
            made.append(self.http(self.config, self.state, {}, loop))
            return made[0]

        transport, _ = await loop.connect_accepted_socket(protocol, sock=theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            yield Connected(reader, writer, made[0], self.state)
        finally:
            writer.transport.abort()
            transport.abort()
            await until(lambda: made[0] not in self.state.connections)


@asynccontextmanager
async def serving(
    root: Path,
    *,
    kind: type[ThroughAsgi] = AtOnce,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    max_connections: int | None = None,
    **settings: object,
) -> AsyncIterator[Service]:
    storage = LocalStorage(root)
    app = kind(create_app(Settings.model_validate({"root": root, **settings}), storage))
    http = protocol_class(limits)
    config = uvicorn.Config(
        app,
        http=http,
        log_config=None,
        lifespan="off",
        proxy_headers=False,
        limit_concurrency=max_connections,
    )
    config.load()
    try:
        yield Service(app, config, ServerState(), http)
    finally:
        await storage.close()


def _tcp_pair(*, has_small_buffers: bool) -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listening, socket.socket() as ours:
        if has_small_buffers:
            # Before the connection is made: its window is agreed upon then.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                ours.setsockopt(socket.SOL_SOCKET, option, SMALL_BUFFER_BYTES)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        ours.connect(listening.getsockname())
        theirs, _ = listening.accept()
        return socket.socket(fileno=ours.detach()), theirs


async def until(is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the function is_so returns something true, looking at each turn of the loop."""
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0)


@contextmanager
def access_lines() -> Iterator[list[str]]:
    """The access lines, as they are composed, without the seconds."""
    logger = logging.getLogger("fileserve.access")
    written: list[str] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(re.sub(r" \d+\.\d{3} (?=[a-z-]+$)", " ", record.getMessage()))

    handler, level = Keeps(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield written
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def open_files(folder: Path) -> list[str]:
    """The files at or below folder that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        if target.startswith(f"{folder}/"):
            found.append(target)
    return found


def get(*fields: bytes, method: bytes = b"GET", target: bytes = b"/facts.bin") -> bytes:
    """A whole request without content."""
    lines = (b"Host: a", *fields)
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method, target, b"\r\n".join(lines))
