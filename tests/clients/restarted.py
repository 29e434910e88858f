"""A server of a writable folder that can be killed, and started again at the same address."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage.names import STAGING_SEGMENT
from tests.known_tokens import token_for
from tests.running_server import RunningServer, free_port, running_server


@dataclass
class Restarted:
    """kills: how often it was killed, as by a power cut."""

    root: Path
    secret: str
    port: int
    options: tuple[str, ...] = ()
    kills: int = 0
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    server: RunningServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def fields(self) -> dict[str, str]:
        """What a writer sends along."""
        return {"Authorization": f"Bearer {self.secret}"}

    def start(self) -> None:
        options = ("--writable", "--port", str(self.port), *self.options)
        self.server = self._running.enter_context(running_server(self.root, *options))

    def kill(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.kills += 1
        self.close()

    def close(self) -> None:
        self._running.close()

    def visible(self) -> Iterator[Path]:
        """The files in the root that anybody could be served."""
        staging = self.root / STAGING_SEGMENT.decode()
        for path in self.root.rglob("*"):
            if path.is_file() and staging not in path.parents:
                yield path

    def staged_bytes(self) -> list[str]:
        """What in the staging folder holds bytes of files: no notes of uploads that are done.

        An upload whose address was lost with the answer that told it is an empty file.
        """
        staging = self.root / STAGING_SEGMENT.decode()
        files = list(staging.iterdir()) if staging.exists() else []
        return [file.name for file in files if file.suffix != ".json" and _size(file)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # the server has just tidied up
        return 0


@contextlib.contextmanager
def restarted(root: Path, *options: str) -> Iterator[Restarted]:
    """A running server; it is gone at the end."""
    root.mkdir()
    place = Restarted(root, token_for(root), free_port(), options)
    place.start()
    try:
        yield place
    finally:
        place.close()
