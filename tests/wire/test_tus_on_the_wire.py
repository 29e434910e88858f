"""Resumable uploads whose clients vanish, stall, meddle and send too much, with two workers."""

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.fileserve.tus_client import metadata_of
from tests.wire.raw_http import RawClient, connect, request
from tests.wire.upload_place import CONTENT, LENGTH, PATIENCE_SECONDS, UploadPlace, upload_place


@dataclass(frozen=True)
class Place(UploadPlace):
    """Asks by tus 1.0.0."""

    @property
    def fields(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}", "Tus-Resumable": "1.0.0"}

    def create(self, filename: str, length: int = LENGTH) -> str:
        """A new upload; its address."""
        metadata = metadata_of(filename=filename)
        fields = {**self.fields, "Upload-Length": str(length), "Upload-Metadata": metadata}
        answer = httpx.post(self.server.url + "-/uploads/", headers=fields, timeout=60)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def head(self, upload: str) -> httpx.Response:
        return httpx.head(self.server.url + upload[1:], headers=self.fields, timeout=60)

    def offset(self, upload: str) -> int:
        """How far an upload is, as soon as whoever writes to it has let go."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self.head(upload)).status_code == 423:
            assert time.monotonic() < deadline, "nobody lets go"
        assert answer.status_code == 200
        return int(answer.headers["upload-offset"])

    def patch_head(self, upload: str, offset: int, length: int, *more: str) -> bytes:
        """The head of a PATCH; its content comes later."""
        fields = [f"{name}: {value}" for name, value in self.fields.items()]
        fields += [
            f"Upload-Offset: {offset}",
            "Content-Type: application/offset+octet-stream",
            f"Content-Length: {length}",
            *more,
        ]
        return request(upload, fields, method="PATCH")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with upload_place(Place, tmp_path_factory.mktemp("tus")) as place:
        yield place


def stalled(place: Place, upload: str, client: RawClient) -> None:
    """A PATCH of which half the content came, and then nothing more."""
    client.send(place.patch_head(upload, 0, LENGTH) + CONTENT[: LENGTH // 2])
    place.wait_for_bytes(upload, 1)


def finish(place: Place, upload: str, offset: int) -> None:
    fields = {
        **place.fields,
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
    }
    answer = httpx.patch(
        place.server.url + upload[1:], content=CONTENT[offset:], headers=fields, timeout=60
    )
    assert answer.status_code == 204, answer.text


def test_what_came_of_a_request_that_broke_stays(place: Place) -> None:
    upload = place.create("broken.bin")
    with connect(place.server) as client:
        stalled(place, upload, client)
        client.vanish()
    offset = place.offset(upload)
    assert 0 < offset <= LENGTH // 2
    finish(place, upload, offset)
    assert (place.root / "broken.bin").read_bytes() == CONTENT


def test_who_asks_where_to_go_on_takes_the_upload_from_a_dead_connection(place: Place) -> None:
    upload = place.create("half-open.bin")
    with connect(place.server) as client:
        stalled(place, upload, client)
        # The first connection is still there, but nothing comes over it any more.
        offset = place.offset(upload)
        finish(place, upload, offset)
        assert client.answer("PATCH").head.status == 409
    assert (place.root / "half-open.bin").read_bytes() == CONTENT


def test_a_second_writer_is_told_to_wait(place: Place) -> None:
    upload = place.create("two.bin")
    with connect(place.server) as first, connect(place.server) as second:
        stalled(place, upload, first)
        answer = second.ask(place.patch_head(upload, 0, 0), "PATCH")
        assert answer.head.status == 423
        first.send(CONTENT[LENGTH // 2 :])
        assert first.answer("PATCH").head.status == 204
    assert (place.root / "two.bin").read_bytes() == CONTENT


REFUSED_BEFORE_THE_CONTENT = [
    # offset  length       status
    (0,       LENGTH + 1,  413),
    (1,       LENGTH - 1,  409),
]  # fmt: skip


@pytest.mark.parametrize(("offset", "length", "status"), REFUSED_BEFORE_THE_CONTENT)
def test_a_refusal_comes_before_the_content(
    place: Place, offset: int, length: int, status: int
) -> None:
    upload = place.create(f"refused-{status}.bin")
    with connect(place.server) as client:
        client.send(place.patch_head(upload, offset, length, "Expect: 100-continue"))
        assert client.read_head().status == status
    assert place.offset(upload) == 0


def test_a_checksum_of_a_request_that_broke_is_none(place: Place) -> None:
    upload = place.create("checked.bin")
    checksum = "Upload-Checksum: sha1 " + "A" * 27 + "="
    with connect(place.server) as client:
        client.send(place.patch_head(upload, 0, LENGTH, checksum) + CONTENT[: LENGTH // 2])
        client.wait_until_read()
        client.vanish()
    assert place.offset(upload) == 0


def test_a_large_patch_is_whole_and_what_follows_it_is_answered(place: Place) -> None:
    content = os.urandom(12_000_017)
    upload = place.create("large.bin", len(content))
    verified = base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()
    with connect(place.server) as client:
        head = place.patch_head(upload, 0, len(content), f"Upload-Checksum: sha1 {verified}")
        client.send(head + content + request("/large.bin"))
        assert client.answer().status == 204
        assert client.answer().content == content
