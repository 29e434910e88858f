"""Uploads as bytes on a connection: refused before they come, given up when their sender goes."""

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from storage.names import STAGING_SEGMENT
from tests.known_tokens import token_for
from tests.running_server import RunningServer, running_server
from tests.wire.raw_http import RawClient, connect, request

STAGING = os.fsdecode(STAGING_SEGMENT)
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Writable:
    """A running server of a folder, and the secret of a token to write there."""

    server: RunningServer
    root: Path
    secret: str

    def put(self, name: str, *fields: str) -> bytes:
        """The head of a PUT."""
        bearer = f"Authorization: Bearer {self.secret}"
        return request(f"/{name}", (bearer, *fields), method="PUT")

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.secret}"}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=60)

    def connect(self) -> RawClient:
        return connect(self.server)

    def open_files(self) -> int:
        """How many regular files below the root the server has open."""
        count = 0
        for pid in self.server.worker_pids():
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    target = os.readlink(descriptor)
                except FileNotFoundError:
                    continue
                count += target.startswith(f"{self.root}/")
        return count


@contextmanager
def writable_server(root: Path, *options: str) -> Iterator[Writable]:
    secret = token_for(root, "write")
    with running_server(root, "--writable", *options) as server:
        yield Writable(server, root, secret)
        errors = [line for line in server.lines if " ERROR " in line or "Traceback" in line]
        assert errors == []


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writable]:
    root = tmp_path_factory.mktemp("writable") / "root"
    (root / "folder").mkdir(parents=True)
    (root / "old").write_bytes(b"old")
    with writable_server(root, "--upload-limit", "10M") as served:
        yield served


