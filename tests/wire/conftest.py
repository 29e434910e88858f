"""The served folder and the servers that all tests of the wire share: one for each delivery."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.wire.served import FACTS, LARGE, Certificates, Delivery, Served, Servers


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that no test changes; tests add files of their own."""
    folder = tmp_path_factory.mktemp("wire") / "root"
    (folder / "folder").mkdir(parents=True)
    (folder / "facts.bin").write_bytes(FACTS)
    (folder / "empty.bin").write_bytes(b"")
    (folder / "large.bin").write_bytes(LARGE)
    (folder / "folder" / "inside.txt").write_bytes(b"inside\n")
    return folder


@pytest.fixture(scope="session")
def servers(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """All shared servers; whatever the tests did to them, none may have logged an error."""
    # The server takes uvloop where it can be imported, so there it cannot.
    without_uvloop = tmp_path_factory.mktemp("without-uvloop")
    (without_uvloop / "uvloop.py").write_text("raise ImportError\n")
    certificates = Certificates.issue(tmp_path_factory.mktemp("certificates"))
    with ExitStack() as running:
        shared = Servers(root, without_uvloop, certificates, running)
        yield shared
        for served in shared.all_served():
            assert served.error_lines() == [], served.delivery


@pytest.fixture(params=list(Delivery), ids=lambda delivery: delivery.name.lower())
def served(request: pytest.FixtureRequest, servers: Servers) -> Served:
    """The same folder by every delivery: what is true of one is true of all."""
    return servers.by(request.param)


@pytest.fixture(
    params=[Delivery.UVLOOP, Delivery.ASYNCIO, Delivery.CHUNKED],
    ids=lambda delivery: delivery.name.lower(),
)
def served_plainly(request: pytest.FixtureRequest, servers: Servers) -> Served:
    """Every delivery but TLS: for what TLS hides, like half-closing."""
    return servers.by(request.param)


@pytest.fixture
def zero_copy(servers: Servers) -> Served:
    """One delivery, for what is decided before a delivery is chosen."""
    return servers.by(Delivery.UVLOOP)
