"""A README is shown, and nothing that anybody writes into it can do harm."""

import asyncio
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.site.readme import (
    MAX_README_BYTES,
    Readme,
    load_readme,
    readme_rank,
    render_readme,
)
from storage.local import Entry, EntryKind, LocalStorage
from storage.names import Name


def html(text: str) -> str:
    return render_readme(text, is_markdown=True).strip()


SHOWN = [
    ("# A",                          "<h3>A</h3>"),
    ("###### A",                     "<h6>A</h6>"),
    ("**a** *b* `c` ~~d~~",
     "<p><strong>a</strong> <em>b</em> <code>c</code> <s>d</s></p>"),
    ("![plan](a/b.png)",             '<p><img src="a/b.png" alt="plan"></p>'),
    ("[a](b/)", '<p><a href="b/" rel="noopener noreferrer nofollow">a</a></p>'),
    ("[a](https://host/)",
     '<p><a href="https://host/" rel="noopener noreferrer nofollow">a</a></p>'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SHOWN)
def test_markdown_is_shown(text: str, expected: str) -> None:
    assert html(text) == expected


def test_a_table_is_a_table() -> None:
    assert "<td>c</td>" in html("|a|b|\n|-|-|\n|c|d|")


HARMFUL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html,<script>)",
    "[x](vbscript:x)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![x](https://host/pixel.gif)",
    "![x](//host/pixel.gif)",
    "![x][r]\n\n[r]: https://host/pixel.gif",
    "[![x](https://host/pixel.gif)](a)",
    "<iframe src=a></iframe>",
    "<style>*{display:none}</style>",
    "<form action=a><button>x</button></form>",
    "<p id=search class=more style=color:red>x</p>",
    "&lt;script&gt;",
    "`<script>`",
    "```html\n<script>\n```",
]
_ALLOWED_ATTRIBUTES = {"href", "src", "alt", "title", "rel", "start"}


class Judge(HTMLParser):
    """Fails when there is an element or attribute that could do something."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "style", "iframe", "form", "button", "input", "base", "link")
        for key, value in attrs:
            assert key in _ALLOWED_ATTRIBUTES, key
            if key == "href":
                scheme = re.match(r"\s*([a-zA-Z][a-zA-Z0-9+.-]*):", value or "")
                assert scheme is None or scheme[1].lower() in ("http", "https", "mailto")
            if key == "src":
                assert ":" not in (value or "")
                assert not (value or "").startswith("//")


@pytest.mark.parametrize("text", HARMFUL)
def test_nothing_harmful_comes_through(text: str) -> None:
    Judge().feed(html(text))
    Judge().feed(render_readme(text, is_markdown=False))


@given(st.text(alphabet="<>[]()!*_`#|\\\"'&;:/-~ \nabdhijrst", max_size=200))
def test_no_text_does_harm(text: str) -> None:
    Judge().feed(render_readme.__wrapped__(text, is_markdown=True))


def test_plain_text_keeps_its_lines() -> None:
    assert render_readme("a\n <b>\n", is_markdown=False) == "<pre>a\n &lt;b&gt;\n</pre>"


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_nothing_is_shown_of_nothing(text: str) -> None:
    assert render_readme(text, is_markdown=True) == ""
    assert render_readme(text, is_markdown=False) == ""


RANKS = [
    # segment         size                  rank
    (b"README.md",    1,                    0),
    (b"readme.MD",    1,                    0),
    (b"README.txt",   1,                    2),
    (b"README",       1,                    3),
    (b"README.md",    0,                    None),
    (b"README.md",    MAX_README_BYTES,     0),
    (b"README.md",    MAX_README_BYTES + 1, None),
    (b"README.pdf",   1,                    None),
    (b"my README.md", 1,                    None),
]  # fmt: skip


@pytest.mark.parametrize(("segment", "size", "rank"), RANKS)
def test_which_file_is_the_readme(segment: bytes, size: int, rank: int | None) -> None:
    assert readme_rank(Entry(segment, EntryKind.FILE, size, 0)) == rank


def test_a_folder_is_no_readme() -> None:
    assert readme_rank(Entry(b"README.md", EntryKind.FOLDER, None, 0)) is None


def load(root: Path, segment: bytes) -> Readme | None:
    async def run() -> Readme | None:
        storage = LocalStorage(root)
        try:
            return await load_readme(storage, Name((segment,)))
        finally:
            await storage.close()

    return asyncio.run(run())


def test_a_readme_is_read_through_storage(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"\xef\xbb\xbf# A \xff")
    loaded = load(tmp_path, b"README.md")
    assert loaded is not None
    assert loaded.label == "README.md"
    assert loaded.html.strip() == "<h3>A \N{REPLACEMENT CHARACTER}</h3>"


def test_a_readme_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    os.symlink("/etc/passwd", tmp_path / "README.md")
    (tmp_path / "README").mkdir()
    for segment in (b"README.md", b"README", b"README.txt"):
        assert load(tmp_path, segment) is None
