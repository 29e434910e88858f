"""SubRip as WebVTT: what players accept is read, and nothing of it becomes markup."""

import asyncio
import codecs
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_send import RecordingSend, http_scope, no_more_request

from fileserve.site.characters import Extent, decode_text, is_binary
from fileserve.site.subtitles import webvtt_lines
from fileserve.site.webvtt import MAX_SUBTITLE_BYTES, send_webvtt
from storage.errors import NotFound
from storage.local import LocalStorage
from storage.names import Name

CUE = "00:00:01,000 --> 00:00:02,000\n"


def cues(text: str) -> str:
    """What stands below the first line of the WebVTT file."""
    lines = list(webvtt_lines(text.splitlines()))
    assert lines[0] == "WEBVTT"
    return "\n".join(lines[1:]).strip("\n")


TIMINGS = [
    # SubRip                                      WebVTT
    ("00:00:01,000 --> 00:00:04,200",             "00:00:01.000 --> 00:00:04.200"),
    ("00:00:01.000 --> 00:00:04.200",             "00:00:01.000 --> 00:00:04.200"),
    ("1:2:3,4 --> 1:2:5",                         "01:02:03.400 --> 01:02:05.000"),
    ("100:00:00,000 --> 100:00:01,000",           "100:00:00.000 --> 100:00:01.000"),
    ("00:00:01,000-->00:00:02,000",               "00:00:01.000 --> 00:00:02.000"),
    ("00:00:01,000 --> 00:00:02,000 X1:10 Y2:20", "00:00:01.000 --> 00:00:02.000"),
    ("00:00:01,000 --> 00:00:02,000 line:0",      "00:00:01.000 --> 00:00:02.000"),
    ("\u0660\u0660:00:01,000 --> 00:00:02,000",   ""),
    ("00:01,000 --> 00:02,000",                   ""),
    ("00:00:01,000",                              ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "timing"), TIMINGS)
def test_timings_are_rewritten(line: str, timing: str) -> None:
    assert cues(line) == timing


TEXTS = [
    ("Hello",                                     "Hello"),
    ("<i>a</i> <B>b</B> <u>c</u>",                "<i>a</i> <b>b</b> <u>c</u>"),
    ('<font color="red">a</font>',                "a"),
    ("{\\an8}up",                                 "up"),
    ("a & b &amp; c",                             "a &amp; b &amp;amp; c"),
    ("1 < 2 <script>",                            "1 &lt; 2 &lt;script&gt;"),
    ("<i onclick=x>",                             "&lt;i onclick=x&gt;"),
    ("a --> b",                                   "a --&gt; b"),
    ("{\\an8}",                                   "&nbsp;"),
    ("<c.x><v Bob>hi",                            "&lt;c.x&gt;&lt;v Bob&gt;hi"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_only_the_simplest_tags_stay(text: str, shown: str) -> None:
    assert cues(CUE + text).splitlines()[1:] == [shown]


def test_what_stands_outside_a_cue_is_left_out() -> None:
    text = f"STYLE\n::cue {{ color: red }}\n\n1\n{CUE}a\nb\n\n2\n{CUE}c\n\nNOTE x\nad\n"
    timing = "00:00:01.000 --> 00:00:02.000"
    assert cues(text) == f"{timing}\na\nb\n\n{timing}\nc"


@given(st.text(max_size=300))
def test_any_text_gives_cues_without_markup(text: str) -> None:
    shown = cues(CUE + text)
    for tag in ("<i>", "</i>", "<b>", "</b>", "<u>", "</u>"):
        shown = shown.replace(tag, "")
    assert "<" not in shown


def test_a_line_of_any_length_is_read_in_one_pass() -> None:
    """Read again at each sign, these took minutes."""
    began = time.monotonic()
    for piece in ("{\\", "<font", "&", "00:"):
        list(webvtt_lines([CUE, piece * 200_000]))
    assert time.monotonic() - began < 30


ENCODED = [
    ("é".encode(),                                      "é"),
    (codecs.BOM_UTF8 + "é".encode(),                    "é"),
    (codecs.BOM_UTF16_LE + "é".encode("utf-16-le"),     "é"),
    (codecs.BOM_UTF16_BE + "é".encode("utf-16-be"),     "é"),
    (b"\xe9 \x80",                                      "é €"),
    (b"\x81",                                           "\N{REPLACEMENT CHARACTER}"),
    (b"",                                               ""),
]  # fmt: skip


@pytest.mark.parametrize(("content", "text"), ENCODED)
def test_characters_are_read_as_they_were_written(content: bytes, text: str) -> None:
    assert decode_text(content) == text


CUT = [
    ("aé".encode()[:2], "a"),
    ("a€".encode()[:3], "a"),
    ((codecs.BOM_UTF16_LE + "aé".encode("utf-16-le"))[:5], "a"),
]


@pytest.mark.parametrize(("content", "text"), CUT)
def test_a_character_that_was_cut_is_left_out(content: bytes, text: str) -> None:
    assert decode_text(content, Extent.BEGINNING) == text


def test_bytes_with_nul_are_no_text() -> None:
    assert is_binary(b"a\0b")
    assert not is_binary("a".encode("utf-16"))
    assert not is_binary("é".encode())


def get(root: Path, segment: bytes, method: str = "GET") -> RecordingSend:
    send = RecordingSend()

    async def run() -> None:
        storage = LocalStorage(root)
        scope = http_scope(method, "/x")
        try:
            fields = [(b"cache-control", b"no-cache")]
            await send_webvtt(scope, no_more_request, send, storage, Name((segment,)), fields)
        finally:
            await storage.close()

    asyncio.run(run())
    return send


def test_a_subrip_file_is_answered_as_webvtt(tmp_path: Path) -> None:
    (tmp_path / "a.SRT").write_bytes(f"1\r\n{CUE}caf\xe9\r\n".encode("latin-1"))
    answer = get(tmp_path, b"a.SRT")
    assert answer.status == 200
    assert answer.fields == {
        "content-type": "text/vtt; charset=utf-8",
        "cache-control": "no-cache",
    }
    timing = "00:00:01.000 --> 00:00:02.000"
    assert answer.content.decode() == f"WEBVTT\n\n{timing}\ncafé\n\n"
    assert answer.is_complete


def test_head_of_webvtt_has_no_content(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(CUE)
    answer = get(tmp_path, b"a.srt", "HEAD")
    assert (answer.status, answer.content, answer.is_complete) == (200, b"", True)


def test_many_cues_leave_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text((CUE + "a\n\n") * 5_000)
    answer = get(tmp_path, b"a.srt")
    assert answer.content.count(b"-->") == 5_000
    assert max(len(message.get("body", b"")) for message in answer.messages) < 64 << 10


def test_what_is_no_subtitle_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"x")
    with (tmp_path / "big.srt").open("wb") as file:
        file.truncate(MAX_SUBTITLE_BYTES + 1)
    assert get(tmp_path, b"a.mkv").status == 400
    assert get(tmp_path, b"big.srt").status == 400
    with pytest.raises(NotFound):
        get(tmp_path, b"gone.srt")