def wait_for(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# fmt: off
BEFORE_THE_CONTENT = [
    # name       fields                                                   status  id
    ("large",    ("Content-Length: 10000001",),                            413, "too-large"),
    ("large",    ("Content-Length: 9999999999999999",),                    413, "beyond-any-disk"),
    ("old",      ("Content-Length: 5",),                                   428, "unguarded"),
    ("old",      ("Content-Length: 5", "If-None-Match: *"),                412, "taken"),
    ("old/x",    ("Content-Length: 5",),                                   409, "in-the-way"),
    (".hidden",  ("Content-Length: 5",),                                   400, "hidden"),
    ("old",      ("Transfer-Encoding: chunked",),                          428, "chunked"),
]
# fmt: on


@pytest.mark.parametrize("expectation", [(), ("Expect: 100-continue",)], ids=["sent", "expecting"])
@pytest.mark.parametrize(
    ("name", "fields", "status"),
    [row[:3] for row in BEFORE_THE_CONTENT],
    ids=[row[3] for row in BEFORE_THE_CONTENT],
)
def test_what_cannot_be_taken_is_refused_before_its_content(
    writable: Writable,
    name: str,
    fields: tuple[str, ...],
    status: int,
    expectation: tuple[str, ...],
) -> None:
    with writable.connect() as client:
        client.send(writable.put(name, *fields, *expectation))
        head = client.read_head()
        assert head.status == status
        assert head.closes


def test_content_of_unknown_length_is_no_empty_file(writable: Writable) -> None:
    head = writable.put("of-1.0").replace(b"HTTP/1.1", b"HTTP/1.0")
    with writable.connect() as client:  # RFC 1945 section 7.2.2: content needs a length
        client.send(head + b"content")
        assert client.answer("PUT").status == 411
    assert not (writable.root / "of-1.0").exists()


def test_content_is_asked_for_when_it_will_be_taken(writable: Writable) -> None:
    with writable.connect() as client:
        client.send(writable.put("expected", "Content-Length: 3", "Expect: 100-continue"))
        assert client.read_head().status == 100
        client.send(b"abc")
        assert client.answer("PUT").status == 201
    assert (writable.root / "expected").read_bytes() == b"abc"


def test_a_connection_goes_on_behind_content(writable: Writable) -> None:
    first = writable.put("one", "Content-Length: 3") + b"abc"
    second = writable.put("two", "Transfer-Encoding: chunked") + b"1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n"
    with writable.connect() as client:
        client.send_in_pieces(first)
        assert client.answer("PUT").status == 201
        client.send(second + request("/two"))
        assert client.answer("PUT").status == 201
        assert client.answer().content == b"xyz"


# fmt: off
HALVES = [
    # fields                            content                    id
    (("Content-Length: 5000000",),      b"x" * 4_999_999,          "one-byte-missing"),
    (("Content-Length: 5000000",),      b"",                       "nothing"),
    (("Transfer-Encoding: chunked",),   b"5\r\nhello\r\n",         "no-last-chunk"),
    (("Transfer-Encoding: chunked",),   b"5\r\nhel",               "inside-a-chunk"),
]
# fmt: on


@pytest.mark.parametrize("leaving", ["resets", "closes"])
@pytest.mark.parametrize(
    ("fields", "content"), [row[:2] for row in HALVES], ids=[row[2] for row in HALVES]
)
def test_half_a_file_is_never_there(
    writable: Writable, fields: tuple[str, ...], content: bytes, leaving: str
) -> None:
    with writable.connect() as client:
        client.send(writable.put("folder/half", *fields) + content)
        client.wait_until_read()
        assert not (writable.root / "folder" / "half").exists()
        if leaving == "resets":
            client.vanish()
        else:
            client.end_sending()
            client.read_to_the_end()
    wait_for(lambda: writable.open_files() == 0, "the file is still open")
    assert os.listdir(writable.root / "folder") == []


def test_malformed_chunks_are_refused_and_nothing_stays(writable: Writable) -> None:
    with writable.connect() as client:
        head = writable.put("folder/bad", "Transfer-Encoding: chunked")
        client.send(head + b"5\r\nhello\r\nzz\r\n")
        client.read_to_the_end()
    wait_for(lambda: writable.open_files() == 0, "the file is still open")
    assert os.listdir(writable.root / "folder") == []


def test_chunked_content_beyond_the_limit_is_cut_off(writable: Writable) -> None:
    with writable.connect() as client:
        client.send(writable.put("folder/long", "Transfer-Encoding: chunked"))
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        for _ in range(10):
            client.send(chunk)
        assert client.read_head().status == 413
    wait_for(lambda: writable.open_files() == 0, "the file is still open")
    assert os.listdir(writable.root / "folder") == []


def test_of_many_writers_of_a_name_one_wins_whole(writable: Writable) -> None:
    contents = [bytes([number]) * 3_000_000 for number in range(8)]
    together = threading.Barrier(len(contents))

    def put(content: bytes) -> tuple[int, bytes]:
        with writable.client() as client:
            together.wait()
            answer = client.put("/won", content=content, headers={"If-None-Match": "*"})
            return answer.status_code, content

    with ThreadPoolExecutor(len(contents)) as pool:
        answers = list(pool.map(put, contents))
    won = [content for status, content in answers if status == 201]
    assert sorted(status for status, _ in answers) == [201, *[412] * 7]
    assert [(writable.root / "won").read_bytes()] == won


def test_of_many_who_replace_one_state_one_wins_whole(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "old").write_bytes(b"old")
    contents = [bytes([number]) * 1_000_000 for number in range(8)]
    with writable_server(root, "--workers", "2") as writable, writable.client() as first:
        tag = first.head("/old").headers["etag"]

        def put(content: bytes) -> int:
            with writable.client() as client:
                return client.put("/old", content=content, headers={"If-Match": tag}).status_code

        with ThreadPoolExecutor(len(contents)) as pool:
            statuses = list(pool.map(put, contents))
    assert sorted(statuses) == [200, *[412] * 7]
    assert (root / "old").read_bytes() == contents[statuses.index(200)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A root of 8 MiB."""
    if os.geteuid() != 0:
        reason = "a full disk is NOT TESTED: only root may mount"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", root], check=True)
    yield root
    subprocess.run(["umount", "--lazy", root], check=True)


def free_bytes(root: Path) -> int:
    room = os.statvfs(root)
    return room.f_bavail * room.f_frsize


@pytest.mark.parametrize("framing", ["told", "chunked"])
def test_a_full_disk_is_told_and_costs_nothing(small_disk: Path, framing: str) -> None:
    old = b"old" * 1000
    (small_disk / "old").write_bytes(old)
    pieces = [bytes(1 << 20)] * 9
    with (
        writable_server(small_disk, "--upload-keep-free", "0") as writable,
        writable.client() as client,
    ):
        # The staging folder and its lock take their blocks once.
        assert client.put("/old", content=old, headers={"If-Match": "*"}).status_code == 200
        before = free_bytes(small_disk)
        content = b"".join(pieces) if framing == "told" else iter(pieces)
        answer = client.put("/old", content=content, headers={"If-Match": "*"})
        assert answer.status_code == 507
        wait_for(lambda: free_bytes(small_disk) == before, "the space is not given back")
        assert (small_disk / "old").read_bytes() == old
        assert client.put("/new", content=pieces[0]).status_code == 201


def test_a_file_is_removed_where_the_disk_has_no_room_for_a_folder(small_disk: Path) -> None:
    (small_disk / "large").write_bytes(b"x")
    no_more = "remount,size=8m,nr_inodes=2"  # the root itself, and the file
    subprocess.run(["mount", "-o", no_more, small_disk], check=True)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "folder").mkdir()
    with writable_server(small_disk) as served, served.client() as client:
        assert client.delete("/large").status_code == 204
    assert not (small_disk / "large").exists()


def test_a_resumable_upload_ends_well_where_the_disk_has_no_room_for_a_note(
    small_disk: Path,
) -> None:
    (small_disk / "old").touch()
    length, name = {"Upload-Length": "10"}, {"Upload-Metadata": "filename bmV3"}
    piece = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    with (
        writable_server(small_disk, "--upload-keep-free", "0") as served,
        served.client() as client,
    ):
        client.headers["Tus-Resumable"] = "1.0.0"
        # For this a lock is made, and stays.
        assert client.put("/old", content=b"x", headers={"If-Match": "*"}).status_code == 200
        created = client.post("/-/uploads/", headers={**length, **name})
        # The root, the old file, the staging folder, its lock, the bytes, the record.
        no_more = "remount,size=8m,nr_inodes=6"
        subprocess.run(["mount", "-o", no_more, small_disk], check=True)
        upload = created.headers["location"]
        assert client.patch(upload, headers=piece, content=b"helloworld").status_code == 204
        told = client.head(upload)
        assert (told.status_code, told.headers["upload-offset"]) == (200, "10")
    assert (small_disk / "new").read_bytes() == b"helloworld"


def test_two_uploads_that_do_not_fit_together_do_not_both_begin(small_disk: Path) -> None:
    told = ("Content-Length: 5000000", "Expect: 100-continue")
    with (
        writable_server(small_disk, "--upload-keep-free", "0") as writable,
        writable.connect() as first,
        writable.connect() as second,
    ):
        first.send(writable.put("first", *told))
        assert first.read_head().status == 100
        second.send(writable.put("second", *told))
        assert second.read_head().status == 507
        first.send(bytes(5_000_000))
        assert first.answer("PUT").status == 201


def test_an_acknowledged_file_survives_kill_9_and_half_a_file_does_not(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    content = os.urandom(2_000_000)
    with running_server(root, "--writable") as server:
        writable = Writable(server, root, token_for(root, "write"))
        wait_for(lambda: _is_known(writable), "the token is not known")
        with writable.client() as client:
            assert client.put("/whole", content=content).status_code == 201
        with writable.connect() as raw:
            raw.send(writable.put("half", "Content-Length: 2000000") + content[:1_999_999])
            raw.wait_until_read()
            server.kill()
    assert (
        hashlib.sha256((root / "whole").read_bytes()).digest() == hashlib.sha256(content).digest()
    )
    assert sorted(os.listdir(root)) == ["whole"]


def test_what_a_killed_server_left_is_swept_at_the_next_start(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / STAGING).mkdir(parents=True)
    (root / STAGING / f"{'0' * 32}.part").touch()
    gone = root / STAGING / f"{'1' * 32}.gone"
    (gone / "inner").mkdir(parents=True)
    (gone / "inner" / "file").touch()
    with writable_server(root):
        wait_for(lambda: not os.listdir(root / STAGING), "what was left is still there")


def _is_known(writable: Writable) -> bool:
    with writable.client() as client:
        return client.delete("/nothing").status_code == 404


def test_what_follows_a_large_upload_is_the_next_request(writable: Writable) -> None:
    first, second = os.urandom(9_000_001), os.urandom(5_000_003)
    with writable.connect() as client:
        for name, content in (("first", first), ("second", second)):
            client.send(writable.put(name, f"Content-Length: {len(content)}") + content)
        client.send(request("/old"))
        answers = [client.answer() for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 200]
    assert answers[2].content == b"old"
    assert (writable.root / "first").read_bytes() == first
    assert (writable.root / "second").read_bytes() == second


def test_a_large_upload_comes_in_pieces_of_any_size(writable: Writable) -> None:
    content, sizes = os.urandom(6_000_000), (1, 1_400, 65_536, 1_500_000)
    with writable.connect() as client:
        client.send(writable.put("pieces", f"Content-Length: {len(content)}"))
        start = number = 0
        while start < len(content):
            stop = start + sizes[number % len(sizes)]
            client.send(content[start:stop])
            start, number = stop, number + 1
            time.sleep(0.002)
        assert client.answer().status == 201
    assert (writable.root / "pieces").read_bytes() == content
