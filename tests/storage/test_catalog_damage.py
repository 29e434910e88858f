"""A catalog that is broken, busy, gone, too new, or many processes' at once."""

import dataclasses
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from storage import catalog_engine, catalog_schema
from storage.catalog import Catalog
from storage.catalog_access import begin_delivery
from storage.catalog_engine import make_engine, writing
from storage.catalog_records import FileDigest, LinkRecord, TokenRecord
from storage.catalog_repair import open_or_renew, renew
from storage.errors import CatalogDamaged, CatalogUnavailable, NameRefused

TOKEN = TokenRecord("a", b"1" * 32, "read", b"", 1)
OTHER_TOKEN = TokenRecord("b", b"2" * 32, "write", b"b", 1, revoked_at=2)
LINK = LinkRecord("one", "k", b"a", False, 1)
REVOKED = LinkRecord("two", "k", b"a\xff", True, 1, 2, 3, 4, "::1", True, 6)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a catalog with a token, a link and 2,000 digests."""
    file = tmp_path / "catalog.sqlite"
    with Catalog.open(f"sqlite:///{file}") as catalog:
        catalog.put_digests(
            FileDigest(b"%d" % n, 1, 2, 3, 4, b"s" * 32, 5, 6, b"p" * 600) for n in range(2_000)
        )
        catalog.put_token(TOKEN)
        catalog.put_token(OTHER_TOKEN)
        catalog.put_link(LINK)
        catalog.put_link(dataclasses.replace(REVOKED, revoked_at=None))
        catalog.revoke_link("two", 6)
    return file


def overwrite_all(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1_000)


def overwrite_header(file: Path) -> None:
    with open(file, "r+b") as opened:
        opened.write(b"\xff" * 100)


def cut_in_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def overwrite_the_end(file: Path) -> None:
    size = file.stat().st_size
    with open(file, "r+b") as opened:
        opened.seek(size // 2)
        opened.write(os.urandom(size // 2))


DAMAGES = [overwrite_all, overwrite_header, cut_in_half, overwrite_the_end]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_file_is_set_aside_and_tokens_go_on(
    file: Path, damage: Callable[[Path], None]
) -> None:
    damage(file)
    broken = file.read_bytes()
    catalog, told = renew(f"sqlite:///{file}")
    with catalog:
        assert catalog.tokens() == [TOKEN, OTHER_TOKEN]
        assert catalog.links() == [REVOKED]
        assert catalog.count_digests() == 0
        catalog.put_digests([FileDigest(b"a", 1, 2, 3, 4, b"s" * 32, 5)])
    assert [sentence.split()[-1] for sentence in told] == [f"{file}.broken-1"]
    assert Path(f"{file}.broken-1").read_bytes() == broken


def test_a_file_broken_from_the_start_is_noticed_when_it_is_opened(file: Path) -> None:
    overwrite_all(file)
    with pytest.raises(CatalogDamaged):
        Catalog.open(f"sqlite:///{file}")
    for number in (1, 2):
        overwrite_all(file)
        catalog, told = open_or_renew(f"sqlite:///{file}")
        catalog.close()
        assert [sentence.split()[-1] for sentence in told] == [f"{file}.broken-{number}"]


def test_a_whole_catalog_is_not_set_aside(file: Path) -> None:
    catalog, told = renew(f"sqlite:///{file}")
    with catalog:
        assert told == []
        assert catalog.count_digests() == 2_000


def test_what_stands_in_the_log_of_a_broken_file_is_set_aside_with_it(file: Path) -> None:
    url = f"sqlite:///{file}"
    with Catalog.open(url) as writer:
        writer.revoke_token("a", 7)
        overwrite_all(file)
        assert Path(f"{file}-wal").stat().st_size > 0
        catalog, _ = renew(url)
        with catalog:
            assert [token.revoked_at for token in catalog.tokens()] == [7, 2]
    assert Path(f"{file}.broken-1-wal").exists()


def test_reading_what_is_broken_in_the_middle_says_so(file: Path) -> None:
    overwrite_the_end(file)
    with Catalog.open(f"sqlite:///{file}") as catalog:
        with pytest.raises(CatalogDamaged):
            catalog.check()
        with pytest.raises(CatalogDamaged):
            [*catalog.digests_below(b"")]


def test_a_lost_catalog_costs_checksums_and_no_tokens(file: Path) -> None:
    file.unlink()
    with Catalog.open(f"sqlite:///{file}") as catalog:
        assert catalog.tokens() == [TOKEN, OTHER_TOKEN]
        assert catalog.links() == [REVOKED]
        assert (catalog.revision(), catalog.count_digests()) == (0, 0)


def test_a_lost_catalog_and_copy_are_made_anew(file: Path) -> None:
    file.unlink()
    Path(f"{file}.access.json").unlink()
    with Catalog.open(f"sqlite:///{file}") as catalog:
        assert (catalog.tokens(), catalog.links()) == ([], [])


BROKEN_COPIES = ["", "{", "[]", '{"tokens": [{}], "revoked_links": []}', "\xff"]


@pytest.mark.parametrize("content", BROKEN_COPIES)
def test_a_broken_copy_is_written_anew(file: Path, content: str) -> None:
    copy = Path(f"{file}.access.json")
    whole = copy.read_bytes()
    copy.write_bytes(content.encode("latin-1"))
    with Catalog.open(f"sqlite:///{file}"):
        assert copy.read_bytes() == whole


@pytest.mark.parametrize("content", BROKEN_COPIES)
def test_a_broken_copy_is_set_aside_where_nothing_else_is_left(file: Path, content: str) -> None:
    copy = Path(f"{file}.access.json")
    copy.write_bytes(content.encode("latin-1"))
    file.unlink()
    catalog, told = open_or_renew(f"sqlite:///{file}")
    with catalog:
        assert (catalog.tokens(), catalog.links()) == ([], [])
        catalog.put_token(TOKEN)
    assert [f"{copy}.broken-1" in sentence for sentence in told] == [True]
    assert Path(f"{copy}.broken-1").read_bytes() == content.encode("latin-1")


def test_catalog_and_copy_broken_at_once_are_both_set_aside(file: Path) -> None:
    overwrite_all(file)
    Path(f"{file}.access.json").write_text("{")
    catalog, told = open_or_renew(f"sqlite:///{file}")
    with catalog:
        assert catalog.tokens() == []
    assert [f"{file}.broken-1" in told[0], f"{file}.access.json.broken-1" in told[1]] == [True] * 2


def test_the_copy_holds_no_secret_and_is_replaced_whole(file: Path) -> None:
    copy = Path(f"{file}.access.json")
    first = copy.stat().st_ino
    with Catalog.open(f"sqlite:///{file}") as catalog:
        assert copy.stat().st_ino == first  # nothing new to write
        catalog.revoke_token("a", 5)
    assert copy.stat().st_ino != first
    assert not Path(f"{copy}.new").exists()
    assert TOKEN.secret_hash.hex() in copy.read_text()


def test_a_copy_that_cannot_be_written_is_told_by_the_change_it_lacks(file: Path) -> None:
    with Catalog.open(f"sqlite:///{file}") as catalog:
        Path(f"{file}.access.json").unlink()
        Path(f"{file}.access.json").mkdir()
        with pytest.raises(CatalogUnavailable, match="the copy for its loss was not"):
            catalog.revoke_token("a", 5)
        assert catalog.tokens()[0].revoked_at == 5
    with Catalog.open(f"sqlite:///{file}") as catalog:
        assert catalog.tokens()[0].revoked_at == 5


def test_a_catalog_is_for_its_owner_only(file: Path) -> None:
    with Catalog.open(f"sqlite:///{file}") as catalog:
        catalog.revoke_token("a", 1)
        for each in file.parent.iterdir():
            assert stat.S_IMODE(each.stat().st_mode) == 0o600, each


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root acts for another user")
def test_what_root_makes_in_a_services_folder_is_the_services(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite") as catalog:
        catalog.put_token(TOKEN)
        owners = {each.name: each.stat().st_uid for each in tmp_path.iterdir()}
    assert owners == dict.fromkeys(
        [f"catalog.sqlite{suffix}" for suffix in ("", "-shm", "-wal", ".access.json", ".lock")],
        65534,
    )


def test_a_symlink_in_place_of_the_catalog_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "catalog.sqlite").symlink_to(victim)
    with pytest.raises(CatalogUnavailable):
        Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite")
    assert not victim.exists()


STRANGE_PATHS = ["with ?query=1#x", "per%20cent", "ä\udcff", "a b'\"\n"]


@pytest.mark.parametrize("name", STRANGE_PATHS, ids=["url", "percent", "bytes", "quotes"])
def test_the_path_of_a_catalog_is_taken_literally(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with Catalog.open(f"sqlite:///{tmp_path}/{name}/catalog.sqlite") as catalog:
        catalog.put_token(TOKEN)
    assert (tmp_path / name / "catalog.sqlite").exists()


UNUSABLE = [
    # url                                         what is said                     id
    ("sqlite:", "should look like", "no-path"),
    ("sqlite:///", "should look like", "empty-path"),
    ("sqlite:////no/such/folder/c.sqlite", "No such file", "no-folder"),
    ("sqlite:///{folder}", "Is a directory", "folder"),
    ("postgresql://x@/y?host=/no/such/folder", "No such file", "no-server"),
    ("postgresql://x:port/y", "no URL", "no-url"),
]


@pytest.mark.parametrize(("url", "said"), [r[:2] for r in UNUSABLE], ids=[r[2] for r in UNUSABLE])
def test_what_cannot_be_opened_is_unavailable_in_words(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CatalogUnavailable, match=said):
        open_or_renew(url.replace("{folder}", str(tmp_path / "folder")))


def test_the_password_of_a_database_is_in_no_sentence() -> None:
    with pytest.raises(CatalogUnavailable) as refused:
        Catalog.open("postgresql://x:geheim@127.0.0.1:1/y")
    assert "geheim" not in str(refused.value)


def test_a_locked_catalog_is_busy_and_not_broken(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_engine, "_BUSY_SECONDS", 0.2)
    with Catalog.open(f"sqlite:///{file}") as catalog:
        other = sqlite3.connect(file)
        other.execute("BEGIN EXCLUSIVE")
        try:
            assert catalog.tokens() == [TOKEN, OTHER_TOKEN]
            with pytest.raises(CatalogUnavailable, match="busy"):
                catalog.revoke_token("a", 1)
        finally:
            other.rollback()
            other.close()
        catalog.revoke_token("a", 1)


def test_a_process_that_hangs_while_it_opens_a_catalog_holds_up_nobody_for_ever(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_engine, "_BUSY_SECONDS", 0.2)
    with (
        catalog_engine.held(str(file)),
        pytest.raises(CatalogUnavailable, match="busy"),
    ):
        Catalog.open(f"sqlite:///{file}")
    Catalog.open(f"sqlite:///{file}").close()


def test_text_that_is_none_is_refused(file: Path) -> None:
    with Catalog.open(f"sqlite:///{file}") as catalog, pytest.raises(NameRefused, match="no text"):
        catalog.revoke_token("\udcff", 1)


def test_a_newer_catalog_is_refused_and_left_alone(catalog_url: str) -> None:
    with Catalog.open(catalog_url) as catalog:
        catalog.put_token(TOKEN)
    set_version(catalog_url, 99)
    with pytest.raises(CatalogUnavailable, match="version 99, this fileserve knows"):
        open_or_renew(catalog_url)
    set_version(catalog_url, catalog_schema.SCHEMA_VERSION)
    with Catalog.open(catalog_url) as catalog:
        assert catalog.tokens() == [TOKEN]


def set_version(url: str, version: int) -> None:
    engine = make_engine(url)
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE catalog_state SET schema_version = {version}"))
    engine.dispose()


def test_an_older_catalog_becomes_one_of_this_version_and_keeps_its_rows(
    catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(catalog_url) as catalog:
        catalog.put_token(TOKEN)
    next_version = catalog_schema.SCHEMA_VERSION + 1
    monkeypatch.setattr(catalog_schema, "STEPS", (*catalog_schema.STEPS, add_a_column))
    monkeypatch.setattr(catalog_schema, "SCHEMA_VERSION", next_version)
    for _ in range(2):  # the second time there is nothing to do
        with Catalog.open(catalog_url) as catalog:
            assert catalog.tokens() == [TOKEN]
            assert catalog.revision() == 1
    set_version(catalog_url, next_version)


def add_a_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE tokens ADD COLUMN colour VARCHAR"))


def test_a_migration_that_fails_changes_nothing(
    catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(catalog_url) as catalog:
        catalog.put_token(TOKEN)

    def fail(connection: Connection) -> None:
        add_a_column(connection)
        connection.execute(text("SELECT * FROM nowhere"))

    with monkeypatch.context() as patched:
        patched.setattr(catalog_schema, "STEPS", (*catalog_schema.STEPS, fail))
        patched.setattr(catalog_schema, "SCHEMA_VERSION", catalog_schema.SCHEMA_VERSION + 1)
        with pytest.raises(CatalogUnavailable, match="nowhere"):
            Catalog.open(catalog_url)
    with Catalog.open(catalog_url) as catalog:
        assert catalog.tokens() == [TOKEN]


def test_whoever_counts_waits_for_all_who_count_or_change(
    catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_engine, "_BUSY_SECONDS", 60.0)
    claims: list[bool] = []
    other = make_engine(catalog_url)
    with Catalog.open(catalog_url) as catalog:
        thread = threading.Thread(
            target=lambda: claims.append(catalog.claim_delivery("link", b"a", 1, 1, 100))
        )
        with writing(other) as connection:
            connection.execute(text("UPDATE catalog_state SET revision = revision + 1"))
            begin_delivery(connection, "link", b"b", 1, 1)
            thread.start()
            thread.join(0.3)
            assert claims == []
        thread.join(60)
    other.dispose()
    assert claims == [False]


def test_another_process_that_closes_does_not_remove_the_log_in_use(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalog.sqlite"
    opening = "import sys; from storage.catalog import Catalog; Catalog.open(sys.argv[1]).close()"
    with Catalog.open(url) as catalog:
        catalog.put_token(TokenRecord("t", b"h" * 32, "read", b"", 1))
        subprocess.run([sys.executable, "-c", opening, url], check=True, timeout=60)
        assert (tmp_path / "catalog.sqlite-wal").exists()
        catalog.put_token(TokenRecord("u", b"i" * 32, "read", b"", 1))
        with Catalog.open(url) as other:
            assert len(other.tokens()) == 2


CLAIMS_AND_WRITES = """
import sys
from storage import catalog_engine
from storage.catalog import Catalog
from storage.catalog_records import FileDigest, TokenRecord

catalog_engine._BUSY_SECONDS = 100.0  # however slowly the disk confirms what others write
url, number = sys.argv[1], int(sys.argv[2])
won = 0
with Catalog.open(url) as catalog:
    catalog.put_token(TokenRecord(f"t{number}", b"%032d" % number, "read", b"", 1))
    for n in range(10):
        won += catalog.claim_delivery("link", b"%d %d" % (number, n), 17, n, 100)
        catalog.put_digests([FileDigest(b"%d %d" % (number, n), 1, 2, 3, 4, b"s" * 32, 5)])
        catalog.tokens()
print(won)
"""


def test_many_processes_share_a_catalog_that_none_has_made_yet(catalog_url: str) -> None:
    command = [sys.executable, "-c", CLAIMS_AND_WRITES, catalog_url]
    processes = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    won = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(won) == 17
    with Catalog.open(catalog_url) as catalog:
        assert catalog.deliveries("link") == 17
        assert len(catalog.tokens()) == 4
        assert catalog.count_digests() == 40
        assert catalog.revision() == 44
