"""`fileserve link`: what it prints and refuses, and what is remembered of a link."""

import json
import re
import time
from pathlib import Path

import pytest

from fileserve.access.keys import Purpose, read_keys
from fileserve.access.links import Link, genuine_link, parse_token, signed_path
from tests.cli.shell import Names, Shell

URL = re.compile(r"http://127\.0\.0\.1:8000/-/s/([^/]+)/(.*)")
WEEK = 7 * 86_400


@pytest.fixture
def state(shell: Shell) -> Path:
    """The folder of the keys and the catalog; it is not there yet."""
    return shell.folder / "state"


@pytest.fixture
def linked(shell: Shell, state: Path, films: Names) -> Shell:
    """A shell with films/b.mkv and c.txt in its root, and a state folder of its own."""
    environment = {**shell.environment, "FILESERVE_STATE_DIR": str(state)}
    return Shell(shell.folder, shell.root, environment)


def opened(state: Path, url: str) -> Link:
    """The link in a URL, judged by the keys that are there."""
    found = URL.fullmatch(url)
    assert found is not None, url
    token = parse_token(found[1])
    assert token is not None
    segments = tuple(part.encode() for part in found[2].split("/") if part)
    link = genuine_link(token, segments, read_keys(state).all_for(Purpose.LINK))
    assert link is not None
    return link


def test_a_link_to_a_file_ends_in_a_week(linked: Shell, state: Path) -> None:
    before = int(time.time())
    ended = linked.run("link", "films/b.mkv")
    assert ended.code == 0
    link = opened(state, ended.out.removesuffix("\n"))
    assert link.segments == (b"films", b"b.mkv")
    assert not link.is_folder
    assert link.expires_at is not None
    assert before + WEEK <= link.expires_at <= time.time() + WEEK
    assert (link.downloads, link.rate, link.address, link.is_attachment) == (
        None,
        None,
        None,
        False,
    )
    assert link.link_id in ended.err


def test_every_term_is_in_the_link(linked: Shell, state: Path) -> None:
    words = ("--expires", "never", "--downloads", "3", "--rate", "10M", "--address", "192.0.2.7",
             "--attachment")  # fmt: skip
    link = opened(state, linked.run("link", *words, "films").out.strip())
    assert link == Link(
        link.link_id, (b"films",), True, None, 3, 10_000_000, "192.0.2.7", is_attachment=True
    )


def test_bind_ip_is_for_the_first_address(linked: Shell, state: Path) -> None:
    assert opened(state, linked.run("link", "c.txt", "--bind-ip").out.strip()).is_bound_to_first


def test_create_is_the_same_and_the_root_can_be_linked(linked: Shell, state: Path) -> None:
    link = opened(state, linked.run("link", "create", ".").out.strip())
    assert (link.segments, link.is_folder) == ((), True)


def test_a_file_of_a_command_s_name_is_linked_by_its_path(linked: Shell) -> None:
    (linked.root / "list").write_bytes(b"x")
    assert linked.run("link", "./list").out.strip().endswith("/list")


def test_json_is_for_programs(linked: Shell, state: Path) -> None:
    ended = linked.run("link", "c.txt", "--json", "--expires", "never")
    made = json.loads(ended.out)
    assert made == {"id": opened(state, made["url"]).link_id, "url": made["url"], "expires": None}


def test_the_public_address_stands_before_the_link(linked: Shell) -> None:
    out = linked.run("link", "c.txt", FILESERVE_PUBLIC_URL="https://files.example/x").out
    assert out.startswith("https://files.example/x/-/s/1.")


def test_a_qr_code_comes_where_it_is_asked_for(linked: Shell) -> None:
    assert len(linked.run("link", "c.txt").out.splitlines()) == 1
    code = linked.run("link", "c.txt", "--qr").out.splitlines()[1:]
    assert len(code) > 20
    assert set("".join(code)) <= set("█▀▄ ")


