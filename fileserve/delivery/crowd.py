"""What is said when there are more connections than the limit: to the client, and in the log."""

import logging
from functools import lru_cache

from starlette.types import Receive, Scope, Send

from fileserve.delivery.refusing import refuse
from fileserve.http.request_head import Refusal

_log = logging.getLogger("fileserve.error")

# Above the limit of connections so many are told so in words.
TURNED_AWAY_AT_ONCE = 8
_WARNING_SECONDS = 60


def warn_of_crowd(limit: int, now: float) -> None:
    """Say once in a minute that newcomers are turned away; now is the loop's time."""
    _warn(limit, int(now / _WARNING_SECONDS))


async def refuse_for_load(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The application of those for whom there is no place."""
    refusal = Refusal(503, "Service Unavailable", "Too many connections at the moment.")
    await refuse(send, refusal, [(b"retry-after", b"5")])


@lru_cache(maxsize=1)
def _warn(limit: int, _period: int) -> None:
    _log.warning("newcomers are turned away: there are %d connections, the limit", limit)
