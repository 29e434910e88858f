"""A network mount freezes under eight downloads, and nobody else notices, not even a restart."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.access_log import errors_in
from tests.clients.downloads import Answer, Download, get
from tests.clients.programs import IS_BIG, wait_until
from tests.clients.samples import MIB, write_random, write_sparse
from tests.frozen_mount import FrozenMount, frozen_mount
from tests.running_server import RunningServer, running_server

DOWNLOADS = 8
# More than the socket buffers of both sides hold, so that none is done before the freeze.
FROZEN_BYTES = 48 * MIB
LOCAL_BYTES = (2048 if IS_BIG else 256) * MIB
DEADLINE_SECONDS = 3.0
# What a busy machine may take on top of a deadline.
SLACK_SECONDS = 8.0
# Without a thread of its own for the mount, everything would wait at least DEADLINE_SECONDS.
PROMPT_SECONDS = 1.5
PROBE_PAUSE_SECONDS = 0.02

OPTIONS = ("--mount-deadline-seconds", str(DEADLINE_SECONDS), "--drain-seconds", "2")
WORKERS = [pytest.param("1", id="one-process"), pytest.param("2", id="two-workers")]


@dataclass(frozen=True, slots=True)
class Site:
    """A root with a mount in it, `nas`, and local files beside it."""

    root: Path
    mount: FrozenMount
    sha256: str


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "root"
    root.mkdir()
    (root / "small.txt").write_bytes(b"small")
    write_sparse(root / "large.iso", LOCAL_BYTES)
    with frozen_mount(root / "nas") as mount:
        yield Site(root, mount, write_random(mount.source / "film.iso", FROZEN_BYTES))


@pytest.mark.parametrize("workers", WORKERS)
def test_a_mount_that_freezes_under_eight_downloads_holds_up_only_them(
    workers: str, site: Site
) -> None:
    with running_server(site.root, "--workers", workers, *OPTIONS) as server, _thawed(site.mount):
        _bulk_download(server)  # brings the file into the page cache
        bulk_before = _bulk_download(server)
        downloads = _freeze_under_downloads(server, site.mount)
        with _probing(server) as slowest:
            bulk = _bulk_download(server)
            _expect_a_listing(server)
            for download in downloads:
                _expect_a_cut(download)
        print(
            f"local {LOCAL_BYTES} bytes: {bulk_before:.2f} s before, {bulk:.2f} s frozen; slowest "
            f"of {slowest.probes} small requests: {slowest.seconds * 1000:.0f} ms; "
            f"cuts after {sorted(round(d.seconds, 2) for d in downloads)} s"
        )
        assert slowest.seconds < PROMPT_SECONDS
        _expect_unavailable(get(server, "/nas/film.iso"))
        _expect_unavailable(get(server, "/nas/"))
        site.mount.thaw()
        _expect_recovery(server, site)
        assert errors_in(server) == []


@pytest.mark.parametrize("workers", WORKERS)
def test_a_restart_needs_no_answer_of_a_frozen_mount(workers: str, site: Site) -> None:
    options = ("--workers", workers, *OPTIONS)
    with running_server(site.root, *options) as server, _thawed(site.mount):
        _freeze_under_downloads(server, site.mount)
        told = time.monotonic()
        server.process.terminate()
        with (
            _started_as_soon_as_the_port_is_free(server, site.root, *options) as successor,
            _thawed(site.mount),
        ):
            print(f"successor ready {time.monotonic() - told:.2f} s after SIGTERM")
            assert get(successor, "/small.txt").content == b"small"
            _expect_a_listing(successor)
            _expect_unavailable(get(successor, "/nas/film.iso"))
            site.mount.thaw()
            _expect_recovery(successor, site)
            assert errors_in(successor) == []
        assert server.wait() == 0


def _freeze_under_downloads(server: RunningServer, mount: FrozenMount) -> list[Download]:
    """Downloads in mid-way on a mount that answers no more; they may read on from now on."""
    frozen = threading.Event()
    downloads = [Download(server, "/nas/film.iso", frozen).start() for _ in range(DOWNLOADS)]
    for download in downloads:
        wait_until(download.has_begun.is_set, "a download's first MiB")
    assert {download.status for download in downloads} == {200}
    mount.freeze()
    frozen.set()
    return downloads


@contextlib.contextmanager
def _thawed(mount: FrozenMount) -> Iterator[None]:
    """Thaws at the end, because a process with a call on a frozen mount does not die."""
    try:
        yield
    finally:
        mount.thaw()


@dataclass
class Slowest:
    """The longest that a small local request took, of so many."""

    seconds: float = 0.0
    probes: int = 0


@contextlib.contextmanager
def _probing(server: RunningServer) -> Iterator[Slowest]:
    """Asks for a small local file again and again while the block runs."""
    slowest, is_over = Slowest(), threading.Event()

    def probe() -> None:
        while not is_over.wait(PROBE_PAUSE_SECONDS):
            answer = get(server, "/small.txt")
            # A wrong answer is worse than any slow one.
            seconds = answer.seconds if answer.content == b"small" else float("inf")
            slowest.seconds = max(slowest.seconds, seconds)
            slowest.probes += 1

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    try:
        yield slowest
    finally:
        is_over.set()
        thread.join()
    assert slowest.probes > 0


@contextlib.contextmanager
def _started_as_soon_as_the_port_is_free(
    server: RunningServer, root: Path, *options: str
) -> Iterator[RunningServer]:
    """A second server on the first one's port; the first may still be there, hanging."""
    wait_until(lambda: _is_refused(server), "the port to be free", PROMPT_SECONDS)
    assert server.process.poll() is None, "the first server was gone: this showed nothing"
    with running_server(root, "--port", str(server.port), *options) as successor:
        assert successor.port == server.port
        yield successor


def _is_refused(server: RunningServer) -> bool:
    try:
        socket.create_connection((server.host, server.port), PROMPT_SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


def _bulk_download(server: RunningServer) -> float:
    """How many seconds a large local file took, whole."""
    at_once = threading.Event()
    at_once.set()
    download = Download(server, "/large.iso", at_once).start()
    wait_until(download.has_ended.is_set, "a large local file")
    assert (download.status, download.received, download.was_cut) == (200, LOCAL_BYTES, False)
    return download.seconds


def _expect_a_listing(server: RunningServer) -> None:
    listing = get(server, "/?format=json")
    assert listing.status == 200
    assert b"small.txt" in listing.content
    assert b"nas" in listing.content
    assert listing.seconds < PROMPT_SECONDS


def _expect_a_cut(download: Download) -> None:
    assert download.has_ended.wait(DEADLINE_SECONDS + SLACK_SECONDS), "neither bytes nor a cut"
    assert download.was_cut
    assert download.received < FROZEN_BYTES


def _expect_unavailable(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.fields["Retry-After"]) > 0
    assert answer.seconds < DEADLINE_SECONDS + SLACK_SECONDS


def _expect_recovery(server: RunningServer, site: Site) -> None:
    wait_until(lambda: get(server, "/nas/film.iso").status == 200, "the thawed mount", 30.0)
    at_once = threading.Event()
    at_once.set()
    again = Download(server, "/nas/film.iso", at_once).start()
    wait_until(again.has_ended.is_set, "the download after the thaw")
    assert again.sha256 == site.sha256
