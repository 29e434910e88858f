"""Checksums that are computed while the server serves."""

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fileserve.operations.background_sums import BackgroundSums, Job
from storage.beneath import Symlinks
from storage.catalog import Catalog
from storage.catalog_records import FileDigest
from storage.file_sums import MIN_PIECE_BYTES
from tests.running_server import running_server

PATIENCE_SECONDS = 60.0
LONG_AGO = (1_000_000_000, 1_000_000_000)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Of a root with an old file."""
    root = tmp_path / "root"
    root.mkdir()
    url = f"sqlite:///{tmp_path}/catalog.sqlite"
    old_file(root / "old", b"0123456789")
    return Job(
        root, Symlinks.FOLLOW_BENEATH, False, 1 << 30, lambda: Catalog.open(url), pause_seconds=0.05
    )


def old_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, LONG_AGO)


def known(job: Job) -> dict[bytes, FileDigest]:
    with job.open_catalog() as catalog:
        return {record.path: record for record in catalog.digests_below(b"")}


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run_until(job: Job, is_true: Callable[[], bool]) -> None:
    running = BackgroundSums(job)
    running.start()
    try:
        wait_until(is_true)
    finally:
        running.stop()


def test_missing_checksums_are_computed(job: Job) -> None:
    root = Path(job.root)
    (root / "folder").mkdir()
    old_file(root / "folder" / "pieces", bytes(MIN_PIECE_BYTES + 1))
    run_until(job, lambda: len(known(job)) == 2)
    found = known(job)
    assert found[b"old"].sha256.hex().startswith("84d89877f0d4041e")  # sha256sum
    assert found[b"old"].crc32 == 0xA684C7C6  # cksum of zip, 7z: CRC-32 of "0123456789"
    assert found[b"folder/pieces"].piece_length == MIN_PIECE_BYTES


def test_a_file_that_is_new_waits(job: Job) -> None:
    root = Path(job.root)
    (root / "new").write_bytes(b"x")
    old_file(root / "zz", b"x")
    run_until(job, lambda: b"zz" in known(job))
    assert set(known(job)) == {b"old", b"zz"}
    run_until(replace(job, settled_seconds=0.0), lambda: b"new" in known(job))


def test_hidden_files_and_known_ones_are_not_read(job: Job) -> None:
    root = Path(job.root)
    run_until(job, lambda: b"old" in known(job))
    before = known(job)[b"old"]
    old_file(root / ".hidden", b"x")
    old_file(root / "zz", b"x")
    run_until(job, lambda: b"zz" in known(job))
    assert set(known(job)) == {b"old", b"zz"}
    assert known(job)[b"old"] == before


def test_damage_does_not_become_the_truth(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    path = Path(job.root) / "old"
    run_until(job, lambda: b"old" in known(job))
    before = known(job)[b"old"]
    old_file(path, b"0123456788")
    run_until(job, lambda: "is damaged" in caplog.text)
    assert known(job)[b"old"] == before
    passes = "\n".join(record.getMessage() for record in caplog.records)
    assert passes.count("is damaged") == 1


def test_a_changed_file_is_computed_anew(job: Job) -> None:
    run_until(job, lambda: b"old" in known(job))
    path = Path(job.root) / "old"
    path.write_bytes(b"other")
    os.utime(path, (1_100_000_000, 1_100_000_000))
    run_until(job, lambda: known(job)[b"old"].size == 5)


def test_one_process_at_a_time(job: Job) -> None:
    other = os.open(job.root, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(other, fcntl.LOCK_EX)
    running = BackgroundSums(job)
    running.start()
    try:
        time.sleep(0.3)
        assert known(job) == {}
        os.close(other)
        wait_until(lambda: b"old" in known(job))
    finally:
        running.stop()


def test_it_stops_in_the_middle_of_a_slow_file_and_keeps_what_it_has(job: Job) -> None:
    old_file(Path(job.root) / "zz", bytes(4 << 20))
    slow = replace(job, bytes_per_second=1 << 16)
    running = BackgroundSums(slow)
    running.start()
    wait_until(lambda: b"old" in known(job))
    running.stop()
    assert not running._thread.is_alive()
    assert set(known(job)) == {b"old"}


def test_the_server_computes_when_told_to(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    old_file(root / "old", b"0123456789")
    url = f"sqlite:///{tmp_path}/catalog.sqlite"
    options = ["--background-checksums", "--workers", "2", "--catalog", url]
    with running_server(root, *options) as server, Catalog.open(url) as catalog:
        wait_until(lambda: catalog.digest_of(b"old") is not None)
        assert server.stop() == 0
        server.output.wait_for("computed checksums of 1 files")
        assert not [line for line in server.lines if " ERROR " in line or "Traceback" in line]
