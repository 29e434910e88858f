"""What holds for all tests."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgresql import PostgreSQL, running_postgresql

# What tests start keeps nothing in the user's own state folder, and finds nothing there.
_state_home = tempfile.mkdtemp(prefix="fileserve-state-")
atexit.register(shutil.rmtree, _state_home)
os.environ["XDG_STATE_HOME"] = _state_home

# A machine that is busy is no fault of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# A shell lets its background jobs ignore Ctrl-C, and what they start inherits it: here Ctrl-C is
# tested, wherever the tests themselves run.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _strict_here_alone() -> None:
    """`make test` tells the processes of pytest-xdist so; what tests start is told by them."""
    os.environ.pop("PYTHONDEVMODE", None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL of the tests' own; loudly skipped where it is not installed."""
    with running_postgresql() as server:
        yield server
