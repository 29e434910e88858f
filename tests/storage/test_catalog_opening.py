"""Where a catalog may lie, for whom it is, and what cannot be opened, in words."""

import os
import stat
from pathlib import Path

import pytest

from storage.catalog import Catalog
from storage.catalog_repair import open_or_renew
from storage.errors import CatalogUnavailable, NameRefused
from tests.storage.filled_catalog import TOKEN, filled_catalog


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return filled_catalog(tmp_path / "catalog.sqlite")


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


def test_text_that_is_none_is_refused(file: Path) -> None:
    with Catalog.open(f"sqlite:///{file}") as catalog, pytest.raises(NameRefused, match="no text"):
        catalog.revoke_token("\udcff", 1)
