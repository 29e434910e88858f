"""The manifests of a folder, told from their messages and checked by other readers."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from manifest_reader import A, Asked, B, answered, small_folder, sums

from fileserve.site.manifests import manifest_links
from fileserve.site.sha256sums import sum_line
from storage.blob import Fingerprint
from storage.checksums import FileState
from storage.errors import NotAFolder, NotFound
from storage.known_digests import KnownDigests
from storage.local import HiddenNames


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "root")


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


def test_a_listing_links_to_its_manifests() -> None:
    assert manifest_links() == (  # RFC 8288 section 3; RFC 6249 section 4
        (b"link", b'<?manifest=metalink>; rel=describedby; type="application/metalink4+xml"'),
        (b"link", b'<?manifest=sha256>; rel=describedby; type="text/plain"'),
    )
