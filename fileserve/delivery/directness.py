"""Whether an application's ``send`` leads straight to the server: middleware may stand between.

The extensions in a scope are the server's word; a middleware that wraps
``send`` and knows no ``http.response.zerocopysend`` would swallow it or fail.
ASGI has no way to ask, so the wrappers are looked at: those of Starlette that
pass every message on are known by name, anything else counts as in the way.
When Starlette renames one, files go in chunks, and a test says so.
"""

import functools
from collections.abc import Callable
from types import FunctionType

from starlette.types import Send

_PASSES_ON = frozenset(
    {
        "starlette._exception_handler.wrap_app_handling_exceptions.<locals>.wrapped_app.<locals>"
        ".sender",
        "starlette.middleware.errors.ServerErrorMiddleware.__call__.<locals>._send",
        "starlette.middleware.cors.CORSMiddleware.send",
    }
)
_MOST_WRAPPERS = 32


def leads_to(send: Send, server_send: Send) -> bool:
    """Whether ``send`` is ``server_send``, or wraps it in nothing but what passes all on."""
    inner: object = send
    for _ in range(_MOST_WRAPPERS):
        if inner == server_send:
            return True
        inner = _inside(inner)
        if inner is None:
            return False
    return False


def _inside(send: object) -> object | None:
    """Return what a known wrapper passes messages on to; None for all others."""
    if isinstance(send, functools.partial) and _is_known(send.func):
        inner: object = send.keywords.get("send")
        return inner
    if isinstance(send, FunctionType) and _is_known(send) and send.__closure__ is not None:
        cells = dict(zip(send.__code__.co_freevars, send.__closure__, strict=True))
        cell = cells.get("send")
        return None if cell is None else cell.cell_contents
    return None


def _is_known(function: Callable[..., object]) -> bool:
    return f"{function.__module__}.{getattr(function, '__qualname__', '')}" in _PASSES_ON
