"""What the admin sees of the catalog: events, and the doctor's findings about it."""

import json
import os
import pwd
import re
import time
from pathlib import Path

import pytest

from fileserve import console
from storage.catalog import Catalog
from tests.cli.shell import Shell


@pytest.fixture
def state(shell: Shell) -> Path:
    return shell.folder / "state"


def url(state: Path) -> str:
    return f"sqlite:///{state}/catalog.sqlite"


def about(out: str, subject: str) -> list[str]:
    """The status of each finding about subject."""
    return re.findall(rf"^(\w+) +{subject} ", out, re.MULTILINE)


def test_without_a_catalog_there_are_no_events_and_none_is_made(shell: Shell, state: Path) -> None:
    for options in ([], ["--json"]):
        ended = shell.run("events", *options, FILESERVE_STATE_DIR=str(state))
        assert (ended.code, ended.out.strip()) == (0, "[]" if options else "")
        assert ("nothing is written down yet" in ended.err) is not bool(options)
    assert not state.exists()


def test_events_are_told_the_newest_last(shell: Shell, state: Path) -> None:
    state.mkdir()
    with Catalog.open(url(state)) as catalog:
        catalog.note_event(0, "token a", "uploaded", b"films/\xc3\xa4.mkv", "12 bytes")
        catalog.note_event(60, "shell root", "token revoked", None, "a")
    ended = shell.run("events", FILESERVE_STATE_DIR=str(state))
    assert ended.out.splitlines() == [
        "1970-01-01 00:00  token a     uploaded       films/ä.mkv  12 bytes",
        "1970-01-01 00:01  shell root  token revoked  -            a",
    ]
    ended = shell.run("events", "--json", "--limit", "1", FILESERVE_STATE_DIR=str(state))
    assert json.loads(ended.out) == [
        {
            "number": 2,
            "time": "1970-01-01T00:01:00Z",
            "who": "shell root",
            "deed": "token revoked",
            "path": None,
            "detail": "a",
        }
    ]


def test_what_a_client_made_up_does_not_steer_the_terminal(shell: Shell, state: Path) -> None:
    state.mkdir()
    with Catalog.open(url(state)) as catalog:
        catalog.note_event(0, "\x1b[2Jx", "uploaded", b"\x1b]0;y\x07", "z\x9b\n")
    for options in ([], ["--json"]):
        out = shell.run("events", *options, FILESERVE_STATE_DIR=str(state)).out
        assert not set(out) & {"\x1b", "\x07", "\x9b"}


def test_what_one_command_did_the_next_one_tells(shell: Shell) -> None:
    assert shell.run("token", "create", "backup", "--scope", "write").code == 0
    out = shell.run("events").out
    assert "token created" in out
    assert "backup, write" in out


def test_what_commands_do_to_files_is_told(shell: Shell) -> None:
    (shell.folder / "b.bin").write_bytes(b"b")
    assert shell.run("add", "a.bin", "b.bin", "--to", "films").code == 0
    assert shell.run("add", "b.bin").code == 0
    assert shell.run("move", "b.bin", "c.bin").code == 0
    assert shell.run("remove", "--yes", "c.bin", "films/a.bin").code == 0
    events = json.loads(shell.run("events", "--json").out)
    assert [(event["deed"], event["path"], event["detail"]) for event in events] == [
        ("added", "films", "2 files, 2001 bytes"),
        ("added", "b.bin", "1 bytes"),
        ("moved", "b.bin", "to c.bin"),
        ("removed", "c.bin", ""),
        ("removed", "films/a.bin", ""),
    ]
    assert len({event["who"] for event in events}) == 1


def test_an_empty_folder_is_added_without_an_event(shell: Shell) -> None:
    (shell.folder / "empty").mkdir()
    ended = shell.run("add", "empty")
    assert (ended.code, ended.err) == (0, "")
    assert shell.run("events").out == ""


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as in a container
    assert console.person() == f"shell user {os.getuid()}"


def test_a_state_folder_in_the_root_is_refused(shell: Shell) -> None:
    for state in ("root", "root/state"):
        ended = shell.run("token", "create", "a", FILESERVE_STATE_DIR=str(shell.folder / state))
        assert ended.code == 2
        assert "lies in the served folder" in ended.err
    assert [*shell.root.iterdir()] == []


def test_a_home_that_is_served_goes_on_without_a_catalog(shell: Shell) -> None:
    ended = shell.run("events", FILESERVE_ROOT=str(shell.folder))
    assert (ended.code, ended.out) == (0, "")
    doctor = shell.run("doctor", FILESERVE_ROOT=str(shell.folder))
    assert about(doctor.out, "state") == ["warn"]
    assert "--state-dir" in doctor.out


def test_the_doctor_makes_no_catalog(shell: Shell, state: Path) -> None:
    ended = shell.run("doctor", FILESERVE_STATE_DIR=str(state))
    assert about(ended.out, "state") == about(ended.out, "catalog") == ["ok"]
    assert "none yet" in ended.out
    assert not state.exists()


