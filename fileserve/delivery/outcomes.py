"""How a transfer ends: the causes the access log names, and the exception that carries one."""

from enum import Enum


class EndCause(Enum):
    """Why no more bytes of a response follow."""

    COMPLETE = "complete"
    CLIENT_GONE = "client-gone"
    STALLED = "stalled"
    SHRANK = "shrank"
    CHANGED = "changed"
    SHUTDOWN = "shutdown"
    UNAVAILABLE = "unavailable"
    REVOKED = "revoked"
    FAILED = "failed"


class TransferCut(OSError):  # noqa: N818 - an outcome, not a fault
    """A response cannot be completed; the connection is cut and ``cause`` says why.

    It is an OSError because the ASGI specification (2.4) lets ``send`` raise
    one when the client has gone, and frameworks know how to live with it.
    """

    def __init__(self, cause: EndCause, detail: str = "") -> None:
        super().__init__(detail or cause.value)
        self.cause = cause
