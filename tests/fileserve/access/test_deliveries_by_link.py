"""What counts as a delivery by a link, for whom, and what becomes of a link that is used up."""

from dataclasses import replace

import pytest

from tests.fileserve.access.linked_site import FILE, FOLDER, Asked, Served, statuses


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
