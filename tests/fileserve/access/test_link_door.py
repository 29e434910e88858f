"""What a signed link opens, what it does not, and what the answers say."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fileserve.access.keys import Purpose, remove_key, rotate_key, signing_key
from fileserve.access.links import Link, signed_path
from fileserve.app import create_app
from fileserve.settings import Settings
from storage.catalog import Catalog
from storage.local import LocalStorage

CONTENT = bytes(range(250)) * 40
FILE = Link("filelink", (b"films", b"a b.bin"), is_folder=False)
FOLDER = Link("folderlink", (b"films",), is_folder=True)
PLACE = "/films/a%20b.bin"


@dataclass(frozen=True)
class Served:
    """A site of a folder, and the folder of its keys and catalog."""

    root: Path
    state: Path

    def path(self, link: Link, below: str = "") -> str:
        """The path of a link's URL; below stands behind it."""
        key = signing_key(self.state, Purpose.LINK)
        return signed_path(link, key.key_id, key.secret) + below

    def catalog(self) -> Catalog:
        return Catalog.open(f"sqlite:///{self.state / 'catalog.sqlite'}")

    @asynccontextmanager
    async def running(self, **settings: object) -> Any:
        checked = Settings.model_validate({"root": self.root, "state_dir": self.state, **settings})
        site = create_app(checked, LocalStorage(self.root))
        async with site.router.lifespan_context(site):
            yield site

    def ask(self, *asked: "Asked", **settings: object) -> list[httpx.Response]:
        """The answers of one server to one request after the other."""

        async def run() -> list[httpx.Response]:
            async with self.running(**settings) as site:
                return [await each.of(site) for each in asked]

        return asyncio.run(run())

    def get(self, path: str, client: str = "192.0.2.7", **fields: str) -> httpx.Response:
        return self.ask(Asked(path, client=client, fields=fields))[0]


@dataclass(frozen=True)
class Asked:
    """A request by a client; the names of fields have underscores."""

    path: str
    method: str = "GET"
    client: str = "192.0.2.7"
    fields: Any = None

    async def of(self, site: Any) -> httpx.Response:
        transport = httpx.ASGITransport(site, client=(self.client, 50_000))
        names = {name.replace("_", "-"): value for name, value in (self.fields or {}).items()}
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            return await client.request(self.method, self.path, headers=names)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    root, state = tmp_path / "root", tmp_path / "state"
    (root / "films" / "2026").mkdir(parents=True)
    (root / "films" / "a b.bin").write_bytes(CONTENT)
    (root / "films" / "2026" / "c.txt").write_text("c")
    (root / "films" / "page.html").write_text("<p>page</p>")
    (root / "other").mkdir()
    (root / "other" / "secret.txt").write_text("secret")
    (root / "top.txt").write_text("top")
    state.mkdir()
    return Served(root, state)


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_a_file_link_gives_the_file(served: Served, private: bool) -> None:
    path = served.path(FILE)
    whole, part, head = served.ask(
        Asked(path), Asked(path, fields={"range": "bytes=10-19"}), Asked(path, "HEAD"),
        private=private,
    )  # fmt: skip
    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert (part.status_code, part.content) == (206, CONTENT[10:20])
    assert (head.status_code, head.headers["content-length"]) == (200, "10000")


def test_a_folder_link_gives_what_is_below_it_on_a_private_server(served: Served) -> None:
    base = served.path(FOLDER)
    page, file, below, manifest, archive = served.ask(
        Asked(base, fields={"accept": "text/html"}),
        Asked(base + "a%20b.bin"),
        Asked(base + "2026/c.txt"),
        Asked(base + "?manifest=metalink"),
        Asked(base + "?archive=zip"),
        private=True,
    )
    assert page.status_code == 200
    assert "a b.bin" in page.text
    assert (file.content, below.text) == (CONTENT, "c")
    prefix = base.removesuffix("films/")
    assert f"<url>http://host{prefix}films/2026/c.txt</url>" in manifest.text
    assert archive.status_code == 200
    assert b"a b.bin" in archive.content


