"""The page that shows one file: which way for which file, and what stands beside it."""

import asyncio
import os
import re
from html import unescape
from pathlib import Path

import pytest
from recording_send import RecordingSend, http_scope, no_more_request

from fileserve.site.neighbours import Neighbours, find_neighbours, subtitles_for
from fileserve.site.pages import PAGE_POLICY
from fileserve.site.view import MAX_TEXT_BYTES, send_view
from storage.errors import IsFolder, NotFound
from storage.local import LocalStorage
from storage.names import Name, parse_request_path


def view(
    root: Path, path: str, method: str = "GET", root_path: str = "", **asked: str
) -> RecordingSend:
    send = RecordingSend()

    async def run() -> None:
        storage = LocalStorage(root)
        scope = {**http_scope(method, path, **asked), "root_path": root_path}
        name = parse_request_path(path.encode()).name
        try:
            fields = [(b"cache-control", b"no-cache")]
            await send_view(scope, no_more_request, send, storage, name, fields)
        finally:
            await storage.close()

    asyncio.run(run())
    return send


def page(root: Path, path: str) -> str:
    return view(root, path).content.decode("utf-8")


SHOWN_BY = [
    # file           has                                 has not
    ("a.mp4",        '<video id="media" controls',       "<audio"),
    ("a.flac",       '<audio id="media" controls',       "<video"),
    ("a.png",        '<img id="picture" src="a.png"',    "<video"),
    ("a.svg",        '<img id="picture" src="a.svg"',    "<iframe"),
    ("a.pdf",        '<iframe src="a.pdf"',              "<img"),
    ("a.txt",        '<pre class="plain-text"',          "<iframe"),
    ("a.html",       '<pre class="plain-text"',          "<iframe"),
    ("a.zip",        "There is no preview",              "<pre"),
    ("a",            "There is no preview",              "<pre"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "there", "not_there"), SHOWN_BY)
def test_each_kind_of_file_is_shown_in_its_way(
    tmp_path: Path, name: str, there: str, not_there: str
) -> None:
    (tmp_path / name).write_text("words")
    shown = page(tmp_path, f"/{name}")
    assert there in shown
    assert not_there not in shown
    assert f'href="{name}?download"' in shown


def test_the_answer_is_whole_and_under_the_policy(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    answer = view(tmp_path, "/a.txt")
    assert answer.status == 200
    assert answer.is_complete
    assert answer.fields == {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": PAGE_POLICY.decode(),
        "content-length": str(len(answer.content)),
        "cache-control": "no-cache",
    }
    head = view(tmp_path, "/a.txt", "HEAD")
    assert (head.fields, head.content, head.is_complete) == (answer.fields, b"", True)


def test_static_addresses_are_right_where_the_site_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    shown = view(tmp_path, "/a.mp4", root_path="/files").content.decode()
    urls = re.findall(r'(?:href|src)="(/[^"]*)"', shown)
    assert urls
    assert all(url.startswith("/files/-/static/") for url in urls)


STRANGE = [b'"><script>x', b"a&b<c>.mp4", b"line\nbreak.png", b"\xff.pdf", b"100%?#.txt"]


@pytest.mark.parametrize("segment", STRANGE, ids=repr)
def test_a_strange_name_stays_words(tmp_path: Path, segment: bytes) -> None:
    Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), segment))).write_bytes(b"x")
    shown = page(tmp_path, Name((segment,)).url_path)
    assert "<script>x" not in shown
    assert "<c>" not in shown
    assert Name((segment,)).url_path[1:] + "?download" in unescape(shown)


TEXT = "<script>alert(1)</script>\n&amp; {{ 7 * 7 }} </pre>"


def test_text_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("\n" + TEXT)
    shown = page(tmp_path, "/a.html")
    inside = shown[shown.index("<pre") : shown.index("</pre>")].partition(">\n")[2]
    assert unescape(inside) == "\n" + TEXT
    assert "<script>alert" not in shown


LENGTHS = [
    # bytes                 characters shown    is cut
    (0,                     0,                  False),
    (1,                     1,                  False),
    (MAX_TEXT_BYTES,        MAX_TEXT_BYTES,     False),
    (MAX_TEXT_BYTES + 1,    MAX_TEXT_BYTES,     True),
    (3 * MAX_TEXT_BYTES,    MAX_TEXT_BYTES,     True),
]  # fmt: skip


@pytest.mark.parametrize(("length", "shown_length", "is_cut"), LENGTHS)
def test_only_the_beginning_of_a_long_text_is_shown(
    tmp_path: Path, length: int, shown_length: int, is_cut: bool
) -> None:
    (tmp_path / "a.txt").write_bytes(b"~" * length)
    shown = page(tmp_path, "/a.txt")
    assert shown.count("~") == shown_length
    assert ("Only the first 256 KiB" in shown) is is_cut


def test_bytes_that_are_no_text_are_offered_like_any_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\0b")
    assert "There is no preview" in page(tmp_path, "/a.txt")


