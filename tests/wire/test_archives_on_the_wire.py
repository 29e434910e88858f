"""Archives of folders on the wire: the same bytes by every delivery, resumed, or cut."""

import io
import os
import tarfile
import zipfile
from itertools import count
from pathlib import Path

import pytest

from tests.wire.raw_http import ConnectionEnded, End, request
from tests.wire.served import LARGE, SLOW_READER_BUFFER_BYTES, Served

_numbers = count(1)
SMALL = {f"small/{number:03d}.txt": b"%d\n" % number for number in range(300)}


@pytest.fixture
def folder(served: Served) -> Path:
    """A folder of this test's own: many small files, a large one, one with a hole, an empty one."""
    path = served.root / f"set-{next(_numbers)}"
    (path / "small").mkdir(parents=True)
    (path / "void").mkdir()
    for name, content in SMALL.items():
        (path / name).write_bytes(content)
    (path / "large.bin").write_bytes(LARGE)
    (path / "holes.bin").write_bytes(b"begin")
    os.truncate(path / "holes.bin", 2 << 20)
    return path


def contents(raw: bytes, form: str) -> dict[str, bytes]:
    """The files in an archive, proven by their sums where it has them."""
    if form == "zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as opened:
            assert opened.testzip() is None
            names = [name for name in opened.namelist() if not name.endswith("/")]
            return {name.partition("/")[2]: opened.read(name) for name in names}
    with tarfile.open(fileobj=io.BytesIO(raw)) as opened:
        files = {member.name: opened.extractfile(member) for member in opened if member.isfile()}
        return {name.partition("/")[2]: file.read() for name, file in files.items() if file}


def target(folder: Path, form: str) -> str:
    return f"/{folder.name}/?archive={form}"


FORMS = pytest.mark.parametrize("form", ["zip", "tar"])


@FORMS
def test_an_archive_arrives_whole(served: Served, folder: Path, form: str) -> None:
    answer = served.get(target(folder, form))
    assert answer.status == 200
    expected = {**SMALL, "large.bin": LARGE, "holes.bin": b"begin".ljust(2 << 20, b"\0")}
    assert contents(answer.content, form) == expected


@FORMS
def test_parts_on_one_connection_are_the_whole(served: Served, folder: Path, form: str) -> None:
    with served.connect() as client:
        head = client.ask(request(target(folder, form), method="HEAD"), "HEAD").head
        length, etag = int(head.field("content-length")), head.field("etag")
        parts = []
        for start in range(0, length, length // 7):
            fields = [f"Range: bytes={start}-{start + length // 7 - 1}", f"If-Range: {etag}"]
            part = client.ask(request(target(folder, form), fields))
            assert part.status == 206
            assert part.field("etag") == etag
            parts.append(part.content)
        assert len(b"".join(parts)) == length
        assert len(contents(b"".join(parts), form)) == len(SMALL) + 2


def test_head_and_get_have_the_same_fields(served: Served, folder: Path) -> None:
    head = served.head(target(folder, "zip")).head
    whole = served.get(target(folder, "zip")).head
    assert [field for field in head.fields if field[0] != "date"] == [
        field for field in whole.fields if field[0] != "date"
    ]


CHANGES = ["rewritten", "vanished"]


@FORMS
@pytest.mark.parametrize("change", CHANGES)
def test_an_archive_whose_member_changes_is_cut(
    served: Served, folder: Path, form: str, change: str
) -> None:
    with served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(target(folder, form)))
        client.read_head()
        client.read_exactly(100_000)
        if change == "vanished":
            (folder / "small" / "100.txt").unlink()
        else:
            (folder / "small" / "100.txt").write_bytes(b"other\n")
        with pytest.raises(ConnectionEnded) as ended:
            client.read_exactly(1 << 40)
    assert ended.value.end is End.CUT
    line = served.server.output.wait_for(f" /{folder.name}/ ")
    assert line.endswith(" changed")


def test_a_changed_folder_is_not_resumed(served: Served, folder: Path) -> None:
    etag = served.head(target(folder, "zip")).field("etag")
    (folder / "small" / "100.txt").write_bytes(b"xxx\n")
    whole = served.get(target(folder, "zip"), "Range: bytes=1000-", f"If-Range: {etag}")
    assert whole.status == 200
    assert contents(whole.content, "zip")["small/100.txt"] == b"xxx\n"
    refused = served.get(target(folder, "zip"), "Range: bytes=1000-", f"If-Match: {etag}")
    assert refused.status == 412


def test_the_connection_goes_on_after_an_archive(served: Served, folder: Path) -> None:
    with served.connect() as client:
        first = client.ask(request(target(folder, "tar"))).content
        assert client.ask(request("/facts.bin")).status == 200
        assert client.ask(request(target(folder, "tar"))).content == first


def test_a_folder_without_its_slash_leads_to_the_archive(served: Served, folder: Path) -> None:
    answer = served.get(f"/{folder.name}?archive=zip")
    assert (answer.status, answer.field("location")) == (301, target(folder, "zip"))


def test_an_unknown_form_is_refused(served: Served, folder: Path) -> None:
    assert served.get(target(folder, "rar")).status == 400


def test_a_file_is_no_folder(served: Served, folder: Path) -> None:
    assert served.get(f"/{folder.name}/large.bin/?archive=zip").status == 404
