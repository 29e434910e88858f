"""Follows every response from its begin to its end: the registry knows it, the log tells of it."""

from collections.abc import Callable

from fileserve.delivery.direct import DirectExchange
from fileserve.delivery.plan import Plan
from fileserve.delivery.request_heads import RequestHead
from fileserve.operations.transfers import Transfer, TransferRegistry, range_field
from storage.blob import Blob

# Whether a file was deleted, so that closing it takes long, is not asked where it was open so
# briefly: that would be a system call more for each small range.
_JUST_NOW_SECONDS = 0.01


class Following:
    """The registry, and the access log where it is written."""

    __slots__ = ("_log", "_registry")

    def __init__(self, registry: TransferRegistry, log: Callable[[Transfer], None] | None) -> None:
        self._registry = registry
        self._log = log

    def begin(self, transfer: Transfer) -> None:
        """Take note that a transfer runs; to be ended by end()."""
        self._registry.begin(transfer)

    def end(self, transfer: Transfer, error: BaseException | None) -> None:
        """Take note that it ended; error is what the application raised, if it did."""
        self._registry.end(transfer, error)
        if self._log is not None:
            self._log(transfer)


class FollowedAnswer:
    """A file's answer that was given at once; takes ownership of the Blob."""

    __slots__ = ("_blob", "_following", "_transfer", "plan")

    def __init__(
        self, plan: Plan, blob: Blob, request: RequestHead, client: str, following: Following
    ) -> None:
        self.plan = plan
        self._blob = blob
        self._following = following
        self._transfer = Transfer(
            client,
            request.method.decode("latin-1"),
            request.target.raw_path,
            range_field(request.fields),
        )
        following.begin(self._transfer)

    def begin(self, exchange: DirectExchange) -> None:
        """Take note of who sends it."""
        self._transfer.status = self.plan.status
        self._transfer.exchange = exchange

    def end(self) -> None:
        """Close the file and write the line."""
        try:
            self._following.end(self._transfer, None)
        finally:
            if self._transfer.seconds < _JUST_NOW_SECONDS:
                self._blob.release()
            else:
                self._blob.close_at_once()