def test_size_and_date_are_told(tmp_path: Path) -> None:
    with open(tmp_path / "a.bin", "wb") as file:
        file.truncate(61_300_000_000)
    os.utime(tmp_path / "a.bin", ns=(0, 1_767_323_045_999_999_999))
    shown = page(tmp_path, "/a.bin")
    assert "57.1 GiB (61,300,000,000 bytes)" in shown
    assert '<time datetime="2026-01-02T03:04:05Z">2026-01-02 03:04 UTC</time>' in shown


CONDITIONS = [
    # RFC 9110 sections 13.1.1 to 13.1.4, for what is there but has neither tag nor date.
    ({"if_none_match": "*"},                                    304),
    ({"if_none_match": '"a"'},                                  200),
    ({"if_match": '"a"'},                                       412),
    ({"if_match": "*"},                                         200),
    ({"if_unmodified_since": "Mon, 01 Jan 1990 00:00:00 GMT"},  200),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "status"), CONDITIONS)
def test_conditions_are_judged(tmp_path: Path, asked: dict[str, str], status: int) -> None:
    (tmp_path / "a.mp4").write_bytes(b"film")
    assert view(tmp_path, "/a.mp4", **asked).status == status


def test_what_is_no_file_is_raised_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsFolder):
        view(tmp_path, "/folder")
    with pytest.raises(NotFound):
        view(tmp_path, "/gone")
    os.symlink("/etc/passwd", tmp_path / "out.txt")
    with pytest.raises(NotFound):
        view(tmp_path, "/out.txt")


def neighbours(root: Path, segment: bytes) -> Neighbours:
    async def run() -> Neighbours:
        storage = LocalStorage(root)
        try:
            return await find_neighbours(storage, Name((segment,)))
        finally:
            await storage.close()

    return asyncio.run(run())


FOLDER = ["A.mp4", "a.srt", "B.txt", "b.de.srt", "b.mp4", "b.vtt", "c.zip", "d.mp4"]
BESIDE = [
    # file        before      after
    (b"A.mp4",    None,       b"b.mp4"),
    (b"b.mp4",    b"A.mp4",   b"d.mp4"),   # films go on to films
    (b"d.mp4",    b"b.mp4",   None),
    (b"a.srt",    b"A.mp4",   b"b.de.srt"),  # everything else to whatever is next
    (b"B.txt",    b"b.mp4",   b"b.vtt"),
    (b"c.zip",    b"b.vtt",   b"d.mp4"),
    (b"gone",     b"d.mp4",   None),
]  # fmt: skip


@pytest.mark.parametrize(("own", "before", "after"), BESIDE)
def test_files_are_beside_each_other_as_in_the_listing(
    tmp_path: Path, own: bytes, before: bytes | None, after: bytes | None
) -> None:
    (tmp_path / "0 folder").mkdir()
    for name in FOLDER:
        (tmp_path / name).touch()
    found = neighbours(tmp_path, own)
    assert (found.previous, found.next) == (before, after)


def test_all_subtitles_of_a_film_are_found_wherever_they_are_listed(tmp_path: Path) -> None:
    names = [f"film.{number:03}.srt" for number in range(40)]
    for name in [*names, "film.mkv", "film.vtt", "film2.srt", "Film.srt", "z.mkv"]:
        (tmp_path / name).touch()
    # More than one batch of the listing lies before and behind.
    for number in range(600):
        (tmp_path / f"a{number}").touch()
        (tmp_path / f"y{number}").touch()
    found = neighbours(tmp_path, b"film.mkv")
    expected = sorted([*names, "film.vtt"])
    assert sorted(os.fsdecode(track.segment) for track in found.subtitles) == expected


SUBTITLES = [
    # segment                label           language
    (b"film.srt",            "Subtitles",    ""),
    (b"film.VTT",            "Subtitles",    ""),
    (b"film.en.srt",         "en",           "en"),
    (b"film.pt-BR.srt",      "pt-BR",        "pt-BR"),
    (b"film.en.forced.srt",  "en forced",    "en"),
    (b"film.English.srt",    "English",      ""),
    (b"film.ass",            None,           None),
    (b"films.srt",           None,           None),
    (b"filmsrt",             None,           None),
]  # fmt: skip


@pytest.mark.parametrize(("segment", "label", "language"), SUBTITLES)
def test_subtitles_are_told_by_their_name(
    segment: bytes, label: str | None, language: str | None
) -> None:
    found = subtitles_for(b"film", segment)
    assert (found and found.label, found and found.language) == (label, language)


def test_a_player_has_its_subtitles(tmp_path: Path) -> None:
    for name in ("a b.mp4", "a b.en.srt", "a b.vtt"):
        (tmp_path / name).touch()
    shown = page(tmp_path, "/a%20b.mp4")
    assert 'src="a%20b.en.srt?vtt" label="en" srclang="en"' in shown
    assert 'src="a%20b.vtt" label="Subtitles">' in shown
