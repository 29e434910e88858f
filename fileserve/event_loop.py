"""The event loop that serves: uvloop's or the standard library's, with manners of our own."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    BaseLoop = asyncio.SelectorEventLoop
else:
    try:
        from uvloop import Loop as BaseLoop
    except ImportError:  # there are machines without a wheel of it
        from asyncio import SelectorEventLoop as BaseLoop

_log = logging.getLogger("fileserve.error")

_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_WARNING_SECONDS = 60.0


def loop_factory(handshake_seconds: float) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes a loop whose TLS handshakes may take so long: 60 seconds else."""

    def make() -> asyncio.AbstractEventLoop:
        loop = _Loop()
        loop.handshake_seconds = handshake_seconds
        loop.set_exception_handler(_Handler().handle)
        return loop

    return make


class _Loop(BaseLoop):
    """uvicorn leaves the limit of a TLS handshake to the loop."""

    handshake_seconds = 60.0

    async def create_server(self, *arguments: object, **keywords: object) -> asyncio.Server:
        if keywords.get("ssl") is not None:
            keywords["ssl_handshake_timeout"] = self.handshake_seconds
        create = cast("Callable[..., object]", super().create_server)
        return await cast("asyncio.Future[asyncio.Server]", create(*arguments, **keywords))


class _Handler:
    """Says once a minute that descriptors are used up; asyncio says it thousands of times."""

    def __init__(self) -> None:
        self._warned_at = float("-inf")

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Take what the loop has to report."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
            if time.monotonic() - self._warned_at > _WARNING_SECONDS:
                self._warned_at = time.monotonic()
                _log.warning("no connection can be taken: %s", error.strerror)
        elif not _is_late_accept(error, context):
            loop.default_exception_handler(context)


def _is_late_accept(error: object, context: dict[str, object]) -> bool:
    """Whether asyncio wanted to go on accepting after the listener was closed."""
    listener = context.get("socket")
    is_closed = isinstance(listener, socket.socket) and listener.fileno() < 0
    return isinstance(error, ValueError) and (is_closed or "file descriptor: -1" in str(error))
