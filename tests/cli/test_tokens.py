"""`fileserve token`: what it prints, what it keeps, and how it refuses."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from fileserve.access.keys import Purpose, read_keys, signing_key
from tests.cli.shell import Ended, Shell

SECRET = re.compile(r"fs_[A-Za-z0-9_-]{43}\n")


def made(shell: Shell, *words: str) -> Ended:
    ended = shell.run("token", "create", *words)
    assert ended.code == 0, ended.err
    return ended


def listed(shell: Shell) -> list[dict[str, str | None]]:
    records: list[dict[str, str | None]] = json.loads(shell.run("token", "list", "--json").out)
    return records


def catalog_of(shell: Shell) -> Path:
    (found,) = shell.folder.glob(".local/state/fileserve/root-*/catalog.sqlite")
    return found


def test_a_secret_is_printed_once_and_kept_nowhere(shell: Shell) -> None:
    ended = made(shell, "backup", "--scope", "write", "--path", "films/", "--expires", "30d")
    assert SECRET.fullmatch(ended.out)
    assert "may read and write at and below films until" in ended.err
    secret = ended.out.strip()
    folder = catalog_of(shell).parent
    assert all(secret.encode() not in path.read_bytes() for path in folder.iterdir())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert secret not in shell.run("token", "list").out


def test_a_list_tells_all_but_the_secret(shell: Shell) -> None:
    none = shell.run("token", "list")
    assert (none.code, none.out) == (0, "")
    assert "'fileserve token create NAME' makes one" in none.err
    assert not list(shell.folder.glob(".local"))  # looking makes nothing
    made(shell, "bob", "--scope", "admin")
    made(shell, "al", "--path", "a/b")
    assert shell.run("token", "revoke", "bob").code == 0
    al, bob = listed(shell)
    assert (al["name"], al["scope"], al["path"], al["revoked"]) == ("al", "read", "a/b", None)
    assert (bob["name"], bob["scope"], bob["path"]) == ("bob", "admin", "/")
    assert bob["revoked"]
    head, first, second = shell.run("token", "list").out.splitlines()
    assert head.split()[:3] == ["NAME", "SCOPE", "PATH"]
    assert first.split()[:3] == ["al", "read", "a/b"]
    assert first.endswith("valid")
    assert "revoked" in second


def test_who_made_and_revoked_a_token_is_written_down(shell: Shell) -> None:
    made(shell, "bob")
    shell.run("token", "revoke", "bob")
    with sqlite3.connect(catalog_of(shell)) as catalog:
        deeds = catalog.execute("SELECT deed, detail FROM events ORDER BY number").fetchall()
    catalog.close()
    assert deeds == [("token created", "bob, read"), ("token revoked", "bob")]


def test_the_end_of_all_logins_is_a_new_key(shell: Shell) -> None:
    made(shell, "bob")
    state = catalog_of(shell).parent
    first = signing_key(state, Purpose.SESSION)
    link = signing_key(state, Purpose.LINK)
    ended = shell.run("token", "end-logins")
    assert (ended.code, ended.err) == (0, "")
    assert "all logins have ended" in ended.out
    ring = read_keys(state)
    assert list(ring.all_for(Purpose.LINK)) == [link.key_id]
    (new,) = ring.all_for(Purpose.SESSION)
    assert new != first.key_id
    assert "logins ended" in shell.run("events").out
    assert listed(shell)[0]["revoked"] is None


REFUSALS = [
    # words                                             code  part of the sentence
    (["create", "a b"], 2, "no name for a token"),
    (["create", ""], 2, "no name for a token"),
    (["create", "bob"], 4, "bob"),
    (["create", "x", "--scope", "all"], 2, "read"),
    (["create", "x", "--path", "../y"], 2, "--path '../y': "),
    (["create", "x", "--expires", "soon"], 2, "30s, 15m, 12h"),
    (["create", "x", "--expires", "0"], 2, "nobody can use"),
    (["create", "x", "--root", "nix"], 3, "nix"),
    (["revoke", "x"], 3, "no token"),
    (["create", "x", "--root", "."], 2, "lies in the served folder"),
]


def test_refusals_say_why(shell: Shell) -> None:
    made(shell, "bob")
    for words, code, sentence in REFUSALS:
        ended = shell.run("token", *words)
        assert (ended.code, sentence in ended.err) == (code, True), (words, ended)
        assert ended.out == ""


@pytest.mark.parametrize("word", ["create", "list", "revoke", "end-logins"])
def test_every_command_has_help(shell: Shell, word: str) -> None:
    ended = shell.run("token", word, "--help")
    assert ended.code == 0
    assert "--root" in ended.out
