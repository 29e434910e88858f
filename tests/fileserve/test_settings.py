"""Where settings come from, which place wins, and what a refusal says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fileserve.setting_layers import explain, load_settings
from fileserve.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No configuration but the test's own: an empty working folder and home."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FILESERVE_{name.upper()}", raising=False)
    monkeypatch.delenv("FILESERVE_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    return working


def write_config(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def row_of(name: str, overrides: dict[str, object]) -> tuple[object, str]:
    return next((row.value, row.source) for row in explain(overrides) if row.name == name)


def test_each_place_beats_those_below_it(
    monkeypatch: pytest.MonkeyPatch, nothing_around: Path
) -> None:
    assert row_of("port", {"root": "/srv"}) == (8000, "default")
    file = write_config(nothing_around / "fileserve.toml", "port = 1001")
    assert row_of("port", {"root": "/srv"}) == (1001, file.name)
    monkeypatch.setenv("FILESERVE_PORT", "1002")
    source = "the environment variable FILESERVE_PORT"
    assert row_of("port", {"root": "/srv"}) == (1002, source)
    assert row_of("port", {"root": "/srv", "port": 1003}) == (1003, "the command line")


def test_an_override_of_none_was_not_given() -> None:
    assert load_settings({"root": "/srv", "port": None}).port == 8000


def test_an_empty_environment_variable_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESERVE_TLS_KEY", "")
    assert load_settings({"root": "/srv"}).tls_key is None


def test_constructing_settings_reads_nothing_but_its_arguments(
    monkeypatch: pytest.MonkeyPatch, nothing_around: Path
) -> None:
    monkeypatch.setenv("FILESERVE_PORT", "1002")
    write_config(nothing_around / "fileserve.toml", "workers = 2")
    settings = Settings(root=Path("/srv"))
    assert (settings.port, settings.workers) == (8000, 1)


def test_the_first_file_that_is_there_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nothing_around: Path
) -> None:
    def port() -> int:
        return load_settings({"root": "/srv"}).port

    write_config(tmp_path / "xdg/fileserve/fileserve.toml", "port = 3")
    assert port() == 3
    write_config(nothing_around / "fileserve.toml", "port = 2")
    assert port() == 2
    monkeypatch.setenv("FILESERVE_CONFIG", str(write_config(tmp_path / "named.toml", "port = 1")))
    assert port() == 1


@pytest.mark.parametrize("kind", ["folder", "fifo", "broken link"])
def test_what_has_the_name_of_the_file_and_is_none_is_refused(
    nothing_around: Path, kind: str
) -> None:
    place = nothing_around / "fileserve.toml"
    match kind:
        case "folder":
            place.mkdir()
        case "fifo":
            os.mkfifo(place)
        case _:
            place.symlink_to("gone.toml")
    with pytest.raises(SettingsError, match=r"fileserve\.toml is no regular file"):
        load_settings({"root": "/srv"})


def test_without_xdg_config_home_the_file_is_in_dot_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    write_config(tmp_path / ".config/fileserve/fileserve.toml", "port = 4")
    assert load_settings({"root": "/srv"}).port == 4


def test_relative_paths_in_a_file_are_meant_from_its_folder(tmp_path: Path) -> None:
    file = write_config(tmp_path / "etc/fileserve.toml", 'root = "films"')
    assert load_settings({}, file).root == tmp_path / "etc/films"


LISTS = [
    # environment           settings
    ("a,b",                 ("a", "b")),
    (" a , b/c ,",          ("a", "b/c")),
    ('["a,b", "c"]',        ("a,b", "c")),
    ("a",                   ("a",)),
    (",",                   ()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), LISTS)
def test_a_list_in_the_environment_has_commas_or_is_json(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FILESERVE_CHUNKED", text)
    assert load_settings({"root": "/srv"}).chunked == expected


def test_a_list_in_a_file_is_a_list(tmp_path: Path) -> None:
    file = write_config(tmp_path / "f.toml", 'root = "/srv"\ncors_origins = ["https://a.example"]')
    assert load_settings({}, file).cors_origins == ("https://a.example",)


ACCEPTED = [
    ("port", 0), ("port", 65_535), ("workers", 1), ("max_connections", 0), ("drain_seconds", 0),
    ("idle_timeout_seconds", 0.1), ("cors_origins", ["*"]), ("cors_origins", ["http://[::1]:80"]),
    ("trusted_proxies", ["10.0.0.0/8", "::1", "*"]), ("cache_control", "public, max-age=60"),
    ("symlinks", "never"), ("log_format", "json"), ("public_url", "https://a.example/files"),
]  # fmt: skip
REFUSED = [
    ("port", -1), ("port", 65_536), ("port", "http"), ("workers", 0), ("max_connections", -1),
    ("drain_seconds", -1), ("header_timeout_seconds", 0), ("idle_timeout_seconds", 0),
    ("keep_alive_seconds", -5), ("mount_deadline_seconds", float("inf")), ("mount_threads", 0),
    ("max_header_bytes", 0), ("max_target_bytes", 0), ("symlinks", "all"), ("log_format", "xml"),
    ("cors_origins", ["https://a.example/"]), ("cors_origins", ["a.example"]), ("host", ""),
    ("trusted_proxies", ["proxy"]), ("cache_control", "no-cache\r\nSet-Cookie: a=b"),
    ("chunked", ["/srv/a"]), ("zero_copy", ["../a"]), ("public_url", "ftp://a.example"),
    ("public_url", "https://user@a.example"), ("hidden", "perhaps"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_value_within_bounds_holds(name: str, value: object) -> None:
    held = getattr(load_settings({"root": "/srv", name: value}), name)
    assert (list(held) if isinstance(value, list) else held) == value


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_out_of_bounds_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} .*the command line"):
        load_settings({"root": "/srv", name: value})


def test_a_public_url_has_no_slash_at_its_end() -> None:
    settings = load_settings({"root": "/srv", "public_url": "https://a.example/"})
    assert settings.public_url == "https://a.example"


SENTENCES = [
    # overrides                   environment                    words of the refusal
    ({},                          {},                            ["root", "FILESERVE_ROOT"]),
    ({"root": "/"},               {"FILESERVE_PORT": "x"},       ["port", "'x'", "FILESERVE_PORT"]),
    ({"root": "/"},               {"FILESERVE_CHUNKED": "[1"},   ["FILESERVE_CHUNKED", "JSON"]),
    ({"root": "/"},               {"FILESERVE_CONFIG": "gone"},  ["FILESERVE_CONFIG", "gone"]),
    ({"root": "/", "poort": 1},   {},                            ["'poort'", "'port'"]),
    ({"root": "/", "tls_key": 1}, {},                            ["tls_key", "the command line"]),
    ({"root": "/"},               {"FILESERVE_TLS_KEY": "k"},    ["FILESERVE_TLS_KEY", "together"]),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "environment", "words"), SENTENCES)
def test_a_refusal_names_the_setting_and_its_place(
    monkeypatch: pytest.MonkeyPatch,
    overrides: dict[str, object],
    environment: dict[str, str],
    words: list[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings(overrides)
    sentence = str(refused.value)
    assert [word for word in words if word not in sentence] == []
    assert "\n" not in sentence


FILES = [
    # text                words
    ("poort = 1",          ["'poort'", "'port'"]),
    ("cors-origins = []", ["'cors-origins'", "'cors_origins'"]),
    ("xyzzy = 1",         ["'xyzzy'", "remove"]),
    ("[fileserve]",       ["'fileserve'"]),
    ("port = ",           ["not TOML"]),
    ("port = 70000",      ["port", "70000"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), FILES)
def test_a_faulty_file_is_refused_by_its_path(tmp_path: Path, text: str, words: list[str]) -> None:
    file = write_config(tmp_path / "odd {name}.toml", text)
    with pytest.raises(SettingsError) as refused:
        load_settings({"root": "/srv"}, file)
    assert [word for word in [str(file), *words] if word not in str(refused.value)] == []


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({"root": "/srv"}, tmp_path)


def test_settings_without_a_root_can_be_explained() -> None:
    rows = explain({})
    assert [row.name for row in rows] == list(Settings.model_fields)
    assert (rows[0].name, rows[0].value, rows[0].source) == ("root", None, "not set")


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_importing_settings_loads_no_web_framework() -> None:
    code = "import sys, fileserve.settings; print({'fastapi', 'starlette'} & set(sys.modules))"
    printed = subprocess.check_output(
        [sys.executable, "-c", code], text=True, cwd=Path(__file__).parents[2]
    )
    assert printed.strip() == "set()"
