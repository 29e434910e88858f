"""Listings as clients get them: every form by every delivery, and clients that come back or go."""

import json
import os
from itertools import count
from pathlib import Path

import pytest

from tests.wire.raw_http import request
from tests.wire.served import SLOW_READER_BUFFER_BYTES, Served

FORMS = ["html", "json", "ndjson", "csv", "text"]
# Rows of 2 KB: so many are more than the sockets of both sides hold.
LONG_NAME = "\u00e9" * 120
MANY = 2_000
_numbers = count(1)

NAMES = [
    b"plain.txt",
    b"a b%20#?&.txt",
    b'<"quotes">\'',
    b"line\r\nbreak",
    b"\xe2\x80\xaegpj.exe",
    b"\xff latin \xe9",
    "\u05d0 \U0001f600".encode(),
    b"-",
]


def new_folder(served: Served) -> Path:
    folder = served.root / f"listing-{next(_numbers)}"
    folder.mkdir()
    return folder


@pytest.fixture
def strange(served: Served) -> Path:
    folder = new_folder(served)
    for name in NAMES:
        (folder / os.fsdecode(name)).write_bytes(name)
    (folder / "below").mkdir()
    (folder / "below" / "deep file").write_bytes(b"deep file")
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_a_listing_is_the_same_by_every_delivery(served: Served, strange: Path, form: str) -> None:
    target = f"/{strange.name}/?format={form}"
    whole, head = served.get(target), served.head(target)
    assert whole.status == 200
    assert whole.field("content-length") == str(len(whole.content))
    assert [pair for pair in head.head.fields if pair[0] != "date"] == [
        pair for pair in whole.head.fields if pair[0] != "date"
    ]
    again = served.get(target, f"If-None-Match: {whole.field('etag')}")
    assert (again.status, again.content) == (304, b"")
    assert again.field("etag") == whole.field("etag")


def test_each_url_of_a_tree_gives_that_file(served: Served, strange: Path) -> None:
    tree = served.get(f"/{strange.name}/?recursive", "Accept: application/x-ndjson")
    records = [json.loads(line) for line in tree.content.splitlines()]
    files = [record for record in records if record["type"] == "file"]
    contents = [served.get(record["url"]).content for record in files]
    assert sorted(contents) == sorted([*NAMES, b"deep file"])
    assert [record["url"] for record in records if record["type"] == "folder"] == [
        f"/{strange.name}/below/"
    ]
    paths = served.get(f"/{strange.name}/?recursive&format=text").content.decode().splitlines()
    assert [f"/{strange.name}/{path}" for path in paths] == [record["url"] for record in records]


def test_a_search_is_streamed_and_finds_what_is_below(served: Served, strange: Path) -> None:
    answer = served.get(f"/{strange.name}/?q=DEEP&format=json")
    assert not answer.head.has("etag")
    listing = json.loads(answer.content)
    assert [record["path"] for record in listing["entries"]] == ["below/deep file"]
    assert listing["complete"] is True


REFUSED = ["format=xml", "sort=date", "order=up", "recursive=maybe&format=json"]


@pytest.mark.parametrize("query", REFUSED)
def test_a_value_that_means_nothing_is_a_400(zero_copy: Served, query: str) -> None:
    answer = zero_copy.get(f"/folder/?{query}")
    assert answer.status == 400
    assert answer.field("content-type") == "application/problem+json"
    assert " can be " in json.loads(answer.content)["detail"]


def test_a_query_of_16_kilobytes_is_a_search_by_its_first_hundred_parameters(
    zero_copy: Served,
) -> None:
    many = "&".join(["a"] * 7_000)
    answer = zero_copy.get(f"/folder/?q=inside&format=text&{many}&q=nothing")
    assert (answer.status, answer.content) == (200, b"inside.txt\n")


@pytest.mark.parametrize("query", ["format=json", "format=html", "format=csv&recursive"])
def test_a_client_that_reads_slowly_gets_the_whole_listing_and_one_that_leaves_is_let_go(
    served: Served, query: str
) -> None:
    folder = new_folder(served)
    for number in range(MANY):
        (folder / f"{number:04}{LONG_NAME}").touch()
    target = f"/{folder.name}/?{query}"
    whole = served.get(target).content
    with served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(target))
        assert client.answer().content == whole
    with served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(target))
        client.read_head()
    # Others are served, and no error was logged (conftest.py).
    assert served.get("/folder/").status == 200
