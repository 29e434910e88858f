"""Which middleware a zero-copy message may pass, by real applications."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fileserve.delivery.directness import leads_to


class Server:
    """The server's end of an application."""

    async def send(self, message: Message) -> None:
        pass


async def no_content() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def plain() -> FastAPI:
    return FastAPI()


def with_cors() -> FastAPI:
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    return app


def with_gzip() -> FastAPI:
    app = FastAPI()
    app.add_middleware(GZipMiddleware)
    return app


def with_a_decorator() -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def pass_on(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        return await call_next(request)

    return app


def with_a_stranger() -> FastAPI:
    class Stranger:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def knows_two_messages(message: Message) -> None:
                assert message["type"] in ("http.response.start", "http.response.body")
                await send(message)

            await self.app(scope, receive, knows_two_messages)

    app = FastAPI()
    app.add_middleware(Stranger)
    return app


APPLICATIONS = [
    # made by            leads to the server
    (plain, True),
    (with_cors, True),
    (with_gzip, False),
    (with_a_decorator, False),
    (with_a_stranger, False),
]


@pytest.mark.parametrize(
    ("make", "is_direct"), APPLICATIONS, ids=[a[0].__name__ for a in APPLICATIONS]
)
def test_only_what_passes_everything_on_is_passed(
    make: Callable[[], FastAPI], is_direct: bool
) -> None:
    server, seen = Server(), []

    class Looking(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(leads_to(send, server.send))
            await super().__call__(scope, receive, send)

    app = make()
    app.add_api_route("/", lambda: Looking(b"x"))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"origin", b"http://a"), (b"accept-encoding", b"gzip")],
    }
    asyncio.run(app(scope, no_content, server.send))
    assert seen == [is_direct]


def test_another_server_is_not_this_one() -> None:
    assert not leads_to(Server().send, Server().send)