def test_the_doctor_tells_what_a_catalog_holds(shell: Shell) -> None:
    shell.run("token", "create", "a")
    ended = shell.run("doctor")
    assert "version 1: 0 checksums, 1 tokens, 0 links" in ended.out


def test_the_doctor_fails_a_broken_catalog_and_touches_nothing(shell: Shell, state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "catalog.sqlite").write_bytes(b"no database" * 999)
    ended = shell.run("doctor", FILESERVE_STATE_DIR=str(state))
    assert ended.code == 8
    assert about(ended.out, "catalog") == ["fail"]
    assert "restart the server" in ended.out
    assert [each.name for each in state.iterdir()] == ["catalog.sqlite"]


def test_a_writing_command_begins_a_new_catalog_in_place_of_a_broken_one(
    shell: Shell, state: Path
) -> None:
    state.mkdir(mode=0o700)
    (state / "catalog.sqlite").write_bytes(b"no database" * 999)
    ended = shell.run("token", "create", "a", FILESERVE_STATE_DIR=str(state))
    assert ended.code == 0
    assert "the old one is" in ended.err
    assert (state / "catalog.sqlite.broken-1").read_bytes() == b"no database" * 999
    doctor = shell.run("doctor", FILESERVE_STATE_DIR=str(state))
    assert (doctor.code, about(doctor.out, "catalog")) == (0, ["ok", "warn"])
    assert "catalog.sqlite.broken-1" in doctor.out


def test_a_copy_that_is_lost_with_the_catalog_is_told_of(shell: Shell, state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "catalog.sqlite.access.json").write_text("{")
    ended = shell.run("token", "list", FILESERVE_STATE_DIR=str(state))
    assert ended.code == 0
    assert "catalog.sqlite.access.json.broken-1; make new tokens" in ended.err
    doctor = shell.run("doctor", FILESERVE_STATE_DIR=str(state))
    assert (doctor.code, about(doctor.out, "catalog")) == (0, ["ok", "warn"])
    assert "catalog.sqlite.access.json.broken-1" in doctor.out


def test_the_doctor_fails_a_database_that_does_not_answer(shell: Shell) -> None:
    there = f"postgresql://x@/y?host={shell.folder}"
    ended = shell.run("doctor", FILESERVE_CATALOG=there)
    assert (ended.code, about(ended.out, "catalog")) == (8, ["fail"])


def test_the_doctor_warns_of_a_state_folder_that_others_may_read(shell: Shell, state: Path) -> None:
    state.mkdir()
    state.chmod(0o755)
    assert about(shell.run("doctor", FILESERVE_STATE_DIR=str(state)).out, "state") == ["warn"]
    state.chmod(0o700)
    assert about(shell.run("doctor", FILESERVE_STATE_DIR=str(state)).out, "state") == ["ok"]


def test_a_state_folder_is_made_for_its_owner_only(shell: Shell, state: Path) -> None:
    assert shell.run("token", "create", "a", FILESERVE_STATE_DIR=str(state)).code == 0
    assert state.stat().st_mode & 0o777 == 0o700
    for each in state.iterdir():
        assert each.stat().st_mode & 0o777 == 0o600, each


# What is asked for, the tokens there are, and what the doctor says of them.
ACCESS = [
    # setting    tokens                               said                 id
    ("",         [],                                  [],                  "public"),
    ("PRIVATE",  [],                                  ["none that holds"], "private"),
    ("PRIVATE",  [("read", "30d")],                   [],                  "private-read"),
    ("PRIVATE",  [("read", "1s")],                    ["none that holds"], "private-expired"),
    ("WRITABLE", [],                                  ["may write"],       "writable"),
    ("WRITABLE", [("read", "30d")],                   ["may write"],       "writable-read"),
    ("WRITABLE", [("read", "30d"), ("write", "30d")], [],                  "writable-write"),
    ("WRITABLE", [("admin", "30d")],                  [],                  "writable-admin"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "tokens", "said"), [row[:3] for row in ACCESS], ids=[row[3] for row in ACCESS]
)
def test_the_doctor_warns_where_nobody_has_the_right_that_is_asked_for(
    shell: Shell, setting: str, tokens: list[tuple[str, str]], said: list[str]
) -> None:
    for number, (scope, expires) in enumerate(tokens):
        words = ("token", "create", f"t{number}", "--scope", scope, "--expires", expires)
        assert shell.run(*words).code == 0
    if any(expires == "1s" for _, expires in tokens):
        time.sleep(2)
    ended = shell.run("doctor", **{f"FILESERVE_{setting}": "1"} if setting else {})
    warnings = re.findall(r"^warn +tokens +(.+)$", ended.out, re.MULTILINE)
    assert ended.code == 0
    assert len(warnings) == len(said)
    assert all(words in warning for words, warning in zip(said, warnings, strict=True))
