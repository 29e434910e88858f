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
from tests.clients.programs import IS_BIG, PATIENCE_SECONDS, wait_until
from tests.clients.samples import MIB, write_random, write_sparse
from tests.frozen_mount import FrozenMount, frozen_mount
from tests.running_server import RunningServer, free_port, running_server

DOWNLOADS = 8
# More than the socket buffers of both sides hold, so that none is done before the freeze.
FROZEN_BYTES = 48 * MIB
LOCAL_BYTES = (2048 if IS_BIG else 256) * MIB
PROBES = 50

# Whoever waited for the mount would wait for longer than any test does.
NEVER = ("--mount-deadline-seconds", "3600", "--drain-seconds", "2")
SOON = ("--mount-deadline-seconds", "3", "--drain-seconds", "2")
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
    with running_server(site.root, "--workers", workers, *NEVER) as server, _thawed(site.mount):
        _bulk_download(server)  # brings the file into the page cache
        bulk_before = _bulk_download(server)
        downloads = _freeze_under_downloads(server, site.mount)
        bulk = _bulk_download(server)
        probes = [get(server, "/small.txt") for _ in range(PROBES)]
        assert {probe.content for probe in probes} == {b"small"}
        _expect_a_listing(server)
        slowest = max(probe.seconds for probe in probes)
        print(
            f"local {LOCAL_BYTES} bytes: {bulk_before:.2f} s before, {bulk:.2f} s frozen; "
            f"slowest of {PROBES} small requests: {slowest * 1000:.0f} ms"
        )
        # All that was answered was so beside downloads that still wait.
        assert not any(download.has_ended.is_set() for download in downloads)
        site.mount.thaw()
        for download in downloads:
            wait_until(download.has_ended.is_set, "the end of a download")
        assert {download.sha256 for download in downloads} == {site.sha256}
        assert errors_in(server) == []


@pytest.mark.parametrize("workers", WORKERS)
def test_what_waits_for_a_frozen_mount_is_told_so_after_the_deadline(
    workers: str, site: Site
) -> None:
    with running_server(site.root, "--workers", workers, *SOON) as server, _thawed(site.mount):
        downloads = _freeze_under_downloads(server, site.mount)
        for download in downloads:
            _expect_a_cut(download)
        print(f"cuts after {sorted(round(download.seconds, 2) for download in downloads)} s")
        _expect_unavailable(get(server, "/nas/film.iso"))
        _expect_unavailable(get(server, "/nas/"))
        site.mount.thaw()
        _expect_recovery(server, site)
        assert errors_in(server) == []


@pytest.mark.parametrize("workers", WORKERS)
def test_a_restart_needs_no_answer_of_a_frozen_mount(workers: str, site: Site) -> None:
    options = ("--workers", workers, "--port", str(free_port()), *SOON)
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
    downloads: list[Download] = []
    while len(downloads) < DOWNLOADS:
        download = Download(server, "/nas/film.iso", frozen).start()
        wait_until(download.has_begun.is_set, "a download's first MiB")
        # 503: the machine stood still for longer than the deadline.
        assert download.status in (200, 503)
        downloads += [download] if download.status == 200 else []
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


@contextlib.contextmanager
def _started_as_soon_as_the_port_is_free(
    server: RunningServer, root: Path, *options: str
) -> Iterator[RunningServer]:
    """A second server on the first one's port; the first may still be there, hanging."""
    wait_until(lambda: _is_refused(server), "the port to be free")
    assert server.process.poll() is None, "the first server was gone: this showed nothing"
    with running_server(root, *options) as successor:
        assert successor.port == server.port
        yield successor


def _is_refused(server: RunningServer) -> bool:
    try:
        socket.create_connection((server.host, server.port), PATIENCE_SECONDS).close()
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


def _expect_a_cut(download: Download) -> None:
    wait_until(download.has_ended.is_set, "a cut")
    assert download.was_cut
    assert download.received < FROZEN_BYTES


def _expect_unavailable(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.fields["Retry-After"]) > 0


def _expect_recovery(server: RunningServer, site: Site) -> None:
    at_once = threading.Event()
    at_once.set()

    def has_arrived() -> bool:
        again = Download(server, "/nas/film.iso", at_once).start()
        wait_until(again.has_ended.is_set, "the end of a download after the thaw")
        return again.status == 200 and not again.was_cut and again.sha256 == site.sha256

    wait_until(has_arrived, "the thawed mount")
