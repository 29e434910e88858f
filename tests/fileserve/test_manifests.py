"""The manifests of a folder, told from their messages and checked by other readers."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_send import RecordingSend, http_scope, no_more_request
from starlette.types import Message, Scope

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.operations.catalog_desk import CatalogDesk, Presence
from fileserve.site.known_sums import KnownSums
from fileserve.site.manifest_forms import Pieces
from fileserve.site.manifests import ManifestSources, manifest_links, send_manifest
from fileserve.site.metalink import file_element, tail
from fileserve.site.sha256sums import sum_line
from storage.blob import Blob, Fingerprint
from storage.checksums import FileState
from storage.errors import NotAFolder, NotFound
from storage.known_digests import KnownDigests
from storage.local import HiddenNames, LocalStorage
from storage.names import Name, parse_request_path

CONTROL = [
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"access-control-allow-origin", b"*"),
]
NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"
A, B = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()


@dataclass
class Asked:
    """How a manifest is asked for, and by what it is answered."""

    method: str = "GET"
    target: str = "/?manifest=sha256"
    public_url: str | None = None
    fields: dict[str, str] = field(default_factory=lambda: {"host": "files.example"})
    scope: dict[str, object] = field(default_factory=dict)
    known: KnownDigests = field(default_factory=KnownDigests)
    hidden: HiddenNames = HiddenNames.REFUSE
    kind: type[LocalStorage] = LocalStorage
    sign_of_life_seconds: float = 15.0
    send: RecordingSend = field(default_factory=RecordingSend)


def answered(root: Path, asked: Asked) -> RecordingSend:
    async def run() -> None:
        storage = asked.kind(root, hidden=asked.hidden)
        sums = KnownSums(CatalogDesk(None, Presence.LOOKED_FOR), asked.known)
        sources = ManifestSources(storage, sums, asked.public_url, asked.sign_of_life_seconds)
        scope: Scope = {**http_scope(asked.method, asked.target, **asked.fields), **asked.scope}
        name = parse_request_path(scope["raw_path"]).name
        form = scope["query_string"].decode().removeprefix("manifest=")
        try:
            await send_manifest(scope, no_more_request, asked.send, sources, name, form, CONTROL)
        finally:
            await storage.close()

    asyncio.run(run())
    return asked.send


def sums(root: Path, target: str = "/") -> bytes:
    return answered(root, Asked(target=f"{target}?manifest=sha256")).content


def metalink(root: Path, target: str = "/", **asked: object) -> ElementTree.Element:
    content = answered(root, Asked(target=f"{target}?manifest=metalink", **asked)).content
    return ElementTree.fromstring(content)


def files(element: ElementTree.Element) -> list[dict[str, str]]:
    """Name, and the text of each child, of every file."""
    return [
        {"name": file.attrib["name"]}
        | {child.tag.removeprefix(NAMESPACE): child.text or "" for child in file}
        for file in element.iter(f"{NAMESPACE}file")
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """/b.bin /folder/a.bin /folder/deep/empty.bin"""
    folder = tmp_path / "root"
    (folder / "folder" / "deep").mkdir(parents=True)
    (folder / "b.bin").write_bytes(b"b")
    (folder / "folder" / "a.bin").write_bytes(b"a")
    (folder / "folder" / "deep" / "empty.bin").write_bytes(b"")
    return folder


# Sums


def test_sums_name_every_file_below_the_folder_in_a_fixed_order(root: Path) -> None:
    empty = hashlib.sha256(b"").hexdigest()
    expected = f"{B}  b.bin\n{A}  folder/a.bin\n{empty}  folder/deep/empty.bin\n"
    assert sums(root).decode() == expected
    assert sums(root, "/folder/").decode() == f"{A}  a.bin\n{empty}  deep/empty.bin\n"


LINES = [
    ((b"a.bin",), b"%b  a.bin\n", "plain"),
    ((b"sub", b"a b.bin"), b"%b  sub/a b.bin\n", "in-a-folder"),
    ((b" a",), b"%b   a\n", "leading-space"),
    ((b"*a",), b"%b  *a\n", "leading-asterisk"),
    ((b"a\\b",), b"\\%b  a\\\\b\n", "backslash"),
    ((b"a\nb",), b"\\%b  a\\nb\n", "line-feed"),
    ((b"a\rb",), b"\\%b  a\\rb\n", "carriage-return"),
    ((b"a\\nb",), b"\\%b  a\\\\nb\n", "backslash-and-n"),
    ((b"\xff",), b"%b  \xff\n", "not-utf-8"),
    ((b"-",), b"%b  ./-\n", "not-standard-input"),
    ((b"sub", b"-"), b"%b  sub/-\n", "a-dash-in-a-folder"),
    ((b"#a",), b"%b  #a\n", "no-comment"),
]


@pytest.mark.parametrize(("path", "line"), [row[:2] for row in LINES], ids=[r[2] for r in LINES])
def test_a_line_is_what_coreutils_writes(path: tuple[bytes, ...], line: bytes) -> None:
    assert sum_line(path, bytes.fromhex(A)) == line % A.encode()


def test_sha256sum_accepts_every_name(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.makedirs(folder + b"/sub folder")
    for path, _line, _id in LINES:
        with open(os.path.join(folder, path[-1]), "wb") as file:
            file.write(path[-1])
    (tmp_path / "odd" / "sub folder" / "-").write_bytes(b"x")
    content = sums(tmp_path, "/odd/")
    checked = subprocess.run(
        ["sha256sum", "-c", "--strict", "--quiet", "-"],
        cwd=folder,
        input=content,
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    assert content.count(b"\n") == len({path[-1] for path, _line, _id in LINES}) + 1


def test_sums_are_a_file_to_save(root: Path) -> None:
    assert answered(root, Asked()).fields == {
        "content-type": "text/plain; charset=utf-8",
        "content-disposition": 'attachment; filename="SHA256SUMS"',
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
        "access-control-allow-origin": "*",
    }


def test_what_is_known_is_not_computed_again(root: Path) -> None:
    known = KnownDigests()
    status = (root / "b.bin").stat()
    times = status.st_mtime_ns, status.st_ctime_ns
    fingerprint = Fingerprint(status.st_size, *times, status.st_ino)
    known.put(FileState(status.st_dev, fingerprint), bytes(32))
    lines = answered(root, Asked(known=known)).content.splitlines()
    assert lines[:2] == [b"0" * 64 + b"  b.bin", f"{A}  folder/a.bin".encode()]


def test_an_empty_folder_has_no_lines(tmp_path: Path) -> None:
    send = answered(tmp_path, Asked())
    assert (send.status, send.content, send.is_complete) == (200, b"", True)


# What neither form tells


@pytest.mark.parametrize("form", ["sha256", "metalink"])
def test_hidden_names_and_links_that_leave_are_not_told(root: Path, form: str) -> None:
    (root / ".hidden").write_bytes(b"secret")
    (root / "folder" / ".git").mkdir()
    (root / "folder" / ".git" / "config").write_bytes(b"secret")
    (root.parent / "outside").write_bytes(b"secret")
    (root / "way-out").symlink_to("../outside")
    os.mkfifo(root / "pipe")
    content = answered(root, Asked(target=f"/?manifest={form}")).content
    for name in (b"hidden", b"git", b"way-out", b"pipe"):
        assert name not in content


def test_hidden_names_are_told_where_they_are_served(root: Path) -> None:
    (root / ".hidden").write_bytes(b"a")
    content = answered(root, Asked(hidden=HiddenNames.SHOW)).content
    assert f"{A}  .hidden\n".encode() in content


@pytest.mark.parametrize("form", ["sha256", "metalink"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_no_folder_is_told_before_the_head(root: Path, form: str, method: str) -> None:
    for path, error in (("/b.bin", NotAFolder), ("/nothing", NotFound), ("/.git", NotFound)):
        asked = Asked(method=method, target=f"{path}?manifest={form}")
        with pytest.raises(error):
            answered(root, asked)
        assert asked.send.messages == []


REFUSED = [
    ("/?manifest=md5", {"host": "a"}, "unknown-form"),
    ("/?manifest=", {"host": "a"}, "no-form"),
]


@pytest.mark.parametrize(
    ("target", "fields"), [row[:2] for row in REFUSED], ids=[row[2] for row in REFUSED]
)
def test_what_there_is_not_is_refused(root: Path, target: str, fields: dict[str, str]) -> None:
    send = answered(root, Asked(target=target, fields=fields))
    assert (send.status, send.fields["content-type"]) == (400, "application/problem+json")
    assert send.fields["x-content-type-options"] == "nosniff"
    assert send.fields["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("form", ["sha256", "metalink"])
def test_head_tells_the_same_and_reads_nothing(root: Path, form: str) -> None:
    target = f"/folder/?manifest={form}"
    fields = answered(root, Asked(target=target)).fields
    with (root / "folder" / "large.bin").open("wb") as file:
        file.truncate(1 << 40)  # would take an hour
    head = answered(root, Asked(method="HEAD", target=target))
    assert (head.status, head.content, head.is_complete) == (200, b"", True)
    assert head.fields == fields


CONDITIONS = [
    ({"if_match": '"a"'}, 412, "no-tag-matches"),
    ({"if_match": "*"}, 200, "it-exists"),
    ({"if_none_match": "*"}, 304, "it-exists-already"),
    ({"if_none_match": '"a"'}, 200, "another-state"),
    ({"if_modified_since": "Thu, 01 Jan 2099 00:00:00 GMT"}, 200, "no-date"),
]


@pytest.mark.parametrize("form", ["sha256", "metalink"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("fields", "status"), [row[:2] for row in CONDITIONS], ids=[row[2] for row in CONDITIONS]
)
def test_conditions_are_judged_without_a_validator(
    root: Path, form: str, method: str, fields: dict[str, str], status: int
) -> None:
    asked = Asked(method, f"/?manifest={form}", fields={"host": "a", **fields})
    assert answered(root, asked).status == status  # RFC 9110 section 13.1


# Metalinks


def test_a_metalink_has_names_sizes_and_urls(root: Path) -> None:
    assert files(metalink(root)) == [
        {"name": "b.bin", "size": "1", "url": "http://files.example/b.bin"},
        {"name": "folder/a.bin", "size": "1", "url": "http://files.example/folder/a.bin"},
        {
            "name": "folder/deep/empty.bin",
            "size": "0",
            "url": "http://files.example/folder/deep/empty.bin",
        },
    ]


def test_names_in_a_metalink_begin_below_its_folder(root: Path) -> None:
    found = files(metalink(root, "/folder/"))
    assert [file["name"] for file in found] == ["a.bin", "deep/empty.bin"]
    assert found[0]["url"] == "http://files.example/folder/a.bin"


def test_a_metalink_has_digests_where_they_are_known(root: Path) -> None:
    asked = Asked(target="/folder/?manifest=sha256")
    answered(root, asked)
    element = metalink(root, known=asked.known)
    found = {file["name"]: file.get("hash") for file in files(element)}
    empty = hashlib.sha256(b"").hexdigest()
    assert found == {"b.bin": None, "folder/a.bin": A, "folder/deep/empty.bin": empty}
    types = {hash_.attrib["type"] for hash_ in element.iter(f"{NAMESPACE}hash")}
    assert types == {"sha-256"}  # RFC 5854 section 4.2.5


def test_a_metalink_is_a_file_to_save(root: Path) -> None:
    fields = answered(root, Asked(target="/folder/?manifest=metalink")).fields
    assert fields["content-type"] == "application/metalink4+xml"  # RFC 5854 section 7.2
    assert fields["content-disposition"] == 'attachment; filename="folder.meta4"'
    root_fields = answered(root, Asked(target="/?manifest=metalink")).fields
    assert root_fields["content-disposition"] == 'attachment; filename="files.meta4"'


BASES = [
    ({"fields": {"host": "a.example:8080"}}, "http://a.example:8080", "host-and-port"),
    ({"fields": {"host": "a"}, "scope": {"scheme": "https"}}, "https://a", "scheme"),
    ({"fields": {"host": "[::1]:81"}}, "http://[::1]:81", "ipv6"),
    ({"public_url": "https://b.example/files"}, "https://b.example/files", "public-url"),
    ({"fields": {}}, "http://192.0.2.1:80", "http-1.0-without-host"),
    ({"fields": {"host": ""}}, "http://192.0.2.1:80", "empty-host"),
    ({"fields": {"host": 'a"><x'}}, "http://192.0.2.1:80", "no-host-at-all"),
    ({"fields": {}, "scope": {"server": ("::1", 80)}}, "http://[::1]:80", "ipv6-without-host"),
]


@pytest.mark.parametrize(("asked", "base"), [row[:2] for row in BASES], ids=[r[2] for r in BASES])
def test_urls_begin_with_what_the_request_came_to(
    root: Path, asked: dict[str, object], base: str
) -> None:
    assert files(metalink(root, **asked))[0]["url"] == f"{base}/b.bin"


def test_urls_are_those_below_a_mounted_application(root: Path) -> None:
    asked = Asked(target="/?manifest=metalink", scope={"root_path": "/files"})
    found = files(ElementTree.fromstring(answered(root, asked).content))
    assert found[0]["url"] == "http://files.example/files/b.bin"


def test_no_metalink_without_a_host(root: Path) -> None:
    on_unix_socket: dict[str, object] = {"server": ("/run/socket", None)}
    asked = Asked(target="/?manifest=metalink", fields={}, scope=on_unix_socket)
    assert answered(root, asked).status == 400


NAMES = [
    ((b"a b.bin",), "a b.bin", "space"),
    ((b"a<b>&\"'.bin",), "a<b>&\"'.bin", "markup"),
    (("ü".encode(), "日本".encode()), "ü/日本", "utf-8"),
    ((b"]]>",), "]]>", "end-of-a-cdata"),
    ((b"-->",), "-->", "end-of-a-comment"),
    ((b"...",), "...", "three-dots"),
    ((b"a:b",), None, "a-drive-on-windows"),
    ((b"12:30",), "12:30", "a-time"),
    ((b"a\\b",), None, "a-folder-on-windows"),
    ((b"..\\x",), None, "up-on-windows"),
    ((b"a\tb",), None, "tab"),
    ((b"a\nb",), None, "line-feed"),
    ((b"\x01",), None, "control"),
    ((b"\x7f",), None, "delete"),
    ((b"\xff",), None, "not-utf-8"),
    ((b"\xed\xa0\x80",), None, "surrogate"),
    (("\uffff".encode(),), None, "no-character"),
]


@pytest.mark.parametrize(("path", "name"), [row[:2] for row in NAMES], ids=[r[2] for r in NAMES])
def test_a_name_comes_through_or_is_left_out(path: tuple[bytes, ...], name: str | None) -> None:
    element = file_element(path, 1, "http://a/?x=1&y=2", None)
    if name is None:
        assert element is None
    else:
        assert element is not None
        parsed = ElementTree.fromstring(element)
        assert parsed.attrib["name"] == name
        assert [child.text for child in parsed] == ["1", "http://a/?x=1&y=2"]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=3))
def test_any_name_comes_through_or_is_left_out(path: list[bytes]) -> None:
    element = file_element(tuple(path), 1, "http://a/", None)
    if element is not None:
        name = ElementTree.fromstring(element).attrib["name"]
        assert name.encode() == b"/".join(path)


def test_names_that_are_left_out_are_counted(tmp_path: Path) -> None:
    for name in (b"a\nb", b"\xff", b"good"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
            pass
    content = answered(tmp_path, Asked(target="/?manifest=metalink")).content
    assert b"<!-- left out, because of characters in their names: 2 -->" in content
    assert [file["name"] for file in files(ElementTree.fromstring(content))] == ["good"]
    assert "<!--" not in tail(0)


# While a folder changes


class Interfering(RecordingSend):
    """Calls interfere at the first content: what it changes is not hashed yet."""

    def __init__(self, interfere: Callable[[], None]) -> None:
        super().__init__()
        self._interfere = interfere

    async def __call__(self, message: Message) -> None:
        await super().__call__(message)
        if message["type"] == "http.response.start":
            self._interfere()


def test_a_file_that_vanishes_is_not_told(root: Path) -> None:
    send = Interfering((root / "b.bin").unlink)
    assert b"b.bin" not in answered(root, Asked(send=send)).content
    assert send.is_complete


def test_a_file_that_changed_since_the_walk_has_its_new_digest(root: Path) -> None:
    send = Interfering(lambda: (root / "b.bin").write_bytes(b"a") and None)
    assert answered(root, Asked(send=send)).content.startswith(f"{A}  b.bin\n".encode())


class Restless(LocalStorage):
    """A root in which somebody appends to b.bin whenever it was opened."""

    async def open(self, name: Name) -> Blob:
        blob = await super().open(name)
        if name.last == b"b.bin":
            with open(self.root + b"/b.bin", "ab") as file:
                file.write(b"!")
        return blob


def test_a_file_that_is_written_to_all_the_time_cuts_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a")
    (tmp_path / "b.bin").write_bytes(bytes(16 << 20))
    asked = Asked(kind=Restless)
    with pytest.raises(TransferCut) as cut:
        answered(tmp_path, asked)
    assert cut.value.cause is EndCause.CHANGED
    assert not asked.send.is_complete
    assert b"b.bin" not in asked.send.content


def test_a_client_that_leaves_stops_the_reading(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(1 << 40)  # would take an hour

    async def run() -> None:
        storage = LocalStorage(tmp_path)
        sources = ManifestSources(storage, KnownSums(CatalogDesk(None, Presence.LOOKED_FOR)))
        has_left = asyncio.Event()

        async def receive() -> Message:
            await has_left.wait()
            return {"type": "http.disconnect"}

        scope = http_scope("GET", "/?manifest=sha256")
        asyncio.get_running_loop().call_later(0.3, has_left.set)
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(20):
                await send_manifest(scope, receive, RecordingSend(), sources, Name(()), "sha256")
        await storage.close()

    with pytest.raises(TransferCut) as cut:
        asyncio.run(run())
    assert cut.value.cause is EndCause.CLIENT_GONE


def test_a_client_that_leaves_stops_the_reading_of_small_files(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:04}.bin").write_bytes(bytes(1 << 20))
    send = RecordingSend()

    async def run() -> None:
        storage = LocalStorage(tmp_path)
        sources = ManifestSources(storage, KnownSums(CatalogDesk(None, Presence.LOOKED_FOR)))

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        scope = http_scope("GET", "/?manifest=sha256")
        try:
            await send_manifest(scope, receive, send, sources, Name(()), "sha256")
        finally:
            await storage.close()

    with pytest.raises(TransferCut) as cut:
        asyncio.run(run())
    assert cut.value.cause is EndCause.CLIENT_GONE
    assert send.content == b""


def test_rows_that_take_long_are_not_held_back() -> None:
    send = RecordingSend()

    async def run() -> None:
        slow, quick = Pieces(send, hold_seconds=0.0), Pieces(send, hold_seconds=60.0)
        await slow.add(b"1")
        await quick.add(b"2")
        await slow.add(b"3")

    asyncio.run(run())
    assert [message["body"] for message in send.messages] == [b"1", b"3"]


def test_many_files_come_in_pieces(tmp_path: Path) -> None:
    for number in range(1100):
        (tmp_path / f"{number:04}.bin").write_bytes(b"a")
    send = answered(tmp_path, Asked())
    lines = send.content.decode().splitlines()
    assert lines == [f"{A}  {number:04}.bin" for number in range(1100)]
    assert len(send.messages) > 10
    assert max(len(message.get("body", b"")) for message in send.messages) < 16_000


def test_a_large_file_gives_signs_of_life(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(256 << 20)  # takes long enough to be told of, also where turns are few
    content = answered(tmp_path, Asked(sign_of_life_seconds=0.001)).content
    *comments, line = content.splitlines(keepends=True)
    assert comments
    assert set(comments) == {b"# still reading a large file\n"}
    assert line == b"%b  large.bin\n" % hashlib.sha256(bytes(256 << 20)).hexdigest().encode()
    command = ["sha256sum", "-c", "--strict", "--status", "-"]
    assert subprocess.run(command, cwd=tmp_path, input=content, check=False).returncode == 0


def test_a_listing_links_to_its_manifests() -> None:
    assert manifest_links() == (  # RFC 8288 section 3; RFC 6249 section 4
        (b"link", b'<?manifest=metalink>; rel=describedby; type="application/metalink4+xml"'),
        (b"link", b'<?manifest=sha256>; rel=describedby; type="text/plain"'),
    )
