"""A catalog that is broken or lost, and the copy of what may not be lost with it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.catalog import Catalog
from storage.catalog_records import FileDigest
from storage.catalog_repair import open_or_renew, renew
from storage.errors import CatalogDamaged, CatalogUnavailable
from tests.storage.filled_catalog import OTHER_TOKEN, REVOKED, TOKEN, filled_catalog


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return filled_catalog(tmp_path / "catalog.sqlite")


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
