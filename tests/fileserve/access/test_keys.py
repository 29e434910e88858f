"""The key file: made once, rotated, forgotten, and never half written or readable by others."""

import os
import threading
from pathlib import Path

import pytest

from fileserve.access.keys import (
    KEYS_FILE,
    Key,
    KeyRing,
    KeysUnreadable,
    Purpose,
    read_keys,
    remove_key,
    rotate_key,
    signing_key,
)
from storage.errors import NotFound

SECRET = "00" * 31 + "2a"


def test_a_folder_without_the_file_has_no_keys_and_gets_none_by_reading(tmp_path: Path) -> None:
    assert read_keys(tmp_path) == KeyRing()
    assert list(tmp_path.iterdir()) == []


def test_the_first_signature_makes_a_key_that_stays(tmp_path: Path) -> None:
    made = signing_key(tmp_path, Purpose.LINK)
    assert len(made.secret) == 32
    assert signing_key(tmp_path, Purpose.LINK) == made
    assert read_keys(tmp_path).keys == (made,)


def test_links_and_sessions_have_keys_of_their_own(tmp_path: Path) -> None:
    link, session = (signing_key(tmp_path, purpose) for purpose in Purpose)
    assert link.secret != session.secret
    assert read_keys(tmp_path).all_for(Purpose.LINK) == {link.key_id: link.secret}
    assert read_keys(tmp_path).all_for(Purpose.SESSION) == {session.key_id: session.secret}


def test_nobody_but_the_owner_can_read_the_file(tmp_path: Path) -> None:
    signing_key(tmp_path, Purpose.LINK)
    rotate_key(tmp_path, Purpose.LINK)
    assert (tmp_path / KEYS_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can give files away")
def test_a_key_that_root_makes_belongs_to_whom_the_folder_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 65_534, 65_533)
    signing_key(tmp_path, Purpose.LINK)
    status = (tmp_path / KEYS_FILE).stat()
    assert (status.st_uid, status.st_gid) == (65_534, 65_533)


def test_a_rotated_key_signs_and_the_old_one_still_verifies(tmp_path: Path) -> None:
    old = signing_key(tmp_path, Purpose.LINK)
    new = rotate_key(tmp_path, Purpose.LINK)
    ring = read_keys(tmp_path)
    assert ring.signing(Purpose.LINK) == new
    assert set(ring.all_for(Purpose.LINK)) == {old.key_id, new.key_id}


def test_a_removed_key_verifies_nothing_any_more(tmp_path: Path) -> None:
    old = signing_key(tmp_path, Purpose.LINK)
    new = rotate_key(tmp_path, Purpose.LINK)
    remove_key(tmp_path, Purpose.LINK, old.key_id)
    assert set(read_keys(tmp_path).all_for(Purpose.LINK)) == {new.key_id}


def test_a_key_of_another_purpose_is_not_removed(tmp_path: Path) -> None:
    session = signing_key(tmp_path, Purpose.SESSION)
    with pytest.raises(NotFound, match=session.key_id):
        remove_key(tmp_path, Purpose.LINK, session.key_id)
    assert read_keys(tmp_path).keys == (session,)


def test_two_that_make_the_first_key_at_once_get_the_same(tmp_path: Path) -> None:
    found: list[Key] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        found.append(signing_key(tmp_path, Purpose.LINK))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEYS_FILE]


UNREADABLE = [
    # content                                          id
    (b"link 3f9a1c02 abcd 1790000000\n",               "short-secret"),
    (f"links 3f9a1c02 {SECRET} 1\n".encode(),          "unknown-purpose"),
    (f"link ../x {SECRET} 1\n".encode(),               "id-is-no-id"),
    (f"link 3f9a1c02 {SECRET}\n".encode(),             "no-time"),
    (b"\xff\xfe",                                      "not-ascii"),
    (b"SQLite format 3\0",                             "another-file"),
]  # fmt: skip


@pytest.mark.parametrize(
    "content", [row[0] for row in UNREADABLE], ids=[row[1] for row in UNREADABLE]
)
def test_a_damaged_file_is_told_of_and_not_written_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / KEYS_FILE
    path.write_bytes(content)
    for use in (read_keys, lambda folder: signing_key(folder, Purpose.LINK)):
        with pytest.raises(KeysUnreadable, match="key file"):
            use(tmp_path)
    assert path.read_bytes() == content


def test_blank_lines_and_remarks_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / KEYS_FILE).write_text(f"# of mine\n\nlink 3f9a1c02 {SECRET} 1790000000\n")
    (key,) = read_keys(tmp_path).keys
    assert key == Key(Purpose.LINK, "3f9a1c02", b"\0" * 31 + b"\x2a", 1790000000)


def test_a_key_does_not_show_its_secret(tmp_path: Path) -> None:
    key = signing_key(tmp_path, Purpose.LINK)
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(KeyRing((key,)))
