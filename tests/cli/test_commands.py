"""Every command: what it prints, what it changes, which exit code it ends with."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.shell import LIMIT_SECONDS, Shell

Names = Callable[[], list[str]]

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


def test_add_prints_name_size_and_sha256(shell: Shell) -> None:
    ended = shell.run("add", "a.bin", "--to", "films/new")
    digest = hashlib.sha256(b"ab" * 1000).hexdigest()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"films/new/a.bin, 2.0 kB\n  SHA-256 {digest}\n"
    assert (shell.root / "films/new/a.bin").read_bytes() == b"ab" * 1000


def test_add_of_a_folder_says_what_it_left_out(shell: Shell) -> None:
    source = shell.folder / "source"
    source.mkdir()
    (source / "x").write_bytes(b"1")
    (source / "link").symlink_to("x")
    ended = shell.run("add", "source")
    assert ended.code == 1
    assert ended.err == (
        "fileserve: skipped source/link: symbolic links and special files are not copied\n"
    )
    assert os.listdir(shell.root / "source") == ["x"]


def test_add_replaces_only_when_asked(shell: Shell, films: Names) -> None:
    assert shell.run("add", "a.bin", "--name", "c.txt", "--replace").code == 0
    assert (shell.root / "c.txt").stat().st_size == 2000


def test_add_move_removes_the_source(shell: Shell) -> None:
    inode = (shell.folder / "a.bin").stat().st_ino
    assert shell.run("add", "a.bin", "--move").code == 0
    assert not (shell.folder / "a.bin").exists()
    assert (shell.root / "a.bin").stat().st_ino == inode


def test_add_link_is_the_same_file(shell: Shell) -> None:
    assert shell.run("add", "a.bin", "--link", "--name", "b").code == 0
    assert (shell.root / "b").samefile(shell.folder / "a.bin")


def test_add_takes_standard_input(shell: Shell) -> None:
    assert shell.run_with_input(b"piped", "add", "-", "--name", "x").code == 0
    assert (shell.root / "x").read_bytes() == b"piped"


def test_add_of_a_name_that_is_not_utf_8_keeps_its_bytes(shell: Shell) -> None:
    (shell.folder / os.fsdecode(b"\xff")).write_bytes(b"")
    assert shell.run("add", b"\xff").code == 0
    assert os.listdir(os.fsencode(shell.root)) == [b"\xff"]


def test_list_shows_what_clients_get(shell: Shell, films: Names) -> None:
    os.mkfifo(shell.root / "fifo")
    (shell.root / ".hidden").write_bytes(b"")
    (shell.root / "out").symlink_to("/etc/passwd")
    (shell.root / "in").symlink_to("c.txt")
    assert shell.run("list").out == "c.txt\nfilms/\nin\n"
    assert shell.run("list", FILESERVE_HIDDEN="yes").out == ".hidden\nc.txt\nfilms/\nin\n"
    assert shell.run("list", FILESERVE_SYMLINKS="never").out == "c.txt\nfilms/\n"


def test_list_long_aligns_sizes_and_times(shell: Shell, films: Names) -> None:
    for path in (shell.root / "films" / "b.mkv", shell.root / "films", shell.root / "c.txt"):
        os.utime(path, (0, 1_000_000_000))  # 2001-09-09 01:46:40 UTC
    assert shell.run("list", "--long", "--recursive").out == (
        "      1 B  2001-09-09 01:46  c.txt\n"
        "        -  2001-09-09 01:46  films/\n"
        "   1.5 kB  2001-09-09 01:46  films/b.mkv\n"
    )


ORDERS = [
    # options                          names in order
    ([], ["c.txt", "films/", "films/b.mkv"]),
    (["--reverse"], ["films/b.mkv", "films/", "c.txt"]),
    (["--sort", "size"], ["films/b.mkv", "c.txt", "films/"]),
    (["--sort", "time"], ["films/", "c.txt", "films/b.mkv"]),
    (["--sort", "time", "--reverse"], ["films/b.mkv", "c.txt", "films/"]),
]


@pytest.mark.parametrize(("options", "expected"), ORDERS)
def test_list_sorts(shell: Shell, films: Names, options: list[str], expected: list[str]) -> None:
    os.utime(shell.root / "films" / "b.mkv", (0, 1))
    os.utime(shell.root / "c.txt", (0, 2))
    os.utime(shell.root / "films", (0, 3))
    assert shell.run("list", "-r", *options).out.split() == expected


HOSTILE = b"a\xff\x1b[31m\nb\xc2\x9b"


def test_list_of_a_hostile_name_sends_no_control_character(shell: Shell) -> None:
    (shell.root / os.fsdecode(HOSTILE)).write_bytes(b"1")
    for options in ([], ["--long"], ["--csv"], ["--json"]):
        out = shell.run("list", *options).out
        assert all(character == "\n" or character.isprintable() for character in out), options
    assert shell.run("list").out == "a\ufffd\ufffd[31m\ufffdb\ufffd\n"


def test_list_json_and_csv_say_the_same_and_keep_the_bytes(shell: Shell, films: Names) -> None:
    (shell.root / os.fsdecode(HOSTILE)).write_bytes(b"1")
    objects = json.loads(shell.run("list", "-r", "--json").out)
    rows = list(csv.DictReader(io.StringIO(shell.run("list", "-r", "--csv").out)))
    assert [item["url_path"] for item in objects] == [row["url_path"] for row in rows]
    assert objects[0]["url_path"] == "/a%FF%1B%5B31m%0Ab%C2%9B"
    assert [(item["name"], item["kind"], item["size"]) for item in objects[1:]] == [
        ("c.txt", "file", 1),
        ("films", "folder", None),
        ("films/b.mkv", "file", 1500),
    ]


def test_list_of_an_empty_folder_is_empty(shell: Shell) -> None:
    assert shell.run("list", "--long").out == ""
    assert json.loads(shell.run("list", "--json").out) == []


@pytest.mark.parametrize("count", [1, 3000], ids=["within-the-buffer", "more-than-a-pipe-holds"])
@pytest.mark.parametrize("command", ["list", "config"])
def test_reports_end_silently_when_nobody_reads_on(shell: Shell, command: str, count: int) -> None:
    for number in range(count):
        (shell.root / f"{number:0100}").write_bytes(b"")
    reporting = subprocess.Popen(
        shell.command(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=shell.folder,
        env=shell.environment,
    )
    with reporting:
        assert reporting.stdout is not None
        assert reporting.stderr is not None
        reporting.stdout.close()
        assert reporting.stderr.read() == b""
        assert reporting.wait(LIMIT_SECONDS) == -signal.SIGPIPE  # as of ls


def test_info_of_a_folder_has_no_etag(shell: Shell, films: Names) -> None:
    facts = json.loads(shell.run("info", "films", "--json").out)
    assert facts["kind"] == "folder"
    assert facts["url"] == "http://127.0.0.1:8000/films/"
    assert "etag" not in facts


PLACES = [
    # settings                                              url of c.txt
    ({"FILESERVE_PUBLIC_URL": "https://x.example/f/"}, "https://x.example/f/c.txt"),
    ({"FILESERVE_HOST": "::1", "FILESERVE_PORT": "81"}, "http://[::1]:81/c.txt"),
    ({"FILESERVE_PORT": "0"}, "/c.txt"),
]


@pytest.mark.parametrize(("variables", "url"), PLACES)
def test_info_tells_the_url_that_the_settings_mean(
    shell: Shell, films: Names, variables: dict[str, str], url: str
) -> None:
    assert json.loads(shell.run("info", "c.txt", "--json", **variables).out)["url"] == url


def test_remove_takes_files_and_trees(shell: Shell, films: Names) -> None:
    ended = shell.run("remove", "c.txt", "films", "--yes", "--recursive")
    assert (ended.code, ended.out) == (0, "removed c.txt\nremoved films/\n")
    assert films() == []


def test_remove_takes_a_link_and_not_what_it_leads_to(shell: Shell, films: Names) -> None:
    (shell.root / "link").symlink_to("films")
    assert shell.run("remove", "link", "--yes").code == 0
    assert films() == ["c.txt", "films", "films/b.mkv"]


def test_move_gives_a_new_name(shell: Shell, films: Names) -> None:
    ended = shell.run("move", "films/b.mkv", "new/x.mkv")
    assert (ended.code, ended.out) == (0, "films/b.mkv is now new/x.mkv\n")
    assert films() == ["c.txt", "films", "new", "new/x.mkv"]


def test_move_replaces_only_when_asked(shell: Shell, films: Names) -> None:
    assert shell.run("move", "c.txt", "films/b.mkv", "--replace").code == 0
    assert films() == ["films", "films/b.mkv"]


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
