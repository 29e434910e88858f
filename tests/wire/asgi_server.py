"""Any ASGI application under uvicorn, in a thread of the tests' own process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import AF_INET, SOCK_STREAM, socket

import uvicorn
from starlette.types import ASGIApp

from tests.wire.answers import Answer
from tests.wire.raw_http import PATIENCE_SECONDS, RawClient, connect, request


@dataclass(frozen=True)
class AppServer:
    """A server that answers; host and port are what connect() wants."""

    host: str
    port: int

    def connect(self) -> RawClient:
        return connect(self)

    def get(self, target: str, *fields: str) -> Answer:
        return self.ask(request(target, fields))

    def head(self, target: str, *fields: str) -> Answer:
        return self.ask(request(target, fields, method="HEAD"), "HEAD")

    def ask(self, raw: bytes, method: str = "GET") -> Answer:
        with self.connect() as client:
            return client.ask(raw, method)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = threading.Event()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()


@contextmanager
def app_server(app: ASGIApp, http: str | type, loop: str = "asyncio") -> Iterator[AppServer]:
    """app, served by uvicorn with its settings http and loop, on a free port of loopback."""
    listening = socket(AF_INET, SOCK_STREAM)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=http, loop=loop, lifespan="off", log_config=None)
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        assert server.has_started.wait(PATIENCE_SECONDS), "uvicorn did not start"
        yield AppServer(*listening.getsockname())
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "uvicorn did not stop"
