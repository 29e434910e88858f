"""Repr-Digest and Want-Repr-Digest (RFC 9530), `?checksum`, by every way of delivery."""

import base64
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.running_server import REPOSITORY, STRICT_FLAGS
from tests.wire.served import Delivery, Served, Servers, tick

WANT = "Want-Repr-Digest: sha-256=1"
# Several times what a look at the catalog takes.
PATIENCE_SECONDS = 60.0

# fmt: off
WITH_DIGEST = [
    # method  fields                              status  id
    ("GET",   [],                                 200,    "whole"),
    ("HEAD",  [],                                 200,    "head"),
    ("GET",   ["Range: bytes=0-0"],               206,    "one-range"),
    ("GET",   ["Range: bytes=0-0,5-9"],           206,    "two-ranges"),
    ("GET",   ['Range: bytes=0-0', 'If-Range: "x"'], 200, "another-state"),
]
WITHOUT_DIGEST = [
    # fields                                      status  id
    (["If-None-Match: *"],                        304,    "not-modified"),
    (['If-Match: "x"'],                           412,    "failed"),
    (["Range: bytes=10-"],                        416,    "unsatisfiable"),
]
NOT_WANTED = [
    # fields                                      id
    ([],                                          "nobody-asked"),
    (["Want-Repr-Digest: sha-256=0"],             "not-acceptable"),
    (["Want-Repr-Digest: sha-512=3"],             "another-algorithm"),
    (["Want-Repr-Digest: sha-256=3,"],            "unreadable"),
    (["Want-Content-Digest: sha-256=3"],          "another-field"),
]
# fmt: on


def field_of(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def ask(served: Served, method: str, target: str, fields: list[str]) -> tuple[int, list[str]]:
    answer = (served.head if method == "HEAD" else served.get)(target, *fields)
    return answer.status, answer.head.values("repr-digest")


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [row[:3] for row in WITH_DIGEST],
    ids=[row[3] for row in WITH_DIGEST],
)
def test_the_digest_of_the_whole_comes_when_asked_for(
    served: Served, method: str, fields: list[str], status: int
) -> None:
    content = os.urandom(10)
    target = f"/{served.new_file(content).name}"
    assert ask(served, method, target, [*fields, WANT]) == (status, [field_of(content)])
    # From now on it is known, and costs nothing.
    assert ask(served, method, target, fields) == (status, [field_of(content)])


@pytest.mark.parametrize(
    ("fields", "status"),
    [row[:2] for row in WITHOUT_DIGEST],
    ids=[row[2] for row in WITHOUT_DIGEST],
)
def test_an_answer_without_the_bytes_has_no_digest(
    served: Served, fields: list[str], status: int
) -> None:
    target = f"/{served.new_file(b'0123456789').name}"
    served.get(target, WANT)
    assert ask(served, "GET", target, [*fields, WANT]) == (status, [])


@pytest.mark.parametrize(
    "fields", [row[0] for row in NOT_WANTED], ids=[row[1] for row in NOT_WANTED]
)
def test_nothing_is_read_for_a_digest_that_nobody_asked_for(
    served: Served, fields: list[str]
) -> None:
    target = f"/{served.new_file(b'0123456789').name}"
    assert ask(served, "GET", target, fields) == (200, [])


def test_a_changed_file_loses_its_digest(served: Served) -> None:
    path = served.new_file(b"0123456789")
    served.get(f"/{path.name}", WANT)
    tick()
    path.write_bytes(b"abcdefghij")
    assert ask(served, "GET", f"/{path.name}", []) == (200, [])
    assert ask(served, "GET", f"/{path.name}", [WANT]) == (200, [field_of(b"abcdefghij")])


def test_a_large_file_is_not_read_for_a_wish(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * 1000)
    (tmp_path / "large").write_bytes(b"x" * 1001)
    with servers.started(Delivery.UVLOOP, tmp_path, digest_limit_bytes="1000") as served:
        assert ask(served, "GET", "/small", [WANT]) == (200, [field_of(b"x" * 1000)])
        assert ask(served, "GET", "/large", [WANT]) == (200, [])
        assert served.error_lines() == []


def test_checksum_of_a_file(served: Served) -> None:
    content = os.urandom(100_000)
    path = served.new_file(content)
    answer = served.get(f"/{path.name}?checksum")
    assert answer.status == 200
    assert answer.content == f"{hashlib.sha256(content).hexdigest()}  {path.name}\n".encode()
    assert answer.field("content-type") == "text/plain; charset=utf-8"
    assert f'filename="{path.name}.sha256"' in answer.field("content-disposition")
    assert served.head(f"/{path.name}?checksum").status == 200
    assert served.get("/folder/?checksum").status == 200  # a listing: there is no such file
    assert served.get("/missing?checksum").status == 404


def test_sha256sum_checks_what_the_address_says(zero_copy: Served, tmp_path: Path) -> None:
    names = ["a b", "back\\slash", "new\nline", "-", "ümlaut"]
    (zero_copy.root / "odd").mkdir()
    for name in names:
        path = zero_copy.root / "odd" / name
        path.write_bytes(os.urandom(10))
        target = f"/odd/{name}".translate({ord(c): f"%{ord(c):02X}" for c in " \\\n"})
        line = zero_copy.get(target.replace("ü", "%C3%BC") + "?checksum").content
        command = ["sha256sum", "--check", "--strict", "--status", "-"]
        subprocess.run(command, input=line, cwd=path.parent, check=True)


def checksum(root: Path, *words: str) -> None:
    command = [sys.executable, *STRICT_FLAGS, "-m", "cli", "checksum", *words]
    subprocess.run([*command, "--root", root], cwd=REPOSITORY, check=True, capture_output=True)


@pytest.mark.parametrize(
    "delivery", [Delivery.UVLOOP, Delivery.CHUNKED], ids=["at-once", "chunked"]
)
def test_what_the_admin_computes_is_told_by_a_running_server(
    servers: Servers, tmp_path: Path, delivery: Delivery
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(b"0123456789")
    with servers.started(delivery, root) as served:
        assert ask(served, "GET", "/file", []) == (200, [])
        checksum(root, "--all")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while ask(served, "GET", "/file", []) == (200, []):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for method, fields, status, _ in WITH_DIGEST:
            expected = (status, [field_of(b"0123456789")])
            assert ask(served, method, "/file", fields) == expected
        hexadecimal = hashlib.sha256(b"0123456789").hexdigest()
        for form in ("json", "ndjson"):
            listing = served.get(f"/?format={form}").content
            assert listing.count(f'"sha256": "{hexadecimal}"'.encode()) == 1
        assert hexadecimal.encode() in served.get("/file?view").content
        # Other bytes: the record is of a state that is gone.
        (root / "file").write_bytes(b"9876543210")
        assert ask(served, "GET", "/file", []) == (200, [])
        assert b"sha256" not in served.get("/?format=ndjson").content
        # And what the server computes, the admin finds.
        assert ask(served, "GET", "/file", [WANT]) == (200, [field_of(b"9876543210")])
        assert served.error_lines() == []
    verified = subprocess.run(
        [sys.executable, *STRICT_FLAGS, "-m", "cli", "verify", "--root", root],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    assert verified.stdout == b"1 intact\n"
