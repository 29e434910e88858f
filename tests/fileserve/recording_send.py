"""Drives an ASGI callable without a server, and keeps what it sends."""

import asyncio

from starlette.types import Message, Scope


class RecordingSend:
    """An ASGI send that keeps every message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def fields(self) -> dict[str, str]:
        """The response fields; a repeated one is joined with commas."""
        fields: dict[str, str] = {}
        for key, value in self.messages[0]["headers"]:
            name, text = key.decode("ascii"), value.decode("latin-1")
            fields[name] = f"{fields[name]}, {text}" if name in fields else text
        return fields

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def is_complete(self) -> bool:
        return not self.messages[-1].get("more_body", True)


def http_scope(method: str, target: str, **fields: str) -> Scope:
    """A request; the names of fields have underscores for hyphens."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "http_version": "1.1",
        "scheme": "http",
        "client": ("192.0.2.7", 40000),
        "server": ("192.0.2.1", 80),
        "headers": [
            (name.replace("_", "-").encode("ascii"), value.encode("latin-1"))
            for name, value in fields.items()
        ],
    }


async def no_more_request() -> Message:
    """An ASGI receive for a client that has sent its request and stays."""
    gone: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await gone