REFUSED = [
    # words                                         code  said                       id
    (("nothing.bin",),                              3,    "nothing.bin", "missing"),
    ((".hidden",),                                  3,    "not served", "hidden"),
    (("../a.bin",),                                 2,    "..", "outside"),
    (("c.txt", "--expires", "soon"),                2,    "--expires 'soon'", "no-time"),
    (("c.txt", "--rate", "fast"),                   2,    "--rate 'fast'", "no-rate"),
    (("c.txt", "--rate", "0"),                      2,    "nothing at all", "rate"),
    (("c.txt", "--downloads", "0"),                 2,    "--downloads", "no-downloads"),
    (("c.txt", "--address", "host"),                2,    "no IP address", "no-address"),
    (("c.txt", "--bind-ip", "--address", "::1"),    2,    "exclude each other", "two-bindings"),
    (("revoke", "no such id"),                      2,    "neither the id", "no-id"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "said"), [r[:3] for r in REFUSED], ids=[r[3] for r in REFUSED]
)
def test_what_cannot_be_linked_is_refused_in_a_sentence(
    linked: Shell, words: tuple[str, ...], code: int, said: str
) -> None:
    (linked.root / ".hidden").write_bytes(b"x")
    ended = linked.run("link", *words)
    assert ended.code == code
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_links_are_listed_without_what_makes_them_work(linked: Shell) -> None:
    url = linked.run("link", "films", "--downloads", "3", "--rate", "10M").out.strip()
    linked.run("link", "c.txt", "--bind-ip")
    head, films, text = linked.run("link", "list").out.splitlines()
    assert head.split() == ["ID", "OPENS", "STATE", "DELIVERIES", "TERMS"]
    assert re.search(r"films/ +until \d{4}-\d\d-\d\d \d\d:\d\d +0 of 3 +10\.0 MB/s", films)
    assert re.search(r"c\.txt +until .* +0 +first address", text)
    signature = url.split("/")[5].rpartition(".")[2]
    assert signature not in linked.run("link", "list", "--json").out


def test_a_revoked_link_is_listed_as_such_by_id_or_by_url(linked: Shell) -> None:
    urls = [linked.run("link", "c.txt").out.strip() for _ in range(2)]
    listed = json.loads(linked.run("link", "list", "--json").out)
    assert linked.run("link", "revoke", listed[0]["id"]).code == 0
    assert linked.run("link", "revoke", urls[1]).out == f"revoked {listed[1]['id']}\n"
    states = [each["state"] for each in json.loads(linked.run("link", "list", "--json").out)]
    assert states == ["revoked", "revoked"]


def test_a_link_of_another_program_can_be_revoked(linked: Shell) -> None:
    foreign = signed_path(Link("elsewhere", (b"c.txt",), False), "3f9a1c02", bytes(32))
    ended = linked.run("link", "revoke", f"https://host{foreign}")
    assert (ended.code, ended.out) == (0, "revoked elsewhere\n")
    assert "elsewhere" in linked.run("link", "list").out


def test_a_rotated_key_signs_and_old_links_go_on_until_it_is_forgotten(
    linked: Shell, state: Path
) -> None:
    old = linked.run("link", "c.txt").out.strip()
    assert "goes on" in linked.run("link", "rotate-key").out
    opened(state, old)
    new = linked.run("link", "c.txt").out.strip()
    opened(state, new)
    assert "is forgotten" in linked.run("link", "rotate-key", "--forget-old").out
    told = linked.run("events").out.splitlines()[-1]
    assert "link key new" in told
    assert "old ones forgotten" in told
    for url in (old, new):
        with pytest.raises(AssertionError):
            opened(state, url)


def test_without_a_catalog_the_link_is_made_all_the_same(linked: Shell, state: Path) -> None:
    state.mkdir()
    (state / "catalog.sqlite").mkdir()
    ended = linked.run("link", "c.txt")
    assert ended.code == 0
    assert opened(state, ended.out.strip()).segments == (b"c.txt",)
    assert "will not show it" in ended.err


def test_a_listing_makes_no_state_folder(linked: Shell, state: Path) -> None:
    ended = linked.run("link", "list")
    assert (ended.out, "no links were made here" in ended.err) == ("", True)
    assert not state.exists()


@pytest.mark.parametrize("public_url", ["", "https://files.example"])
def test_a_link_that_only_this_machine_can_open_says_so(linked: Shell, public_url: str) -> None:
    ended = linked.run("link", "c.txt", FILESERVE_PUBLIC_URL=public_url)
    assert ("opens on this machine only" in ended.err) is not bool(public_url)


def test_who_made_and_ended_a_link_can_be_read_later(linked: Shell) -> None:
    linked.run("link", "revoke", linked.run("link", "c.txt").out.strip())
    events = linked.run("events").out
    assert "link created" in events
    assert "link revoked" in events


def test_the_doctor_looks_at_the_keys(linked: Shell, state: Path) -> None:
    assert "none for links yet" in linked.run("doctor").out
    linked.run("link", "c.txt")
    assert "1 for links" in linked.run("doctor").out
    (state / "keys").chmod(0o644)
    ended = linked.run("doctor")
    assert ended.code == 8
    assert f"others may read {state / 'keys'}" in ended.out
    (state / "keys").chmod(0o600)
    (state / "keys").write_text("rubbish")
    ended = linked.run("doctor")
    assert ended.code == 8
    assert "is not a key" in ended.out
