"""How long a client may take for what: pure bookkeeping over a clock that others read."""

from dataclasses import dataclass, replace
from enum import Enum, auto

# After an early answer the rest of the request is read and dropped for a while:
# closing at once would reset the connection and could destroy the answer on its way.
LINGER_SECONDS = 5.0
TURNING_AWAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and for how long a client may take; sizes in bytes."""

    header_timeout_seconds: float = 20.0
    idle_timeout_seconds: float = 60.0
    keep_alive_seconds: float = 30.0
    max_header_bytes: int = 64 << 10
    max_target_bytes: int = 16 << 10

    @property
    def tick_seconds(self) -> float:
        """How often connections are looked at: often enough for the shortest limit."""
        shortest = min(
            self.header_timeout_seconds, self.idle_timeout_seconds, self.keep_alive_seconds
        )
        return min(1.0, shortest / 4)

    def for_turning_away(self) -> "Limits":
        """Return the limits of a client that will be told to come back later."""
        return replace(
            self,
            header_timeout_seconds=min(self.header_timeout_seconds, TURNING_AWAY_SECONDS),
            keep_alive_seconds=min(self.keep_alive_seconds, TURNING_AWAY_SECONDS),
        )


class Stage(Enum):
    """What a connection is doing."""

    BETWEEN_REQUESTS = auto()
    READING_HEAD = auto()
    RESPONDING = auto()
    LINGERING = auto()
    CLOSED = auto()


class Watch:
    """Since when a connection has been in its stage, and when bytes last moved."""

    __slots__ = ("_limits", "_moved_at", "_progress", "_since", "stage")

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._progress: tuple[int, int] | None = None
        self.enter(Stage.BETWEEN_REQUESTS, now)

    def enter(self, stage: Stage, now: float) -> None:
        """Begin ``stage``; now is a monotonic time in seconds, here and below."""
        self.stage = stage
        self._since = self._moved_at = now
        self._progress = None

    def is_overdue(self, now: float) -> bool:
        """Whether the stage, other than RESPONDING, has lasted too long."""
        limits = self._limits
        allowed = {
            Stage.BETWEEN_REQUESTS: limits.keep_alive_seconds,
            # A promise to be kept: a tick early rather than a tick late.
            Stage.READING_HEAD: limits.header_timeout_seconds - limits.tick_seconds,
            Stage.LINGERING: LINGER_SECONDS,
        }.get(self.stage)
        return allowed is not None and now - self._since > allowed

    def is_stalled(self, now: float, progress: tuple[int, int] | None) -> bool:
        """Whether the client has moved nothing for too long; a slow one is left alone.

        progress changes with every byte that the client took or sent; None
        means that it is the server's turn to move.
        """
        if progress is None or progress != self._progress:
            self._progress = progress
            self._moved_at = now
            return False
        return now - self._moved_at > self._limits.idle_timeout_seconds
