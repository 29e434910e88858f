"""Resumable uploads by the IETF's draft on sockets: the 104, clients that vanish, two workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running_server import free_port
from tests.wire.answers import Answer, Head
from tests.wire.fronts import nginx_command, program, proxy
from tests.wire.raw_http import Address, RawClient, connect, request
from tests.wire.upload_place import CONTENT, LENGTH, UploadPlace, upload_place

VERSION = "Upload-Draft-Interop-Version: 8"
COMPLETE, INCOMPLETE = "Upload-Complete: ?1", "Upload-Complete: ?0"
ALL = f"Content-Length: {LENGTH}"


@dataclass(frozen=True)
class Place(UploadPlace):
    """Asks by the draft of the IETF."""

    def request(self, method: str, target: str, *fields: str, version: str = "1.1") -> bytes:
        all_fields = [f"Authorization: Bearer {self.secret}", *fields]
        return request(target, all_fields, method=method, version=version)

    def ask(self, method: str, target: str, *fields: str, content: bytes = b"") -> Answer:
        """The final answer to a request of its own."""
        with connect(self.server) as client:
            client.send(self.request(method, target, *fields) + content)
            return final(client, method)

    def append(self, upload: str, offset: int, content: bytes, *fields: str) -> Answer:
        told = [
            f"Upload-Offset: {offset}",
            f"Content-Length: {len(content)}",
            "Content-Type: application/partial-upload",
        ]
        return self.ask("PATCH", upload, *told, *fields, content=content)

    def offset(self, upload: str) -> int:
        head = self.ask("HEAD", upload).head
        assert head.status == 204, head
        return int(head.field("upload-offset"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with upload_place(Place, tmp_path_factory.mktemp("resumption")) as place:
        yield place


def final(client: RawClient, method: str = "PUT") -> Answer:
    """The next final answer, whatever interim ones come before."""
    while (head := client.read_head()).status < 200:
        pass
    return Answer(head, client.read_content(head, method))


def begun(place: Place, client: RawClient, target: str, *fields: str) -> str:
    """Send the head of a PUT of everything; the address of its upload."""
    client.send(place.request("PUT", target, VERSION, COMPLETE, ALL, *fields))
    head = client.read_head()
    assert head.status == 104
    return head.field("location")


def test_a_104_tells_where_an_upload_goes_on(place: Place) -> None:
    with connect(place.server) as client:
        client.send(place.request("PUT", "/told.bin", VERSION, COMPLETE, ALL))
        head = client.read_head()
        assert (head.status, head.phrase) == (104, "Upload Resumption Supported")
        assert head.field("upload-draft-interop-version") == "8"
        assert head.field("upload-limit") == "max-age=604800"
        # Before any of the content was sent.
        upload = head.field("location")
        client.send(CONTENT)
        answer = final(client)
    assert answer.head.status == 201
    assert (answer.head.field("location"), answer.head.field("upload-complete")) == (
        "/told.bin",
        "?1",
    )
    assert (place.root / "told.bin").read_bytes() == CONTENT
    assert place.ask("HEAD", upload).head.field("upload-complete") == "?1"


NOT_TOLD: list[tuple[Sequence[str], str, str]] = [
    # fields                                       version  id
    ([],                                            "1.1",  "no-version-of-the-draft"),
    (["Upload-Draft-Interop-Version: 5"],           "1.1",  "another-version-of-the-draft"),
    ([VERSION],                                     "1.0",  "http-1.0-knows-no-interim-answers"),
    ([VERSION, "Via: 1.1 proxy"],                   "1.1",  "via-a-proxy"),
    ([VERSION, "X-Forwarded-For: 10.0.0.1"],        "1.1",  "forwarded"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "version"), [row[:2] for row in NOT_TOLD], ids=[row[2] for row in NOT_TOLD]
)
def test_who_would_not_understand_a_104_gets_none(
    place: Place, request: pytest.FixtureRequest, fields: Sequence[str], version: str
) -> None:
    target = f"/{request.node.callspec.id}.bin"
    with connect(place.server) as client:
        told = [*fields, COMPLETE, "Content-Length: 5"]
        client.send(place.request("PUT", target, *told, version=version) + b"hello")
        answer = client.answer("PUT")
        # As if nothing had been said of uploads that can be resumed.
        assert (answer.head.status, answer.head.has("upload-complete")) == (201, False)
        client_of_parts = [*fields, INCOMPLETE, "Content-Length: 5"]
    with connect(place.server) as client:
        target = target.replace(".bin", ".part")
        client.send(place.request("PUT", target, *client_of_parts, version=version) + b"hello")
        head = client.answer("PUT").head
        assert (head.status, head.field("upload-complete")) == (201, "?0")


def test_100_is_sent_beside_104(place: Place) -> None:
    with connect(place.server) as client:
        begun(place, client, "/expected.bin", "Expect: 100-continue")
        assert client.read_head().status == 100
        client.send(CONTENT)
        assert final(client).head.status == 201


def test_what_came_before_a_client_vanished_is_kept(place: Place) -> None:
    half = LENGTH // 2
    with connect(place.server) as client:
        upload = begun(place, client, "/vanished.bin")
        client.send(CONTENT[:half])
        place.wait_for_bytes(upload, 1 << 20)
        client.vanish()
    offset = place.offset(upload)
    assert 1 << 20 <= offset <= half
    assert not (place.root / "vanished.bin").exists()
    assert place.append(upload, offset, CONTENT[offset:], COMPLETE).head.status == 201
    assert (place.root / "vanished.bin").read_bytes() == CONTENT


def test_a_new_request_ends_the_one_that_hangs(place: Place) -> None:
    with connect(place.server) as hanging:
        upload = begun(place, hanging, "/hanging.bin")
        hanging.send(CONTENT[: 2 << 20])
        hanging.wait_until_read()
        # What was received is kept, also what was not written yet.
        assert place.offset(upload) == 2 << 20
        assert final(hanging).head.status == 409
    assert place.append(upload, 2 << 20, CONTENT[2 << 20 :], COMPLETE).head.status == 201
    assert (place.root / "hanging.bin").read_bytes() == CONTENT


def test_bytes_that_go_on_end_the_request_that_hangs(place: Place) -> None:
    with connect(place.server) as hanging:
        upload = begun(place, hanging, "/overtaken.bin")
        answer = place.append(upload, 0, CONTENT, COMPLETE)
        assert final(hanging).head.status == 409
    assert answer.head.status == 201
    assert (place.root / "overtaken.bin").read_bytes() == CONTENT


def test_cancellation_ends_the_request_that_hangs(place: Place) -> None:
    with connect(place.server) as hanging:
        upload = begun(place, hanging, "/cancelled.bin")
        hanging.send(CONTENT[: 2 << 20])
        place.wait_for_bytes(upload, 1 << 20)
        assert place.ask("DELETE", upload).head.status == 204
        assert final(hanging).head.status == 409
    assert place.ask("HEAD", upload).head.status == 404


def test_content_of_unknown_length_completes_an_upload(place: Place) -> None:
    upload = place.ask("PUT", "/chunked.bin", INCOMPLETE).head.field("location")
    fields = [
        "Upload-Offset: 0",
        "Content-Type: application/partial-upload",
        "Transfer-Encoding: chunked",
    ]
    content = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    answer = place.ask("PATCH", upload, *fields, COMPLETE, content=content)
    assert (answer.head.status, answer.head.field("upload-offset")) == (201, "11")
    assert (place.root / "chunked.bin").read_bytes() == b"hello world"


def test_behind_nginx_an_upload_goes_on_without_a_104(place: Place, tmp_path: Path) -> None:
    program("nginx")
    port = free_port()
    with proxy(nginx_command(tmp_path, place.server, port), tmp_path, port):
        front = _Front(port)
        whole = _through(place, front, "/whole.bin", COMPLETE)
        assert (whole.status, whole.has("upload-complete")) == (201, False)
        part = _through(place, front, "/part.bin", INCOMPLETE)
        assert (part.status, part.field("upload-offset")) == (201, "5")


@dataclass(frozen=True)
class _Front:
    port: int
    host: str = "127.0.0.1"


def _through(place: Place, front: Address, target: str, completeness: str) -> Head:
    """The first head of the answer to a PUT of five bytes."""
    fields = [VERSION, completeness, "Content-Length: 5"]
    with connect(front) as client:
        client.send(place.request("PUT", target, *fields) + b"hello")
        return client.read_head()