def test_a_metalink_has_the_public_address_and_stays_in_the_link(served: Served) -> None:
    base = served.path(FOLDER)
    (manifest,) = served.ask(
        Asked(base + "?manifest=metalink"), public_url="https://files.example/x"
    )
    assert f"<url>https://files.example/x{base}2026/c.txt</url>" in manifest.text


BEYOND = [
    # path behind the folder link's token            status  id
    ("/other/secret.txt",                            403,    "beside"),
    ("/other/nothing.txt",                           403,    "beside-and-missing"),
    ("/top.txt",                                     403,    "above"),
    ("/",                                            403,    "root"),
    ("/film",                                        403,    "shorter-name"),
    ("/films2/x",                                    403,    "longer-name"),
    ("/films/nothing",                               404,    "missing-below"),
    ("/films/%2e%2e/top.txt",                        404,    "dots"),
    ("/films/..%2ftop.txt",                          404,    "escaped-slash"),
    ("/films//top.txt",                              404,    "empty-segment"),
    ("/films%2fa%20b.bin",                           404,    "slash-in-the-name"),
    ("/-/health",                                    404,    "own-pages"),
    ("/-/login",                                     404,    "login"),
    ("/-/uploads/",                                  404,    "uploads"),
    ("/-/s/1.2.3.4/films/",                          404,    "link-in-a-link"),
    ("/-/static/nothing.css",                        404,    "unknown-style-sheet"),
    ("",                                             404,    "no-path"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "status"), [r[:2] for r in BEYOND], ids=[r[2] for r in BEYOND])
@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_a_link_opens_nothing_else(served: Served, path: str, status: int, private: bool) -> None:
    prefix = served.path(FOLDER).removesuffix("/films/")
    (answer,) = served.ask(Asked(prefix + path), private=private)
    assert answer.status_code == status
    assert "secret" not in answer.text


def test_pages_in_a_link_take_their_styles_through_it(served: Served) -> None:
    base = served.path(FOLDER)
    (page,) = served.ask(Asked(base, fields={"accept": "text/html"}))
    prefix = base.removesuffix("/films/")
    address = page.text.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    assert address.startswith(prefix + "/-/static/")
    (sheet,) = served.ask(Asked(address), private=True)
    assert sheet.headers["content-type"].startswith("text/css")


def test_nothing_above_the_linked_folder_is_shown(served: Served) -> None:
    link = replace(FOLDER, segments=(b"films", b"2026"))
    (page,) = served.ask(Asked(served.path(link), fields={"accept": "text/html"}))
    assert "2026" in page.text
    assert 'href="../' not in page.text
    assert ">films<" not in page.text


def test_the_view_page_of_a_file_link_tells_of_no_neighbour(served: Served) -> None:
    link = Link("filelink", (b"films", b"page.html"), is_folder=False)
    (served.root / "films" / "q.html").write_text("q")
    (page,) = served.ask(Asked(served.path(link, "?view"), fields={"accept": "text/html"}))
    assert page.status_code == 200
    assert "q.html" not in page.text
    assert 'href="./"' not in page.text


def test_a_file_link_opens_no_folder_that_took_the_name(served: Served) -> None:
    path = served.path(Link("filelink", (b"films", b"2026"), is_folder=False))
    for answer in served.ask(Asked(path), Asked(path + "/"), Asked(path + "/?archive=zip")):
        assert answer.status_code == 404


def test_a_folder_link_without_its_slash_leads_to_it(served: Served) -> None:
    path = served.path(FOLDER)
    (answer,) = served.ask(Asked(path.removesuffix("/")))
    assert (answer.status_code, answer.headers["location"]) == (301, path)


def test_only_reading_goes_by_a_link(served: Served) -> None:
    path = served.path(FILE)
    for method in ("PUT", "POST", "DELETE", "MOVE", "PATCH"):
        (answer,) = served.ask(Asked(path, method), writable=True)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (served.root / "films" / "a b.bin").read_bytes() == CONTENT


def test_what_goes_by_a_link_is_for_nobody_else(served: Served) -> None:
    base = served.path(FOLDER)
    answers = served.ask(
        Asked(base), Asked(base + "a%20b.bin"), Asked(base + "nothing"), Asked(base[:-9]),
        cache_control="public, max-age=3600",
    )  # fmt: skip
    for answer in answers:
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in answer.headers["x-robots-tag"]
        assert "public" not in answer.headers["cache-control"]


