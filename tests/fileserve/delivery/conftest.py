"""A folder with small files and a large one, and both event loops, for the ways of a request."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest
import uvloop

from tests.fileserve.delivery.short_way import LARGE_BYTES, Run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "folder").mkdir(parents=True)
    (folder / "facts.bin").write_bytes(bytes(range(200)))
    (folder / "empty.bin").write_bytes(b"")
    (folder / "page.html").write_bytes(b"<p>")
    (folder / "a b.txt").write_bytes(b"text")
    (folder / "large.bin").write_bytes(bytes(range(256)) * (LARGE_BYTES // 256))
    return folder


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def run_to_the_end(test: Coroutine[object, object, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(test)

    return run_to_the_end
