"""What DELETE and MOVE do, and to what."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tus_client import staged
from upload_client import ask, full_folder, state, tag_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return full_folder(tmp_path)


def test_a_file_is_deleted_in_the_state_that_was_meant(root: Path) -> None:
    fields = {"If-Match": tag_of(root, "old")}
    assert ask(root, "DELETE", "/old", b"", fields).status_code == 204
    assert not (root / "old").exists()


def test_an_empty_folder_is_deleted_and_a_full_one_when_that_is_said(root: Path) -> None:
    assert ask(root, "DELETE", "/empty/").status_code == 204
    assert ask(root, "DELETE", "/full?recursive").status_code == 204
    assert not (root / "empty").exists()
    assert not (root / "full").exists()
    assert staged(root) == []


@pytest.mark.parametrize("target", ["/empty", "/full?recursive", "/link"])
def test_any_state_is_enough_for_what_has_no_tag(root: Path, target: str) -> None:
    # RFC 9110 section 13.1.1: "*" matches whatever is there.
    assert ask(root, "DELETE", target, b"", {"If-Match": "*"}).status_code == 204


def test_a_link_is_deleted_itself(root: Path) -> None:
    assert ask(root, "DELETE", "/link").status_code == 204
    assert ask(root, "DELETE", "/out").status_code == 204
    assert (root / "old").read_bytes() == b"old"
    assert (root.parent / "secret").exists()


MOVED = [
    # source  destination            overwrite  status
    ("old",   "/a/b/new",            "F",       201),
    ("old",   "http://host/n%20w",   "F",       201),
    ("old",   "/full/inner/file",    "T",       204),
    ("link",  "/moved",              "F",       201),
]  # fmt: skip


@pytest.mark.parametrize(("source", "destination", "overwrite", "status"), MOVED)
def test_a_file_is_moved(
    root: Path, source: str, destination: str, overwrite: str, status: int
) -> None:
    before = state(root)
    fields = {"Destination": destination, "Overwrite": overwrite}
    answer = ask(root, "MOVE", f"/{source}", b"", fields)
    assert answer.status_code == status
    assert answer.headers["location"] == urlsplit(destination).path
    assert answer.headers.get("content-length") == ("0" if status == 201 else None)
    after = state(root)
    assert f"root/{source}" not in after
    assert after["root" + unquote(urlsplit(destination).path)] == before[f"root/{source}"]


def test_a_folder_is_moved_with_all_it_holds(root: Path) -> None:
    fields = {"Destination": "/a/new/"}
    assert ask(root, "MOVE", "/full/", b"", fields).status_code == 201
    assert (root / "a" / "new" / "inner" / "file").read_bytes() == b"file"