def test_an_attachment_is_saved_not_shown(served: Served) -> None:
    page = Link("filelink", (b"films", b"page.html"), is_folder=False)
    shown, saved = served.ask(
        Asked(served.path(page)), Asked(served.path(replace(page, is_attachment=True)))
    )
    assert shown.headers["content-disposition"].startswith("inline")
    assert saved.headers["content-disposition"].startswith("attachment")


PAST, FUTURE = int(time.time()) - 10, int(time.time()) + 3600
ENDED = [
    # link                                         client            status  title
    (replace(FILE, expires_at=PAST),               "192.0.2.7",      410,    "expired"),
    (replace(FILE, expires_at=FUTURE),             "192.0.2.7",      200,    ""),
    (replace(FILE, address="192.0.2.7"),           "192.0.2.7",      200,    ""),
    (replace(FILE, address="192.0.2.7"),           "::ffff:192.0.2.7", 200,  ""),
    (replace(FILE, address="192.0.2.8"),           "192.0.2.7",      403,    "somebody else"),
    (replace(FILE, address="192.0.2.7"),           "",               403,    "somebody else"),
    (replace(FILE, address="2001:db8::7"),         "2001:db8:0::7",  200,    ""),
    (replace(FILE, link_id="revoked1"),            "192.0.2.7",      410,    "withdrawn"),
    (replace(FILE, link_id="revoked1", expires_at=PAST), "1.2.3.4",  410,    "withdrawn"),
]  # fmt: skip


@pytest.mark.parametrize(("link", "client", "status", "title"), ENDED)
def test_a_link_ends_as_its_terms_say(
    served: Served, link: Link, client: str, status: int, title: str
) -> None:
    with served.catalog() as catalog:
        catalog.revoke_link("revoked1", PAST)
    answer = served.get(served.path(link), client)
    assert answer.status_code == status
    if title:
        assert title in answer.json()["detail"]


def test_a_browser_gets_a_page_that_says_what_to_do(served: Served) -> None:
    for link, words in ((replace(FILE, expires_at=PAST), "has expired"), (FOLDER, "not valid")):
        path = served.path(link) if link is not FOLDER else served.path(link)[:-12] + "x/films/"
        answer = served.get(path, accept="text/html")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert words in answer.text
        assert "ask whoever sent" in answer.text


def test_a_rotated_key_keeps_old_links_and_a_removed_one_ends_them(served: Served) -> None:
    old = served.path(FILE)
    old_key = signing_key(served.state, Purpose.LINK)
    rotate_key(served.state, Purpose.LINK)
    assert [answer.status_code for answer in served.ask(Asked(old), Asked(served.path(FILE)))] == [
        200, 200,
    ]  # fmt: skip
    remove_key(served.state, Purpose.LINK, old_key.key_id)
    assert [answer.status_code for answer in served.ask(Asked(old), Asked(served.path(FILE)))] == [
        403, 200,
    ]  # fmt: skip


def test_a_running_server_learns_of_a_new_key_and_of_a_revocation(served: Served) -> None:
    async def run() -> list[int]:
        async with served.running() as site:
            path = served.path(FILE)
            before = await Asked(path).of(site)
            with served.catalog() as catalog:
                catalog.revoke_link("filelink", int(time.time()))
            deadline = time.monotonic() + 60
            while (after := await Asked(path).of(site)).status_code == 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            return [before.status_code, after.status_code]

    assert asyncio.run(run()) == [200, 410]


