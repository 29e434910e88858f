"""Counts wrong credentials for each client, and says when it has shown enough of them."""

from collections import OrderedDict
from dataclasses import dataclass

from fileserve.access.networks import network_of

FREE_ATTEMPTS = 10
WINDOW_SECONDS = 60.0
MAX_WAIT_SECONDS = 900
# Who has that many addresses to try from is not stopped by forgetting the oldest of them; the
# tokens' 256 bits stop everybody.
_REMEMBERED_CLIENTS = 4096


@dataclass(slots=True)
class _Record:
    count: int
    forgotten_at: float


class Attempts:
    """The failed attempts of this process; `now` is a clock that never goes back, in seconds."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def note_failure(self, client: str, now: float) -> int | None:
        """Count one; for how many seconds the client should wait, None while it need not.

        Twice as long with each further failure.  A minute without one after the wait, and all is
        forgotten.
        """
        key = network_of(client)
        record = self._records.pop(key, None)
        if record is None or now >= record.forgotten_at:
            record = _Record(0, 0.0)
        record.count += 1
        excess = record.count - FREE_ATTEMPTS
        wait = None if excess <= 0 else min(1 << min(excess, 20), MAX_WAIT_SECONDS)
        record.forgotten_at = now + WINDOW_SECONDS + (wait or 0)
        self._records[key] = record
        if len(self._records) > _REMEMBERED_CLIENTS:
            self._records.popitem(last=False)
        return wait
