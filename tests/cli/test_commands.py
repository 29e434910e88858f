"""What all commands have in common: refusals, root, settings, help and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import LIMIT_SECONDS, Names, Shell

REFUSALS = [
    # words                                     code  part of the sentence
    (["list", "missing"], 3, "missing: not found"),
    (["list", "../x"], 2, "'.' and '..' are not names"),
    (["list", "--json", "--csv"], 2, "exclude each other"),
    (["list", "--root", "nix"], 3, "nix: not found"),
    (["list", "--root", "a.bin"], 2, "a.bin: is not a folder"),
    (["info", "missing"], 3, "missing: not found"),
    (["info", "/etc/passwd"], 2, "names are relative to the root folder"),
    (["info", "-"], 2, "reserved"),
    (["info", ".hidden"], 3, "is hidden"),
    (["info", "fifo"], 3, "no regular file"),
    (["add", "missing"], 3, "missing: not found"),
    (["add", "/dev/null"], 1, "neither a file nor a folder"),
    (["add", "root/fifo"], 1, "neither a file nor a folder"),
    (["add", "a.bin", "--name", "c.txt"], 4, "c.txt: already exists"),
    (["add", "a.bin", "--name", "films", "--replace"], 4, "a folder of this name"),
    (["add", "a.bin", "--to", "c.txt"], 2, "c.txt: is not a folder"),
    (["add", "a.bin", "--to", ".."], 2, "'.' and '..' are not names"),
    (["add", "a.bin", "--name", "x/y"], 2, "no slash"),
    (["add", "a.bin", "a.bin"], 4, "the same name"),
    (["add", "a.bin", "root/c.txt", "--name", "x"], 2, "--name goes with one SOURCE"),
    (["add", "a.bin", "--move", "--link"], 2, "exclude each other"),
    (["add", "-"], 2, "add --name NAME"),
    (["add", "-", "--name", "x", "--move"], 2, "neither moved nor linked"),
    (["add", "-", "a.bin", "--name", "x"], 2, "--name goes with one SOURCE"),
    (["remove", "c.txt"], 2, "nobody to ask"),
    (["remove", "missing", "--yes"], 3, "missing: not found"),
    (["remove", "c.txt", "missing", "--yes"], 3, "missing: not found"),
    (["remove", "films", "--yes"], 2, "is a folder; add --recursive"),
    (["remove", ".", "--yes", "--recursive"], 2, "the root folder itself"),
    (["move", "missing", "x"], 3, "missing: not found"),
    (["move", "c.txt", "films/b.mkv"], 4, "films/b.mkv: already exists"),
    (["move", "films", "films/x"], 2, "into itself"),
    (["doctor", "missing"], 3, "missing: not found"),
    (["doctor", "--root", "x", "y"], 2, "give one of them"),
    (["serve", "missing"], 3, "missing"),
    (["serve", "--port", "99999"], 2, "port is 99999"),
    (["serve", "--symlinks", "always"], 2, "symlinks is 'always'"),
    (["serve", "--tls-key", "x"], 2, "set both"),
    (["lisst"], 2, "Did you mean 'list'?"),
    (["list", "--sort", "colour"], 2, "'colour' is not one of"),
    (["add"], 2, "Missing argument"),
]


@pytest.mark.parametrize(
    ("words", "code", "sentence"), REFUSALS, ids=[" ".join(row[0]) for row in REFUSALS]
)
def test_refusal_is_one_sentence_and_changes_nothing(
    shell: Shell, films: Names, words: list[str], code: int, sentence: str
) -> None:
    os.mkfifo(shell.root / "fifo")
    (shell.root / ".hidden").write_bytes(b"")
    before = films()
    ended = shell.run(*words)
    assert (ended.code, ended.out) == (code, "")
    assert sentence in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
    if ended.err.startswith("fileserve: "):
        assert ended.err.count("\n") == 1
    assert films() == before
    assert (shell.folder / "a.bin").exists()


@pytest.mark.parametrize(
    "words", [["list"], ["info", "a"], ["add", "a.bin"], ["serve"], ["doctor"]]
)
def test_without_a_root_anywhere_one_sentence_says_where_to_set_it(
    shell: Shell, words: list[str]
) -> None:
    ended = shell.run(*words, FILESERVE_ROOT="")
    assert ended.code == 2
    assert ended.err.startswith("fileserve: root is not set; give it on the command line, ")


@pytest.mark.parametrize(
    "words", [["serve", ""], ["serve", "--root", ""], ["list", "--root", ""], ["doctor", ""]]
)
def test_an_empty_root_is_not_the_current_folder(shell: Shell, words: list[str]) -> None:
    # A script's variable that was not set must not publish whatever folder it runs in.
    ended = shell.run(*words)
    assert ended.code == 2
    assert "should not be empty" in ended.err


def test_root_is_found_in_the_configuration_file(shell: Shell, films: Names) -> None:
    (shell.folder / "fileserve.toml").write_text('root = "root"\n')
    assert shell.run("list", FILESERVE_ROOT="").out == "c.txt\nfilms/\n"


def test_config_shows_value_and_source_of_each(shell: Shell) -> None:
    (shell.folder / "fileserve.toml").write_text(
        "port = 81\ncors_origins = ['https://a.example']\n"
    )
    lines = {line.split()[0]: line.split() for line in shell.run("config").out.splitlines()}
    assert lines["root"][1:] == ["root", *["(the", "environment", "variable", "FILESERVE_ROOT)"]]
    assert lines["port"][1] == "81"
    assert lines["port"][2].endswith("fileserve.toml)")
    assert lines["host"][1:] == ["127.0.0.1", "(default)"]
    assert lines["cors_origins"][1] == "https://a.example"
    members = {row["name"]: row["value"] for row in json.loads(shell.run("config", "--json").out)}
    assert (members["port"], members["hidden"], members["cors_origins"]) == (
        81,
        False,
        ["https://a.example"],
    )


def test_config_works_without_a_root(shell: Shell) -> None:
    ended = shell.run("config", FILESERVE_ROOT="")
    assert ended.code == 0
    assert ended.out.startswith("root ")
    assert "(not set)" in ended.out.splitlines()[0]


def test_version_is_that_of_the_package(shell: Shell) -> None:
    assert shell.run("--version").out.startswith("fileserve 0.")


def test_help_has_every_command_and_exit_code(shell: Shell) -> None:
    out = shell.run("--help").out
    for word in ("serve", "add", "list", "info", "remove", "move", "doctor", "config", "130"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 80


def test_help_imports_neither_server_nor_settings(shell: Shell) -> None:
    script = "import sys, cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    ).stdout.split()
    assert not {"fastapi", "uvicorn", "pydantic", "starlette", "rich.progress"} & set(loaded)


def test_module_runs_as_the_command_does(shell: Shell) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "list", "--root", str(shell.root / "missing")],
        capture_output=True,
        check=False,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert ended.returncode == 3
    assert ended.stderr.startswith("fileserve: ")


def test_lack_of_permission_is_told_and_has_its_code(shell: Shell, films: Names) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")
    shell.root.chmod(0o500)
    try:
        ended = shell.run("remove", "c.txt", "--yes")
    finally:
        shell.root.chmod(0o700)
    assert (ended.code, ended.err) == (5, "fileserve: c.txt: permission denied\n")


def test_fault_of_the_program_is_a_sentence_too(shell: Shell, tmp_path: Path) -> None:
    """Not even a broken installation shows a traceback, unless it is asked to."""
    broken = tmp_path / "site"
    broken.mkdir()
    (broken / "pydantic_settings.py").write_text("raise RuntimeError('broken')\n")
    ended = shell.run("list", PYTHONPATH=str(broken))
    assert ended.code == 1
    assert "a fault of fileserve itself (RuntimeError: broken)" in ended.err
    assert "Traceback" not in ended.err
    assert "Traceback" in shell.run("list", PYTHONPATH=str(broken), FILESERVE_DEBUG="1").err


SECRET_URLS = [
    "postgresql://anna:hush@db.example/films",
    "postgresql://anna:p@hush/x@db.example/films",
    "postgresql://db.example/films?user=anna&password=hush",
    "mysql://anna:hush@db.example/films",  # refused, in a sentence that names it
]


@pytest.mark.parametrize("url", SECRET_URLS)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_keeps_the_password_of_the_catalog_to_itself(
    shell: Shell, url: str, form: list[str]
) -> None:
    ended = shell.run("config", *form, FILESERVE_CATALOG=url)
    assert "db.example/films" in ended.out + ended.err
    assert "hush" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("FILESERVE_CATALOG", "mysql://x", "should be a URL like postgresql://"),
        ("FILESERVE_OFFLOAD", "nginx /x", "should be 'x-accel /LOCATION'"),
    ],
)
def test_a_setting_is_refused_in_words(
    shell: Shell, variable: str, value: str, sentence: str
) -> None:
    ended = shell.run("config", **{variable: value})
    assert (ended.code, sentence in ended.err) == (2, True), ended.err
