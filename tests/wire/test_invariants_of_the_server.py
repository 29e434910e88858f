"""The invariants of the design that are about the server and its folder: I3, I4, I6, I9 and I10.

I5 (pure files read no clock) and I7 (files appear whole) are seen from inside only: in the tests
of fileserve/http and of storage/atomic.py.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wire.raw_http import PATIENCE_SECONDS, RawClient, request
from tests.wire.served import FACTS, LARGE, SLOW_READER_BUFFER_BYTES, Delivery, Served, Servers


def await_true(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# I3 nothing outside the root is ever read


def test_i3_a_swap_with_a_link_to_a_secret_never_shows_it(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("swapped")
    (folder / "root").mkdir()
    (folder / "secret").mkdir()
    (folder / "secret" / "a.txt").write_bytes(b"secret")
    harmless, link = folder / "root" / "harmless", folder / "root" / "link"
    harmless.mkdir()
    (harmless / "a.txt").write_bytes(b"public")
    link.symlink_to("../secret")
    place = folder / "root" / "place"
    is_over = threading.Event()

    def swap_without_end() -> None:
        while not is_over.is_set():
            for current in (harmless, link):
                current.rename(place)
                place.rename(current)

    with servers.started(Delivery.UVLOOP, folder / "root") as served:
        swapping = threading.Thread(target=swap_without_end)
        swapping.start()
        try:
            with served.connect() as client:
                seen = {client.ask(request("/place/a.txt")).content[:6] for _ in range(500)}
        finally:
            is_over.set()
            swapping.join()
        assert b"public" in seen
        assert b"secret" not in seen
        assert served.error_lines() == []


# I4 who opens closes, once


def test_i4_no_descriptor_is_left_open(served: Served) -> None:
    path = served.new_name_of_large()
    mixed_requests(served, path, 20)  # opens what is opened once
    before = descriptor_count(served)
    # The two ways that files take; the other deliveries differ in the loop and the encryption.
    is_thorough = served.delivery in (Delivery.UVLOOP, Delivery.CHUNKED)
    mixed_requests(served, path, 500 if is_thorough else 100)
    await_true(lambda: descriptor_count(served) <= before, "descriptors are left open")
    assert served.error_lines() == []


def mixed_requests(served: Served, path: Path, number: int) -> None:
    """Complete, refused, broken off in every stage: each on a connection of its own."""
    whole = request(f"/{path.name}")

    def vanish_in_the_midst(client: RawClient) -> None:
        client.send(whole)
        client.read_head()
        client.vanish()

    kinds: list[Callable[[RawClient], object]] = [
        lambda client: client.ask(request("/facts.bin")),
        lambda client: client.ask(request("/facts.bin", ["Range: bytes=0-0,5-9"])),
        lambda client: client.ask(request("/facts.bin", ["If-None-Match: *"])),
        lambda client: client.ask(request("/missing")),
        lambda client: client.ask(request("/folder/")),
        lambda client: client.ask(request("/folder")),
        lambda client: client.ask(b"garbage\r\n\r\n"),
        lambda client: client.send(whole),
        lambda client: client.send(whole * 3),
        vanish_in_the_midst,
        lambda client: client.send(whole[:20]),
        lambda client: None,
    ]
    for index in range(number):
        with served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
            kinds[index % len(kinds)](client)


def descriptor_count(served: Served) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in served.server.worker_pids())


# I6 nothing blocks the event loop, I9 one client's behaviour costs the others nothing


def test_i6_and_i9_hostile_clients_stop_nobody(served: Served) -> None:
    """Not how fast: whether at all.  A server that waits for one of these answers nobody."""
    fifo = served.root / f"hostile-{served.delivery.name}"
    os.mkfifo(fifo)
    clients = [served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) for _ in range(40)]
    try:
        for index, client in enumerate(clients):
            client.send(HOSTILE[index % len(HOSTILE)].replace(b"FIFO", fifo.name.encode()))
        with served.connect() as polite:
            for _ in range(100):
                assert polite.ask(request("/facts.bin")).content == FACTS
        assert served.get("/large.bin").content == LARGE
    finally:
        for client in clients:
            client.__exit__()
        fifo.unlink()


HOSTILE = [
    request("/large.bin") * 10,  # and never reads
    request("/large.bin", ["Range: bytes=" + "0-0," * 900 + "5-"]),
    b"GET /facts.bin HTTP/1.1\r\nHost: a\r\nX: ",
    request("/FIFO"),
    request("/facts.bin", ["Content-Length: 1000000000"]) + b"z" * 100_000,
]


# I10 read-only serving writes nothing into the served folder


def test_i10_nothing_is_written(servers: Servers, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    for name in ("facts.bin", "folder/inside.txt", "empty.bin", "large.bin"):
        (root / name).write_bytes(LARGE if name == "large.bin" else FACTS)
    before = snapshot(root)
    with servers.started(Delivery.UVLOOP, root) as served:
        mixed_requests(served, root / "large.bin", 36)
        for method in ("PUT", "POST", "DELETE", "PATCH", "MKCOL", "MOVE", "COPY", "PROPPATCH"):
            lines = ["Content-Length: 3", "Destination: /new.bin", "Overwrite: T"]
            for target in ("/facts.bin", "/new.bin", "/folder/", "/folder"):
                assert served.ask(request(target, lines, method=method) + b"abc").status == 405
        assert served.server.stop() == 0
    assert snapshot(root) == before


def snapshot(root: Path) -> dict[str, tuple[int, ...]]:
    """Everything of all files but the time of the last reading."""
    statuses = {str(path): path.lstat() for path in [root, *root.rglob("*")]}
    return {
        path: (it.st_mode, it.st_size, it.st_mtime_ns, it.st_ctime_ns, it.st_nlink, it.st_uid)
        for path, it in statuses.items()
    }
