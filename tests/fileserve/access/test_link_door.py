"""What a signed link opens, what it does not, and what the answers say."""

import asyncio
import time
from dataclasses import replace

import pytest

from fileserve.access.keys import Purpose, remove_key, rotate_key, signing_key
from fileserve.access.links import Link
from tests.fileserve.access.linked_site import CONTENT, FILE, FOLDER, PLACE, Asked, Served, statuses


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
