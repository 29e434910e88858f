"""A catalog of a newer version is left alone, one of an older version becomes one of this."""

import pytest
from sqlalchemy import Connection, text

from storage import catalog_schema
from storage.catalog import Catalog
from storage.catalog_engine import make_engine, writing
from storage.catalog_repair import open_or_renew
from storage.errors import CatalogUnavailable
from tests.storage.filled_catalog import TOKEN


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
