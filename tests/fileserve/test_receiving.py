"""What becomes of the last piece of an upload that nobody waits for any more."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from fileserve.site.receiving import Pipe, Underway
from storage.errors import NoSpace
from storage.incoming import UploadEnded

FAULTS = [
    # error                          is logged   id
    (NoSpace("full"),                False,      "the-disk"),
    (UploadEnded("it has ended"),    False,      "given-up-before"),
    (RuntimeError("ours"),           True,       "a-fault-of-ours"),
]  # fmt: skip


class FailingIncoming:
    """A file on its way in, and its pool, whose every write fails with error."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.pool = self.executor = self

    async def run(self, call: Callable[[], None]) -> None:
        raise self._error

    def write(self, pieces: object) -> None: ...

    def abort(self) -> None: ...

    def dispose(self, call: Callable[[], None]) -> None:
        call()


@pytest.mark.parametrize(
    ("error", "is_logged"), [row[:2] for row in FAULTS], ids=[row[2] for row in FAULTS]
)
def test_only_a_fault_of_ours_is_logged(
    error: Exception, is_logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def give_up() -> None:
        pipe = Pipe(FailingIncoming(error), None)  # type: ignore[arg-type]
        await pipe.put(bytes(2 << 20))
        pipe.close()
        await asyncio.sleep(0.01)

    caplog.set_level(logging.ERROR, "fileserve.error")
    before = Underway.count
    asyncio.run(give_up())
    assert bool(caplog.records) is is_logged
    assert Underway.count == before
