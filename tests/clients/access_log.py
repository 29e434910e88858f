"""The access lines that a running server has printed, as values."""

from dataclasses import dataclass

from tests.clients.programs import wait_until
from tests.running_server import RunningServer

# Time and level, then the eight words that fileserve.operations.access_line promises.
_WORDS = 10


@dataclass(frozen=True, slots=True)
class AccessLine:
    """One transfer that ended; range is None without a Range field."""

    method: str
    path: str
    status: int
    range: str | None
    bytes: int
    end: str


def access_lines(server: RunningServer, path: str) -> list[AccessLine]:
    """The transfers of path (percent-encoded, from the root) that have ended until now."""
    return [line for line in map(_parsed, list(server.lines)) if line and line.path == path]


def wait_for_access_lines(server: RunningServer, path: str, count: int) -> list[AccessLine]:
    """The first count transfers of path, once that many have ended."""
    wait_until(lambda: len(access_lines(server, path)) >= count, f"{count} access lines of {path}")
    return access_lines(server, path)


def errors_in(server: RunningServer) -> list[str]:
    """Lines that tell of a fault of the server's own."""
    signs = ("Traceback", " ERROR ", " CRITICAL ", "Warning")
    return [line for line in list(server.lines) if any(sign in line for sign in signs)]


def _parsed(line: str) -> AccessLine | None:
    words = line.split(" ")
    if len(words) != _WORDS or words[1] != "INFO" or not words[5].isdigit():
        return None
    _, _, _, method, path, status, range_field, sent, _, end = words
    return AccessLine(
        method, path, int(status), None if range_field == "-" else range_field, int(sent), end
    )
