"""What holds for all tests of the HTTP side within one process, and what they start with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fileserve.access import deliveries, known_keys
from fileserve.operations import catalog_desk, logs
from fileserve.site import known_sums, readme, service_pages
from storage import catalog_engine

# Longer than a machine stands still, and its disk.
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="session", autouse=True)
def _patient() -> Iterator[None]:
    """What the service does when the machine is slow is tested where it is asked for, alone.

    After its time it serves on without the catalog or keys, counts nothing, shows no README, is
    not ready, and gives up log lines.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "_ASK_SECONDS", PATIENCE_SECONDS)
        patch.setattr(known_keys, "_READ_SECONDS", PATIENCE_SECONDS)
        patch.setattr(known_sums, "_PATIENCE_SECONDS", PATIENCE_SECONDS)
        patch.setattr(readme, "_RENDER_SECONDS", PATIENCE_SECONDS)
        patch.setattr(service_pages, "_READY_SECONDS", PATIENCE_SECONDS)
        patch.setattr(catalog_desk, "_START_SECONDS", PATIENCE_SECONDS)
        patch.setattr(catalog_desk, "_CLOSE_SECONDS", PATIENCE_SECONDS)
        patch.setattr(catalog_engine, "_BUSY_SECONDS", PATIENCE_SECONDS)
        patch.setattr(logs, "_CLOSING_SECONDS", PATIENCE_SECONDS)
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to be served, with nothing in it, where a test does not make one itself."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file that somebody may still write to."""
    path = tmp_path / "build.log"
    path.write_bytes(b"one\ntwo\n")
    return path
