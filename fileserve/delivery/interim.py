"""Interim responses (1xx), where nobody on the way would take them for the final one."""

from collections.abc import Sequence

from starlette.types import Scope

from fileserve.delivery.exchange import Exchange
from fileserve.delivery.scopes import EXCHANGE_EXTENSION

# nginx before 1.29 takes an interim response that it does not know for the final one.
_FIELDS_OF_PROXIES = frozenset((b"via", b"forwarded", b"x-forwarded-for"))


def can_send_interim(scope: Scope) -> bool:
    """Whether the client, as far as that can be known, would get an interim response."""
    exchange = (scope.get("extensions") or {}).get(EXCHANGE_EXTENSION)
    is_direct = not any(name in _FIELDS_OF_PROXIES for name, _ in scope["headers"])
    return isinstance(exchange, Exchange) and scope["http_version"] == "1.1" and is_direct


async def send_interim(scope: Scope, status: int, fields: Sequence[tuple[bytes, bytes]]) -> None:
    """Send an interim response; before the final one, and where can_send_interim says so."""
    exchange = scope["extensions"][EXCHANGE_EXTENSION]
    await exchange.send_interim(status, fields)
