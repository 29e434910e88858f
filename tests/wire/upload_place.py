"""A server of its own with two workers, to which resumable uploads go, and a token for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.known_tokens import token_for
from tests.running_server import RunningServer, running_server

PATIENCE_SECONDS = 30.0
# Half of it is more than is gathered for one write.
LENGTH = 4_000_000
CONTENT = bytes(range(250)) * (LENGTH // 250)


@dataclass(frozen=True)
class UploadPlace:
    """A server that takes uploads, and a token for it."""

    root: Path
    server: RunningServer
    secret: str

    def wait_for_bytes(self, upload: str, count: int) -> None:
        """Until so many bytes are in the staging folder."""
        path = self.root / ".fileserve-uploads" / upload.rpartition("/")[2]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while path.stat().st_size < count:
            assert time.monotonic() < deadline, "the bytes do not arrive"
            time.sleep(0.01)


P = TypeVar("P", bound=UploadPlace)


@contextmanager
def upload_place(kind: type[P], folder: Path) -> Iterator[P]:
    """A server of folder / root; whatever is done to it, it may log no error."""
    root = folder / "root"
    root.mkdir()
    secret = token_for(root)
    with running_server(root, "--writable", "--workers", "2") as server:
        yield kind(root, server, secret)
        assert [line for line in server.lines if " ERROR " in line or "Traceback" in line] == []
