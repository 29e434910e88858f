"""Links over real sockets: each way of sending, one connection after the other, and the log."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from fileserve.access.keys import Purpose, signing_key
from fileserve.access.links import Link, signed_path
from tests.wire.raw_http import request
from tests.wire.served import LARGE, Delivery, Servers

LINK = Link("wirelink", (b"large.bin",), is_folder=False)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def path_of(state: Path, link: Link) -> str:
    key = signing_key(state, Purpose.LINK)
    return signed_path(link, key.key_id, key.secret)


@pytest.mark.parametrize("delivery", list(Delivery), ids=lambda delivery: delivery.name.lower())
def test_a_link_sends_the_same_bytes_whichever_way(
    servers: Servers, state: Path, delivery: Delivery
) -> None:
    path = path_of(state, replace(LINK, downloads=1))
    with servers.started(delivery, servers.root, state_dir=str(state)) as served:
        assert served.get(path).content == LARGE
        part = served.get(path, "Range: bytes=1000-1999")
        assert (part.status, part.content) == (206, LARGE[1000:2000])
        assert served.get(path, "User-Agent: another").status == 410


@pytest.mark.parametrize("delivery", list(Delivery), ids=lambda delivery: delivery.name.lower())
def test_a_rate_holds_whichever_way(servers: Servers, state: Path, delivery: Delivery) -> None:
    path = path_of(state, replace(LINK, rate=1_000_000))
    with servers.started(delivery, servers.root, state_dir=str(state)) as served:
        began = time.monotonic()
        part = served.get(path, "Range: bytes=0-999999")
        seconds = time.monotonic() - began
        assert part.content == LARGE[:1_000_000]
    # A tenth of a second is given in advance.
    assert seconds > 0.85


def test_ranges_one_after_the_other_are_no_way_round_the_rate(
    servers: Servers, state: Path
) -> None:
    path = path_of(state, replace(LINK, rate=1_000_000))
    with servers.started(Delivery.UVLOOP, servers.root, state_dir=str(state)) as served:
        began = time.monotonic()
        with served.connect() as client:
            for start in range(0, 1_000_000, 50_000):
                field = f"Range: bytes={start}-{start + 49_999}"
                assert client.ask(request(path, (field,))).status == 206
        assert time.monotonic() - began > 0.85


def test_a_connection_goes_on_after_a_link_without_its_terms(servers: Servers, state: Path) -> None:
    paced = path_of(state, replace(LINK, rate=50_000))
    spent = path_of(state, replace(LINK, link_id="gone", expires_at=1))
    with servers.started(Delivery.UVLOOP, servers.root, state_dir=str(state)) as served:
        with served.connect() as client:
            first = client.ask(request(paced, ("Range: bytes=0-9",)))
            assert first.content == LARGE[:10]
            assert client.ask(request(spent)).status == 410
            began = time.monotonic()
            plain = client.ask(request("/large.bin"))
            assert plain.content == LARGE
            # 16 MiB would take 335 seconds at the link's rate.
            assert time.monotonic() - began < 100
        assert first.field("cache-control") == "private, no-cache"
        assert not plain.head.has("referrer-policy")
        assert served.error_lines() == []


def test_no_log_has_the_token(servers: Servers, state: Path) -> None:
    path = path_of(state, LINK)
    token = path.split("/")[3]
    signature = token.rpartition(".")[2]
    asked = [
        path,
        path + "?view",
        path + "x",
        path.replace("large", "huge"),
        "/-/s/" + token,
        "/x/" + token + "/large.bin",
        "//-/s/" + token + "/large.bin",
        "/%2d/s/" + token + "/large.bin",
        path.removesuffix("/large.bin") + "/..%2f",
    ]
    for log_format in ("text", "json"):
        settings = {"state_dir": str(state), "log_format": log_format}
        with servers.started(Delivery.UVLOOP, servers.root, **settings) as served:
            for target in asked:
                served.get(target)
            served.ask(request(path, (), method="DELETE"), "DELETE")
            served.server.stop()
            text = served.server.output.text()
        assert "/-/s/wirelink/large.bin" in text
        assert signature not in text
        assert signature[:20] not in text


def test_a_reader_of_a_paced_link_that_stops_is_cut_and_its_file_is_let_go(
    servers: Servers, state: Path
) -> None:
    path = path_of(state, replace(LINK, rate=100_000_000))
    settings = {"state_dir": str(state), "idle_timeout_seconds": "1"}
    with servers.started(Delivery.UVLOOP, servers.root, **settings) as served:
        with served.connect(receive_buffer_bytes=4096) as client:
            client.send(request(path))
            served.server.output.wait_for(" stalled")
        assert served.error_lines() == []


def test_clients_of_a_slow_link_that_leave_let_their_files_go(
    servers: Servers, state: Path
) -> None:
    path = path_of(state, replace(LINK, rate=1))
    with servers.started(Delivery.UVLOOP, servers.root, state_dir=str(state)) as served:
        for _ in range(20):
            with served.connect() as client:
                client.send(request(path))
        deadline = time.monotonic() + 60
        # The first one's turn ends after an hour.
        while served.server.output.text().count("client-gone") < 20:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert served.error_lines() == []


def test_the_token_is_judged_before_the_disk_is_touched(servers: Servers, state: Path) -> None:
    tampered = path_of(state, LINK).replace("wirelink", "wirelinx")
    with servers.started(Delivery.UVLOOP, servers.root, state_dir=str(state)) as served:
        there = served.get(tampered)
        missing = served.get(tampered.replace("large.bin", "missing.bin"))
    assert (there.status, missing.status) == (403, 403)
    assert there.content == missing.content
