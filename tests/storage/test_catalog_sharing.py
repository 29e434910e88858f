"""A catalog that many threads and processes open, lock, change and close at once."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from storage import catalog_engine
from storage.catalog import Catalog
from storage.catalog_access import begin_delivery
from storage.catalog_engine import make_engine, writing
from storage.catalog_records import TokenRecord
from storage.errors import CatalogUnavailable
from tests.storage.filled_catalog import OTHER_TOKEN, TOKEN, filled_catalog


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return filled_catalog(tmp_path / "catalog.sqlite")


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
