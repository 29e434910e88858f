"""The invariants of the design that are about the bytes of a response: I1, I2 and I8."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.wire.answers import Head
from tests.wire.raw_http import ConnectionEnded, End, RawClient, request
from tests.wire.served import FACTS, LARGE, SLOW_READER_BUFFER_BYTES, Served, tick

BEGINNING_BYTES = 100_000


@pytest.fixture
def changing(served: Served) -> Iterator[Path]:
    """A large file of this test's own."""
    path = served.new_file(LARGE)
    yield path
    path.unlink(missing_ok=True)


@contextmanager
def begun(served: Served, path: Path) -> Iterator[tuple[RawClient, Head, bytes]]:
    """A download of path in its midst: the client, the head, and what it has read until now."""
    with served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(f"/{path.name}"))
        head = client.read_head()
        yield client, head, client.read_exactly(BEGINNING_BYTES)


# I1 headers and bytes of one response come from one open descriptor


def test_i1_one_response_is_one_version_while_files_are_replaced(served: Served) -> None:
    path = served.new_file(b"a")
    is_over = threading.Event()

    def replace_without_end() -> None:
        spare = path.with_suffix(".new")
        number = 0
        while not is_over.is_set():
            number += 1
            # The length tells which letter the content must consist of.
            spare.write_bytes(bytes([97 + number % 26]) * (1 + number % 26))
            spare.replace(path)

    replacing = threading.Thread(target=replace_without_end)
    replacing.start()
    try:
        with served.connect() as client:
            for _ in range(200):
                answer = client.ask(request(f"/{path.name}"))
                assert answer.status == 200
                assert answer.content == bytes([96 + len(answer.content)]) * len(answer.content)
                size = answer.field("etag").strip('"').split("-")[0]
                assert int(size, 16) == len(answer.content)
    finally:
        is_over.set()
        replacing.join()


def test_i1_a_replaced_file_is_still_sent_to_its_end(served: Served, changing: Path) -> None:
    with begun(served, changing) as (client, head, beginning):
        spare = served.new_file(b"something else")
        spare.replace(changing)
        rest = client.read_exactly(int(head.field("content-length")) - len(beginning))
        assert beginning + rest == LARGE
        assert client.ask(request(f"/{changing.name}")).content == b"something else"


def test_i1_a_deleted_file_is_still_sent_to_its_end(served: Served, changing: Path) -> None:
    with begun(served, changing) as (client, _, beginning):
        changing.unlink()
        assert beginning + client.read_exactly(len(LARGE) - len(beginning)) == LARGE
        assert client.ask(request(f"/{changing.name}")).status == 404


def test_i1_head_and_get_have_the_same_fields(served: Served) -> None:
    for target in ("/facts.bin", "/empty.bin", "/large.bin?download", "/folder", "/missing"):
        with_content, without = served.get(target).head, served.head(target).head
        assert fields_but_date(without) == fields_but_date(with_content)  # 9110, 9.3.2


def fields_but_date(head: Head) -> list[tuple[str, str]]:
    return sorted(field for field in head.fields if field[0] != "date")


# I2 bytes sent = Content-Length, or the connection is cut


def test_i2_a_file_that_grows_is_sent_as_long_as_it_was(served: Served, changing: Path) -> None:
    with begun(served, changing) as (client, head, beginning):
        with changing.open("ab") as file:
            file.write(b"more" * 10_000)
        assert head.field("content-length") == str(len(LARGE))
        assert beginning + client.read_exactly(len(LARGE) - len(beginning)) == LARGE
        # Behind the old length comes the next response, not the new bytes.
        assert client.ask(request("/facts.bin")).content == FACTS


@pytest.mark.parametrize("kept_bytes", [0, 1 << 20])
def test_i2_a_file_that_shrinks_is_cut(served: Served, changing: Path, kept_bytes: int) -> None:
    with begun(served, changing) as (client, _, beginning):
        os.truncate(changing, kept_bytes)
        # The server meets the end as soon as the client makes room, and no earlier.
        rest, _ = client.read_to_the_end()
        content = beginning + rest
        assert len(content) < len(LARGE)
        # The kernel may fill the page that the new end lies in with zeros, also on its way.
        intact = min(max(kept_bytes, BEGINNING_BYTES), len(content))
        assert content[:intact] == LARGE[:intact]
    line = served.access_line(changing)
    assert (line.status, line.end_cause) == ("200", "shrank")
    assert line.bytes_sent < len(LARGE)


def test_i2_a_short_body_never_ends_cleanly(served: Served, changing: Path) -> None:
    with begun(served, changing) as (client, _, _):
        os.truncate(changing, 0)
        _, end = client.read_to_the_end()
        assert end is End.CUT


def test_i2_a_part_that_vanishes_is_cut(served: Served, changing: Path) -> None:
    wanted = "Range: bytes=0-99999,8000000-8000009,16000000-16000009"
    with served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        # The part in the middle is there and the last one is not: no length fits any more.
        client.send(request(f"/{changing.name}", [wanted.replace("8000009", "15000000")]))
        head = client.read_head()
        client.read_exactly(BEGINNING_BYTES)
        os.truncate(changing, 15_500_000)
        with pytest.raises(ConnectionEnded):
            client.read_exactly(int(head.field("content-length")) - BEGINNING_BYTES)
    assert served.access_line(changing).end_cause == "shrank"


def test_i2_what_the_log_counts_is_what_the_client_got(served: Served) -> None:
    path = served.new_name_of_large()
    assert served.get(f"/{path.name}", "Range: bytes=5-1000004").status == 206
    assert served.access_line(path).bytes_sent == 1_000_000


# I8 a strong validator changes whenever the bytes do


def test_i8_the_tag_changes_with_bytes_of_the_same_size_in_the_same_second(
    served: Served,
) -> None:
    path = served.new_file(FACTS)
    tags = set()
    for number in range(20):
        tick()
        path.write_bytes(bytes([number]) * 200)
        tags.add(served.head(f"/{path.name}").field("etag"))
    assert len(tags) == 20


def test_i8_the_tag_changes_also_when_the_modification_time_is_set_back(served: Served) -> None:
    path = served.new_file(FACTS)
    os.utime(path, (784_111_777, 784_111_777))
    before = served.head(f"/{path.name}")
    tick()
    path.write_bytes(FACTS[::-1])
    os.utime(path, (784_111_777, 784_111_777))
    after = served.head(f"/{path.name}")
    assert after.field("last-modified") == before.field("last-modified")
    assert after.field("etag") != before.field("etag")


def test_i8_a_resumed_download_never_joins_two_versions(served: Served, changing: Path) -> None:
    first = served.get(f"/{changing.name}", "Range: bytes=0-999")
    tick()
    changing.write_bytes(LARGE[::-1])
    wanted = ["Range: bytes=1000-1999", f"If-Range: {first.field('etag')}"]
    second = served.get(f"/{changing.name}", *wanted)
    assert (second.status, second.content) == (200, LARGE[::-1])


def test_i8_the_tag_is_the_same_in_every_answer(served: Served) -> None:
    tag = served.head("/facts.bin").field("etag")
    assert re.fullmatch(r'"[\x21\x23-\x7e]+"', tag)  # strong: without W/ (9110, 8.8.3)
    for fields in ([], ["Range: bytes=1-2"], ["Range: bytes=1-2,5-6"], [f"If-None-Match: {tag}"]):
        assert served.get("/facts.bin", *fields).field("etag") == tag
