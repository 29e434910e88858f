"""Tells the service manager how the service is: ready, alive, stopping, and its state in words.

The protocol is sd_notify(3): datagrams of NAME=value lines to the socket in NOTIFY_SOCKET.
Without that variable nobody listens, and every call does nothing.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

# A full queue at the manager's end must not swallow what is said only once.
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """The manager that started this process, as far as it wants to hear from it.

    address is None when nobody listens; watchdog_seconds is None when no sign of life is wanted.
    """

    address: str | None
    watchdog_seconds: float | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], process_id: int) -> Self:
        """What the manager asked of process_id; its wishes to another process are not ours."""
        return cls(_socket_address(environment), _watchdog_seconds(environment, process_id))

    def ready(self, status: str) -> None:
        """The service answers requests from now on."""
        self._tell(_PATIENCE_SECONDS, "READY=1", f"STATUS={status}")

    def alive(self, status: str) -> None:
        """A sign of life, to be given more often than watchdog_seconds."""
        beat = ["WATCHDOG=1"] if self.watchdog_seconds is not None else []
        self._tell(0.0, *beat, f"STATUS={status}")

    def stopping(self, status: str, within_seconds: float) -> None:
        """The service ends; it asks for within_seconds, more than TimeoutStopSec if need be."""
        microseconds = int(within_seconds * 1_000_000)
        extension = f"EXTEND_TIMEOUT_USEC={microseconds}"
        self._tell(_PATIENCE_SECONDS, "STOPPING=1", f"STATUS={status}", extension)

    def _tell(self, patience_seconds: float, *assignments: str) -> None:
        if self.address is None:
            return
        # A line break would begin another assignment.
        message = "\n".join(line.replace("\n", " ") for line in assignments)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(patience_seconds)
            try:
                channel.sendto(message.encode(), self.address)
            except OSError:
                # A manager that restarts or is slow must not stop the downloads.
                return


def _socket_address(environment: Mapping[str, str]) -> str | None:
    """The address to send to; "@name" is a name in the abstract namespace (unix(7))."""
    address = environment.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if os.path.isabs(address) else None


def _watchdog_seconds(environment: Mapping[str, str], process_id: int) -> float | None:
    """The longest pause between signs of life (sd_watchdog_enabled(3)), None for no watchdog."""
    if environment.get("WATCHDOG_PID", str(process_id)) != str(process_id):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit()) or int(microseconds) == 0:
        return None
    return int(microseconds) / 1_000_000
