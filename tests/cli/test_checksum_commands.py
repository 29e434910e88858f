"""`checksum` and `verify`: what is kept, what is found again, and with which exit code."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import Shell

MIB = 1 << 20
FILES = 1000


def write_unseen(path: Path, offset: int, flipped_bits: int) -> None:
    """Change a byte as a failing disk does: the time of the last change stays what it was."""
    times = path.stat()
    with open(path, "r+b") as file:
        byte = os.pread(file.fileno(), 1, offset)[0]
        os.pwrite(file.fileno(), bytes([byte ^ flipped_bits]), offset)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture
def tree(shell: Shell) -> Path:
    """A root with three files, of which large.bin has four pieces."""
    (shell.root / "films").mkdir()
    (shell.root / "films" / "large.bin").write_bytes(os.urandom(3 * MIB + 5))
    (shell.root / "films" / "b c.mkv").write_bytes(b"123456789")
    (shell.root / "empty").write_bytes(b"")
    return shell.root


def sums(root: Path, *names: str) -> str:
    return "".join(
        f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    )


def test_checksum_prints_what_sha256sum_checks(shell: Shell, tree: Path) -> None:
    ended = shell.run("checksum")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == sums(tree, "empty", "films/b c.mkv", "films/large.bin")
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "-"],
        input=ended.out.encode(),
        cwd=tree,
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_checksum_of_names(shell: Shell, tree: Path) -> None:
    assert shell.run("checksum", "empty", "films").out == sums(
        tree, "empty", "films/b c.mkv", "films/large.bin"
    )
    assert shell.run("checksum", "/films/b c.mkv").out == sums(tree, "films/b c.mkv")


def test_names_are_printed_byte_for_byte(shell: Shell) -> None:
    name = os.fsencode(shell.root) + b"/\xff\n"
    with open(name, "wb"):
        pass
    empty = hashlib.sha256().hexdigest()
    ended = subprocess.run(
        shell.command("checksum", "--all"),
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        check=True,
    )
    assert ended.stdout == b"\\" + empty.encode() + b"  \xff\\n\n"


def test_checksum_as_json(shell: Shell, tree: Path) -> None:
    found = json.loads(shell.run("checksum", "films/b c.mkv", "--json").out)
    assert found == [
        {
            "name": "films/b c.mkv",
            "url_path": "/films/b%20c.mkv",
            "size": 9,
            "sha256": hashlib.sha256(b"123456789").hexdigest(),
            "crc32": "cbf43926",
        }
    ]
    (tree / "void").mkdir()
    assert json.loads(shell.run("checksum", "void", "--json").out) == []


REFUSED = [
    (["--all", "films"], 2, "--all and NAMEs exclude each other"),
    (["missing"], 3, "missing: not found"),
    (["../x"], 2, "'.' and '..' are not names"),
]


@pytest.mark.parametrize(("words", "code", "part"), REFUSED)
def test_refusals(shell: Shell, tree: Path, words: list[str], code: int, part: str) -> None:
    ended = shell.run("checksum", *words)
    assert ended.code == code
    assert part in ended.err
    assert ended.out == ""


def test_files_that_are_not_served_have_no_checksums(shell: Shell, tree: Path) -> None:
    (tree / ".hidden").write_bytes(b"x")
    (tree / ".fileserve-0123456789abcdef.part").write_bytes(b"x")
    os.mkfifo(tree / "fifo")
    (tree / "out").symlink_to("/etc/passwd")
    assert len(shell.run("checksum", "--all").out.splitlines()) == 3
    with_hidden = shell.run("checksum", "--all", FILESERVE_HIDDEN="1").out.splitlines()
    assert [line.partition("  ")[2] for line in with_hidden if ".hidden" in line] == [".hidden"]
    assert len(with_hidden) == 4
    # What is hidden now is neither missing nor new.
    assert shell.run("verify").out == "4 intact\n"


def test_verify_finds_nothing_where_nothing_happened(shell: Shell, tree: Path) -> None:
    shell.run("checksum", "--all")
    ended = shell.run("verify")
    assert (ended.code, ended.out, ended.err) == (0, "3 intact\n", "")


def test_verify_before_any_checksum(shell: Shell, tree: Path) -> None:
    ended = shell.run("verify")
    assert ended.code == 10
    assert ended.out.splitlines()[-1] == "3 new"


def test_verify_tells_what_became_of_each_file(shell: Shell, tree: Path) -> None:
    for name in ("changed", "shorter", "touched", "missing", "cut", "restored"):
        (tree / name).write_bytes(b"12345678")
    shell.run("checksum", "--all")
    (tree / "changed").write_bytes(b"87654321")
    (tree / "shorter").write_bytes(b"1")
    os.utime(tree / "touched", (1, 1))
    (tree / "films" / "b c.mkv").chmod(0o600)
    (tree / "missing").unlink()
    times = (tree / "cut").stat()
    os.truncate(tree / "cut", 4)
    os.utime(tree / "cut", ns=(times.st_atime_ns, times.st_mtime_ns))
    subprocess.run(["cp", "-p", tree / "restored", tree / "copy"], check=True)
    os.replace(tree / "copy", tree / "restored")
    (tree / "new").write_bytes(b"")
    write_unseen(tree / "films" / "large.bin", 2 * MIB + 77, 1)
    ended = shell.run("verify")
    assert ended.code == 9
    assert ended.out.splitlines() == [
        "changed     changed",
        "damaged     cut  4 bytes instead of 8",
        "damaged     films/large.bin  in bytes 2097152-3145727",
        "missing     missing",
        "new         new",
        "changed     shorter  1 bytes instead of 8",
        "2 changed, 2 damaged, 4 intact, 1 missing, 1 new",
    ]
    found = json.loads(shell.run("verify", "films", "--json").out)
    assert found == [
        {
            "name": "films/large.bin",
            "url_path": "/films/large.bin",
            "finding": "damaged",
            "detail": "in bytes 2097152-3145727",
            "damaged": [{"start": 2 * MIB, "stop": 3 * MIB}],
        }
    ]


def test_a_folder_that_is_gone_is_missing_with_all_that_was_known_in_it(
    shell: Shell, tree: Path
) -> None:
    shell.run("checksum")
    shutil.rmtree(tree / "films")
    ended = shell.run("verify", "films")
    assert (ended.code, ended.err) == (9, "")
    assert ended.out.splitlines() == [
        "missing     films/b c.mkv",
        "missing     films/large.bin",
        "2 missing",
    ]
    assert shell.run("verify", "unknown").code == 3


def test_what_was_removed_on_purpose_can_be_forgotten(shell: Shell, tree: Path) -> None:
    shell.run("checksum")
    (tree / "films" / "large.bin").unlink()
    (tree / "empty").unlink()
    told = shell.run("verify", "films", "--forget-missing")
    assert (told.code, told.out) == (9, "missing     films/large.bin\n1 intact, 1 missing\n")
    assert shell.run("verify", "films").out == "1 intact\n"
    assert shell.run("verify").out == "missing     empty\n1 intact, 1 missing\n"
    assert shell.run("verify", "empty", "--forget-missing").code == 9
    assert shell.run("verify").code == 0


def test_changes_alone_have_an_exit_code_of_their_own(shell: Shell, tree: Path) -> None:
    shell.run("checksum", "--all")
    (tree / "empty").write_bytes(b"no more")
    assert shell.run("verify").code == 10
    assert shell.run("checksum", "--all").code == 0
    assert shell.run("verify").code == 0


def test_damage_does_not_become_the_truth(shell: Shell, tree: Path) -> None:
    shell.run("checksum", "--all")
    write_unseen(tree / "films" / "b c.mkv", 1, 128)
    ended = shell.run("checksum", "--all")
    assert ended.code == 1
    assert "films/b c.mkv: is damaged: other bytes" in ended.err
    assert "b c.mkv" not in ended.out
    assert shell.run("verify").code == 9
    assert shell.run("checksum", "films", "--again").code == 0
    assert shell.run("verify").code == 0


def test_verify_keeps_what_it_knows_of_touched_files(shell: Shell, tree: Path) -> None:
    shell.run("checksum", "--all")
    os.utime(tree / "films" / "large.bin", (1, 1))
    assert shell.run("verify").code == 0
    # It holds for the new state, with the pieces.
    write_unseen(tree / "films" / "large.bin", 0, 1)
    assert "damaged     films/large.bin  in bytes 0-1048575" in shell.run("verify").out


def test_one_flipped_byte_among_a_thousand_files(shell: Shell) -> None:
    for number in range(FILES):
        folder = shell.root / f"{number % 10}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.bin").write_bytes(b"%d" % number * 1000)
    assert len(shell.run("checksum", "--all").out.splitlines()) == FILES
    write_unseen(shell.root / "7" / "777.bin", 1234, 4)
    ended = shell.run("verify")
    assert ended.code == 9
    assert ended.out == "damaged     7/777.bin\n1 damaged, 999 intact\n"


def test_another_catalog_by_its_url(shell: Shell, tree: Path) -> None:
    url = f"sqlite:///{shell.folder}/own.sqlite"
    shell.run("checksum", "--all", FILESERVE_CATALOG=url)
    assert (shell.folder / "own.sqlite").exists()
    assert shell.run("verify", FILESERVE_CATALOG=url).code == 0
    assert shell.run("verify").code == 10


def test_add_move_and_remove_keep_the_catalog_right(shell: Shell) -> None:
    shell.run("add", "a.bin", "--to", "films/old")
    shell.run("add", "-", "--name", "b.bin")
    assert shell.run("verify").out == "2 intact\n"
    assert shell.run("move", "films/old/a.bin", "films/old/c.bin").err == ""
    assert shell.run("move", "films", "shows").err == ""
    assert shell.run("verify").out == "2 intact\n"
    write_unseen(shell.root / "shows" / "old" / "c.bin", 0, 1)
    assert shell.run("verify").out == "damaged     shows/old/c.bin\n1 damaged, 1 intact\n"
    shell.run("remove", "shows", "--recursive", "--yes")
    assert shell.run("verify").out == "1 intact\n"
    shell.run("add", "a.bin", "--name", "b.bin", "--replace")
    assert shell.run("verify").out == "1 intact\n"


def test_a_file_is_added_also_where_its_checksum_cannot_be_kept(shell: Shell) -> None:
    (shell.folder / "no-folder").write_bytes(b"")
    ended = shell.run("add", "a.bin", FILESERVE_STATE_DIR=str(shell.folder / "no-folder" / "x"))
    assert ended.code == 0
    assert "checksums are not kept: state_dir" in ended.err
    assert (shell.root / "a.bin").exists()


def test_what_keeps_the_catalog_right_makes_none(shell: Shell, tree: Path) -> None:
    state = shell.folder / "state"
    shell.run("move", "empty", "void", FILESERVE_STATE_DIR=str(state))
    shell.run("remove", "void", "--yes", FILESERVE_STATE_DIR=str(state))
    assert not state.exists()


def test_checksum_adds_the_sums_of_pieces_to_what_was_added(shell: Shell) -> None:
    (shell.folder / "large").write_bytes(bytes(2 * MIB))
    shell.run("add", "large")
    write_unseen(shell.root / "large", 0, 1)
    # The sum of the whole is known since it was added, those of its pieces are not.
    assert "damaged     large\n" in shell.run("verify").out
    write_unseen(shell.root / "large", 0, 1)
    assert shell.run("checksum", "large").code == 0
    write_unseen(shell.root / "large", MIB, 1)
    assert "damaged     large  in bytes 1048576-2097151\n" in shell.run("verify").out
