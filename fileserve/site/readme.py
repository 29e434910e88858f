"""The README of a folder as HTML that can do no harm.

Markdown is read by markdown-it, which passes no HTML on, and what it makes is cleaned by nh3 all
the same.  Whoever may put a file into the folder writes it, so nothing in it runs, is loaded from
another host, or takes the page's own ids and classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from html import escape
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from storage.errors import StorageError
from storage.local import Entry, EntryKind, LocalStorage
from storage.names import Name, printable
from storage.pools import BoundedPool

# More is no introduction, and takes a tenth of a second to be read.
MAX_README_BYTES = 64 << 10
MAX_HTML_CHARACTERS = 1 << 20
_RENDER_SECONDS = 2.0

# Best first.
_NAMES = (b"readme.md", b"readme.markdown", b"readme.txt", b"readme")
_MARKDOWN_NAMES = frozenset(_NAMES[:2])

_TAGS = {
    *("a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "img"),
    *("li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}
# The page has h1, and the section of the README h2.
_HEADING_OFFSET = 2


@dataclass(frozen=True, slots=True)
class Readme:
    """A README ready to be shown; html is clean."""

    label: str
    html: Markup


def readme_rank(entry: Entry) -> int | None:
    """How well an entry serves as the README of its folder, 0 the best; None: not at all."""
    name = entry.segment.lower()
    if name not in _NAMES or entry.kind is not EntryKind.FILE or not entry.size:
        return None
    return _NAMES.index(name) if entry.size <= MAX_README_BYTES else None


async def load_readme(storage: LocalStorage, name: Name) -> Readme | None:
    """The README that name means now; None when it cannot be read or takes too long to make."""
    try:
        text = await _read(storage, name)
        is_markdown = name.last.lower() in _MARKDOWN_NAMES
        html = await _pool().run(partial(render_readme, text, is_markdown=is_markdown))
    except (StorageError, OSError):
        return None
    return Readme(printable(name.last), Markup(html)) if html else None  # noqa: S704 - it is clean


@lru_cache(maxsize=32)
def render_readme(text: str, *, is_markdown: bool) -> str:
    """Clean HTML for text; empty when there is nothing to show, or absurdly much."""
    html = _from_markdown(text) if is_markdown else f"<pre>{escape(text)}</pre>"
    if not text.strip() or len(html) > MAX_HTML_CHARACTERS:
        return ""
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def _from_markdown(text: str) -> str:
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _HEADING_OFFSET, 6)}"
        if token.children:
            token.children = _without_foreign_pictures(token.children)
    return str(parser.renderer.render(tokens, parser.options, {}))


def _without_foreign_pictures(tokens: Sequence[Token]) -> list[Token]:
    """The tokens with each picture of another host as its words: the page loads none of them."""
    return [_words_of(token) if _is_foreign_picture(token) else token for token in tokens]


def _is_foreign_picture(token: Token) -> bool:
    if token.type != "image":
        return False
    parts = urlsplit(str(token.attrGet("src") or ""))
    return bool(parts.scheme or parts.netloc)


def _words_of(picture: Token) -> Token:
    return Token("text", "", 0, content=picture.content)


async def _read(storage: LocalStorage, name: Name) -> str:
    blob = await storage.open(name)
    try:
        # One call: a README that grew meanwhile is cut, and that is no harm.
        content = await blob.read(0, MAX_README_BYTES)
    finally:
        await blob.close()
    return content.decode("utf-8-sig", "replace")


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@cache
def _pool() -> BoundedPool:
    """One thread: making HTML is work for the processor, and must not hold up the event loop."""
    return BoundedPool("READMEs", threads=1, deadline_seconds=_RENDER_SECONDS)
