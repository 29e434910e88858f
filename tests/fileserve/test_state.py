"""The state folder: where it is for which settings and environment."""

import hashlib
import os
from pathlib import Path

import pytest

from fileserve.settings import Settings, SettingsError
from fileserve.state import (
    catalog_file,
    catalog_url,
    made_state_folder,
    needs_catalog,
    state_folder,
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    root = tmp_path / "my films"
    root.mkdir()
    return root


def own_name(root: Path, readable: str) -> str:
    return f"{readable}-{hashlib.sha256(os.path.realpath(os.fsencode(root))).hexdigest()[:8]}"


PLACES = [
    # environment                                                 folder, {} is the root's own name
    ({}, "/home/somebody/.local/state/fileserve/{}"),
    ({"XDG_STATE_HOME": "/var/x"}, "/var/x/fileserve/{}"),
    ({"XDG_STATE_HOME": "relative"}, "/home/somebody/.local/state/fileserve/{}"),  # XDG: ignored
    ({"XDG_STATE_HOME": ""}, "/home/somebody/.local/state/fileserve/{}"),
    ({"STATE_DIRECTORY": "/var/lib/fileserve"}, "/var/lib/fileserve"),
    ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/x"}, "/var/lib/a"),
]


@pytest.mark.parametrize(("environment", "expected"), PLACES)
def test_the_default_folder_follows_systemd_xdg_and_home(
    root: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert state_folder(Settings(root=root)) == Path(expected.format(own_name(root, "my_films")))


def test_each_root_has_a_folder_of_its_own_whatever_it_is_called(root: Path) -> None:
    other = root / "my films"
    other.mkdir()
    strange = root / "\udcff\n"
    strange.mkdir()
    folders = {state_folder(Settings(root=each)) for each in (root, other, strange)}
    assert len(folders) == 3
    assert state_folder(Settings(root=strange)).name == own_name(strange, "_")


def test_one_root_has_one_folder_by_whatever_way_it_is_named(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert state_folder(Settings(root=link)) == state_folder(Settings(root=root))


def test_the_root_of_the_system_has_a_name_too(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="lies in the served folder"):
        state_folder(Settings(root="/", state_dir=tmp_path))


def test_a_setting_outdoes_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/fileserve")
    assert state_folder(Settings(root=root, state_dir="/elsewhere")) == Path("/elsewhere")


@pytest.mark.parametrize("inside", ["", "state", "a/b"])
def test_a_folder_in_the_root_is_refused_also_behind_a_symlink(root: Path, inside: str) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    for folder in (root / inside, link / inside):
        with pytest.raises(SettingsError, match="lies in the served folder"):
            state_folder(Settings(root=root, state_dir=folder))
    with pytest.raises(SettingsError, match=r"catalog: .* lies in the served folder"):
        catalog_url(Settings(root=root, catalog=f"sqlite:///{link / inside}/c.sqlite"))


def test_a_folder_beside_the_root_that_begins_alike_is_not_in_it(root: Path) -> None:
    beside = Path(f"{root} state")
    assert state_folder(Settings(root=root, state_dir=beside)) == beside


def test_the_folder_is_made_with_its_parents_for_its_owner_only(root: Path) -> None:
    folder = root.parent / "a" / "b"
    settings = Settings(root=root, state_dir=folder)
    for _ in range(2):
        assert made_state_folder(settings) == folder
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_named(root: Path) -> None:
    (root.parent / "file").touch()
    with pytest.raises(SettingsError, match=r"cannot make .*file/state"):
        made_state_folder(Settings(root=root, state_dir=root.parent / "file" / "state"))


def test_the_catalog_lies_in_the_folder_or_where_it_is_told(root: Path) -> None:
    default = Settings(root=root, state_dir="/elsewhere")
    assert catalog_url(default) == "sqlite:////elsewhere/catalog.sqlite"
    assert catalog_file(default) == Path("/elsewhere/catalog.sqlite")
    shared = Settings(root=root, catalog="postgresql://host/db")
    assert (catalog_url(shared), catalog_file(shared)) == ("postgresql://host/db", None)
    own = Settings(root=root, catalog="sqlite:////elsewhere/c")
    assert catalog_file(own) == Path("/elsewhere/c")


NEEDS = [
    # settings                              needs one
    ({}, False),
    ({"state_dir": "/x"}, False),
    ({"private": True}, True),
    ({"writable": True}, True),
    ({"background_checksums": True}, True),
    ({"catalog": "postgresql://host/db"}, True),
]


@pytest.mark.parametrize(("given", "needs"), NEEDS)
def test_only_what_writes_or_asks_who_needs_a_catalog(
    root: Path, given: dict[str, object], needs: bool
) -> None:
    assert needs_catalog(Settings.model_validate({"root": root, **given})) is needs


def test_a_folder_of_one_root_is_refused_to_another(root: Path) -> None:
    folder, other = root.parent / "state", root.parent / "other"
    other.mkdir()
    assert made_state_folder(Settings(root=root, state_dir=folder)) == folder
    with pytest.raises(SettingsError, match=f"to the root {root}, not to {other}: .*{folder}/root"):
        state_folder(Settings(root=other, state_dir=folder))
    assert state_folder(Settings(root=root, state_dir=folder)) == folder
    (folder / "root").unlink()
    assert made_state_folder(Settings(root=other, state_dir=folder)) == folder
    with pytest.raises(SettingsError, match=f"to the root {other}, not to {root}"):
        made_state_folder(Settings(root=root, state_dir=folder))


def test_a_root_that_was_renamed_keeps_its_folder(root: Path) -> None:
    folder, link, moved = root.parent / "state", root.parent / "link", root.parent / "moved"
    made_state_folder(Settings(root=root, state_dir=folder))
    link.symlink_to(root)
    assert made_state_folder(Settings(root=link, state_dir=folder)) == folder
    root.rename(moved)
    assert made_state_folder(Settings(root=moved, state_dir=folder)) == folder
    assert (folder / "root").read_bytes().endswith(b" %s\n" % os.fsencode(moved))


@pytest.mark.parametrize("record", [b"", b"rubbish", b"1 2 relative\n"])
def test_a_record_that_cannot_be_read_is_none(root: Path, record: bytes) -> None:
    folder = root.parent / "state"
    folder.mkdir()
    (folder / "root").write_bytes(record)
    assert made_state_folder(Settings(root=root, state_dir=folder)) == folder
    assert os.fsencode(root) in (folder / "root").read_bytes()