def statuses(answers: Sequence[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def by(agent: str, path: str, **fields: str) -> Asked:
    return Asked(path, fields={"user_agent": agent, **fields})


def test_a_client_has_one_delivery_however_it_asks(served: Served) -> None:
    path = served.path(replace(FILE, downloads=2))
    answers = served.ask(
        by("one", path, range="bytes=0-99"),
        by("one", path, range="bytes=100-199"),
        by("one", path),
        by("two", path, range="bytes=0-"),
        by("three", path),
        by("three", path, range="bytes=5-"),
        by("two", path, range="bytes=7-"),
    )
    assert statuses(answers) == [206, 206, 200, 206, 410, 410, 206]
    assert "used up" in answers[4].json()["detail"]
    with served.catalog() as catalog:
        assert catalog.deliveries("filelink") == 2


def test_another_address_is_another_client(served: Served) -> None:
    path = served.path(replace(FILE, downloads=1))
    here, there = served.ask(Asked(path), Asked(path, client="192.0.2.8"))
    assert (here.status_code, there.status_code) == (200, 410)


def test_looking_again_at_the_page_of_a_file_is_the_same_delivery(served: Served) -> None:
    path = served.path(replace(FILE, downloads=1))
    asked = [by("one", path + "?view"), by("one", path + "?view"), by("one", path)]
    assert statuses(served.ask(*asked, *asked)) == [200, 200, 200, 200, 200, 410]


def test_a_range_that_is_ignored_asks_for_the_whole(served: Served) -> None:
    path = served.path(replace(FILE, downloads=1))
    whole = by("one", path, range="items=0-1")
    assert statuses(served.ask(whole, whole)) == [200, 410]


def test_whoever_has_it_all_and_asks_again_begins_a_new_delivery(served: Served) -> None:
    path = served.path(replace(FILE, downloads=2))
    answers = served.ask(*[by("one", path) for _ in range(3)])
    assert statuses(answers) == [200, 200, 410]


def test_a_whole_request_after_a_part_is_the_same_delivery(served: Served) -> None:
    path = served.path(replace(FILE, downloads=1))
    part = by("one", path, range="bytes=0-4999")
    assert statuses(served.ask(part, by("one", path))) == [206, 200]


def test_another_file_of_the_folder_is_the_same_delivery_and_the_same_is_not(
    served: Served,
) -> None:
    base = served.path(replace(FOLDER, downloads=1))
    answers = served.ask(
        by("one", base + "a%20b.bin"),
        by("one", base + "2026/c.txt"),
        by("one", base + "?archive=zip"),
        by("one", base + "?archive=tar"),
        by("one", base + "a%20b.bin"),
    )
    assert statuses(answers) == [200, 200, 200, 200, 410]


NOT_COUNTED = [
    # asked                                                   id
    (Asked("", "HEAD"),                                       "head"),
    (Asked("", "OPTIONS"),                                    "options"),
    (Asked("?checksum"),                                      "checksum"),
    (Asked("?qr"),                                            "qr-code"),
    (Asked("", fields={"if_none_match": "*"}),                "not-modified"),
    (Asked("", fields={"if_match": '"x"'}),                   "precondition-failed"),
    (Asked("", fields={"range": "bytes=99999999-"}),          "unsatisfiable"),
]  # fmt: skip


@pytest.mark.parametrize("asked", [r[0] for r in NOT_COUNTED], ids=[r[1] for r in NOT_COUNTED])
def test_what_brings_no_bytes_of_the_file_counts_nothing(served: Served, asked: Asked) -> None:
    path = served.path(replace(FILE, downloads=1))
    served.ask(replace(asked, path=path + asked.path, client="192.0.2.9"))
    assert served.get(path).status_code == 200


COUNTED = [
    # query of a file or a folder      id
    ("films/a%20b.bin?download",       "download"),
    ("films/a%20b.bin?view",           "view-page-that-shows-it"),
    ("films/a%20b.bin?view&download",  "view-and-more"),
    ("films/a%20b.bin?manifest=x",     "what-only-folders-have"),
    ("films/a%20b.bin?x=view",         "view-as-a-value"),
    ("films/a%20b.bin?qr=1&follow",    "something-and-follow"),
    ("films/?archive=zip",             "archive"),
    ("films/?%61rchive=zip",           "archive-escaped"),
    ("films/?x=1&archive=tar",         "archive-second"),
]  # fmt: skip


@pytest.mark.parametrize("query", [r[0] for r in COUNTED], ids=[r[1] for r in COUNTED])
def test_what_brings_bytes_counts_however_it_is_asked_for(served: Served, query: str) -> None:
    base = served.path(replace(FOLDER, downloads=1)).removesuffix("films/")
    first, second = served.ask(
        by("one", base + query), by("two", base + "films/a%20b.bin"), follow_idle_seconds=0.2
    )
    assert (first.status_code, second.status_code) == (200, 410)


def test_the_index_file_of_a_folder_is_a_delivery(served: Served) -> None:
    (served.root / "films" / "index.html").write_text("<p>films</p>")
    base = served.path(replace(FOLDER, downloads=1))
    first, other, manifest, again = served.ask(
        by("one", base), by("two", base), by("one", base + "?manifest=sha256"), by("one", base),
        index=True,
    )  # fmt: skip
    assert first.text == "<p>films</p>"
    assert (other.status_code, manifest.status_code) == (410, 200)
    # It is a page, which is seen more than once.
    assert again.status_code == 200


OF_A_USED_UP_FOLDER = [
    # below the link           method   client  status  id
    ("",                       "GET",   "me",   200,    "listing-for-its-holder"),
    ("",                       "HEAD",  "me",   200,    "head-for-its-holder"),
    ("2026",                   "GET",   "me",   301,    "redirect-for-its-holder"),
    ("",                       "GET",   "you",  410,    "listing"),
    ("?format=json",           "GET",   "you",  410,    "listing-for-programs"),
    ("?manifest=metalink",     "GET",   "you",  410,    "manifest"),
    ("?recursive",             "GET",   "you",  410,    "search"),
    ("?qr",                    "GET",   "you",  410,    "qr"),
    ("",                       "HEAD",  "you",  410,    "head"),
    ("a%20b.bin",              "HEAD",  "you",  410,    "head-of-a-file"),
    ("a%20b.bin?checksum",     "GET",   "you",  410,    "checksum"),
    ("?archive=zip",           "GET",   "you",  410,    "archive"),
    ("",                       "OPTIONS", "you", 204,   "options-tells-nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("below", "method", "agent", "status"),
    [row[:4] for row in OF_A_USED_UP_FOLDER],
    ids=[row[4] for row in OF_A_USED_UP_FOLDER],
)
def test_a_used_up_folder_is_open_to_those_who_hold_a_delivery(
    served: Served, below: str, method: str, agent: str, status: int
) -> None:
    base = served.path(replace(FOLDER, downloads=1))
    looked, got, then = served.ask(
        by("you", base),
        by("me", base + "a%20b.bin"),
        replace(by(agent, base + below), method=method),
    )
    # Looking begins nothing: there was one left for somebody else.
    assert statuses([looked, got]) == [200, 200]
    assert then.status_code == status


def test_a_link_bound_to_the_first_address_is_that_client_s(served: Served) -> None:
    path = served.path(replace(FILE, is_bound_to_first=True))
    first, other, again = served.ask(
        Asked(path), Asked(path, client="192.0.2.8"), by("another agent", path)
    )
    assert statuses([first, other, again]) == [200, 403, 200]


def test_without_its_catalog_a_link_goes_on_uncounted(served: Served) -> None:
    (served.state / "catalog.sqlite").mkdir()
    path = served.path(replace(FILE, downloads=1, is_bound_to_first=True))
    answers = served.ask(Asked(path), Asked(path, client="192.0.2.8"))
    assert statuses(answers) == [200, 200]


def test_a_damaged_key_file_closes_links_and_nothing_else(served: Served) -> None:
    path = served.path(FILE)
    (served.state / "keys").write_text("rubbish")
    assert statuses(served.ask(Asked(path), Asked(PLACE))) == [403, 200]


@pytest.mark.parametrize("query", ["", "?view", "?manifest=metalink", "?format=xml", "?q=a"])
def test_caches_are_told_in_one_line_of_each_kind(served: Served, query: str) -> None:
    below = "a%20b.bin" + query if query == "?view" else query
    asked = Asked(
        served.path(FOLDER) + below, fields={"accept": "text/html", "origin": "https://a"}
    )
    for private in (False, True):
        (answer,) = served.ask(asked, private=private, cors_origins=("https://a",))
        for name in ("cache-control", "vary"):
            assert len(answer.headers.get_list(name)) == 1, answer.headers
        assert answer.headers["cache-control"] in {"private, no-cache", "no-store"}
