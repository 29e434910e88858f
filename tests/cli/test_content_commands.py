"""add, list, info, remove and move: what each prints and changes."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess

import pytest

from tests.cli.shell import LIMIT_SECONDS, Names, Shell


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
