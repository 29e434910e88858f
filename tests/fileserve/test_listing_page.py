"""What the page of a folder is made of, and that no name can break it."""

import re
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from fileserve.site.appearance import Family, family_of_file, human_size
from fileserve.site.listing_entries import Notice, NoticeKind, Shown
from fileserve.site.listing_page import PageListing
from fileserve.site.pages import PAGE_POLICY, STATIC_FILES, STATIC_PREFIX
from fileserve.site.readme import Readme
from storage.local import Entry, EntryKind
from storage.names import Name
from storage.ordering import Direction, SortKey

ROOT = Name(())
MODIFIED_NS = 1_767_323_045_999_999_999  # 2026-01-02T03:04:05Z


def file(segment: bytes, size: int = 1) -> Entry:
    return Entry(segment, EntryKind.FILE, size, MODIFIED_NS)


def folder(segment: bytes) -> Entry:
    return Entry(segment, EntryKind.FOLDER, None, MODIFIED_NS)


def page_of(*entries: Entry, name: Name = ROOT, root_path: str = "") -> str:
    form = PageListing(name, root_path)
    return form.head() + form.rows(entries) + form.tail()


class Elements(HTMLParser):
    """The elements of a page in order, each with its attributes and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def links(self) -> list[str]:
        """The addresses of files and folders: those without a query."""
        hrefs = [attrs["href"] or "" for tag, attrs in self.found if tag == "a"]
        return [href for href in hrefs if "?" not in href]


STRANGE_NAMES = [
    b"plain.txt",
    b"a b & c.txt",
    b"100%.txt",
    b"#1?.txt",
    b"back\\slash",
    b"javascript:alert(1)",
    b"<script>alert(1)",
    b'"onmouseover="x',
    b"'quoted'",
    b"latin1-\xe9",
    b"\xff\xfe",
    b"line\nbreak",
    b"\xe2\x80\xaegpj.exe",
    b"{{ 7 * 7 }}",
    "😀 ".encode() * 10,
    b"x" * 255,
    b"...",
]


@pytest.mark.parametrize("segment", STRANGE_NAMES, ids=repr)
def test_a_strange_name_is_words_and_a_link_that_works(segment: bytes) -> None:
    plain, strange = Elements(page_of(file(b"x"))), Elements(page_of(file(segment)))
    assert unquote_to_bytes(urljoin("/", strange.links()[0])) == b"/" + segment
    # Whatever the name is, the page has no other elements than with a plain one.
    own = {"video", "View", "Play"}
    assert {tag for tag, _ in strange.found} <= {tag for tag, _ in plain.found} | own
    assert not any(key.startswith("on") for _, attrs in strange.found for key in attrs)
    assert "\u202e" not in "".join(strange.words)


@given(st.binary(min_size=1, max_size=255).filter(lambda b: b not in (b".", b"..", b"-")))
def test_any_name_is_listed_with_a_link_that_works(segment: bytes) -> None:
    segment = segment.replace(b"/", b"_").replace(b"\0", b"_")
    rows = PageListing(Name((b"f",)), "").rows([file(segment)])
    (href,) = Elements(rows[rows.index("<tbody") :]).links()
    assert unquote_to_bytes(urljoin("/f/", href)) == b"/f/" + segment


def test_each_name_is_isolated_from_the_direction_of_its_surroundings() -> None:
    page = page_of(*map(file, STRANGE_NAMES))
    assert page.count("</bdi></a></th>") == len(STRANGE_NAMES)


def test_what_a_folder_above_is_called_is_only_words() -> None:
    page = page_of(file(b"x"), name=Name((b"<b>", b"</title><script>")))
    assert "</title><script>" not in page
    assert "<title>&lt;/title&gt;&lt;script&gt;</title>" in page
    assert '<a href="../" rel="up"><bdi>&lt;b&gt;</bdi></a>' in page


def test_breadcrumbs_lead_to_every_folder_above() -> None:
    page = page_of(name=Name((b"a b", b"<c>", b"d")))
    nav = page[page.index("<nav") : page.index("</nav>")]
    here = "/a%20b/%3Cc%3E/d/"
    found = re.findall(r'<a href="([^"]*)"[^>]*><bdi>([^<]*)</bdi>', nav)
    assert [(urljoin(here, href), unescape(label)) for href, label in found] == [
        ("/", "Files"),
        ("/a%20b/", "a b"),
        ("/a%20b/%3Cc%3E/", "<c>"),
    ]
    assert "<nav" not in page_of()


ROWS = [
    # entry                                    in its row
    (file(b"a.bin", 61_300_000_000),           'title="61,300,000,000 bytes">57.1 GiB<'),
    (file(b"a.bin"),                           '<time datetime="2026-01-02T03:04:05Z">2026-01-02 '),
    (file(b"a.mp4"),                           '<a class=view href="a.mp4?view">Play</a>'),
    (file(b"a.flac"),                          '>Play</a>'),
    (file(b"a.png"),                           '>View</a>'),
    (file(b"a.pdf"),                           '>View</a>'),
    (file(b"a b.txt"),                         '<a class=view href="a%20b.txt?view">View</a>'),
    (file(b"a.zip"),                           '<a class=get href="a.zip?download"'),
    (folder(b"f"),                             '<a href="f/">'),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "text"), ROWS)
def test_a_row_says_what_is_known_and_what_can_be_done(entry: Entry, text: str) -> None:
    assert text in PageListing(ROOT, "").rows([entry])


NOT_IN_ROWS = [
    (file(b"a.zip"),                                     "?view"),
    (folder(b"f"),                                       "?download"),
    (Entry(b"mnt", EntryKind.UNKNOWN, None, None),       "?download"),
    (Entry(b"mnt", EntryKind.UNKNOWN, None, None),       "<time"),
    (Entry(b"year", EntryKind.FILE, 1, 1 << 80),         "<time"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "text"), NOT_IN_ROWS)
def test_a_row_offers_nothing_that_is_not_there(entry: Entry, text: str) -> None:
    rows = PageListing(ROOT, "").rows([entry])
    assert text not in rows[rows.index("<tbody") :]


def test_each_piece_of_rows_is_a_group_of_its_own() -> None:
    form = PageListing(ROOT, "")
    pieces = [form.rows([file(b"a")]), form.rows([]), form.rows([file(b"b")])]
    page = form.head() + "".join(pieces) + form.tail()
    assert page.count("<table") == 1
    assert page.count("<tbody") == page.count("</tbody>") == 2


def test_the_page_ends_with_its_totals() -> None:
    page = page_of(folder(b"f"), file(b"a", 512), file(b"b", 512))
    assert '<p class="totals">1 folder, 2 files, 1.0 KiB</p>' in page


ORDERS = [
    # shown                                          aria-sort    link of that column
    (Shown(),                                        "ascending",  "?sort=name&amp;order=desc"),
    (Shown(SortKey.NAME, Direction.DESCENDING),      "descending", "?sort=name&amp;order=asc"),
    (Shown(SortKey.SIZE, Direction.DESCENDING),      "descending", "?sort=size&amp;order=asc"),
    (Shown(SortKey.MODIFIED, Direction.ASCENDING),   "ascending",  "?sort=modified&amp;order=desc"),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "direction", "link"), ORDERS)
def test_the_sorted_column_says_so_and_turns_around(
    shown: Shown, direction: str, link: str
) -> None:
    rows = PageListing(ROOT, "", shown).rows([file(b"a")])
    assert f'aria-sort="{direction}"><a href="{link}"' in rows
    assert rows.count('aria-sort="none"') == 2


def test_sizes_and_dates_begin_with_the_largest() -> None:
    rows = PageListing(ROOT, "").rows([file(b"a")])
    assert 'href="?sort=size&amp;order=desc"' in rows
    assert 'href="?sort=modified&amp;order=desc"' in rows


def test_what_a_search_found_has_its_way_and_leads_there() -> None:
    form = PageListing(Name((b"top",)), "", Shown(query='"<i>'))
    found = form.found(Name((b"top", b"a b", b"<c>")), [file(b"x"), folder(b"y")])
    assert '<a href="a%20b/%3Cc%3E/x">' in found
    assert '<a href="a%20b/%3Cc%3E/y/">' in found
    assert '<span class="way"><bdi>a b</bdi>/<bdi>&lt;c&gt;</bdi>/</span><bdi>x</bdi>' in found
    page = form.head() + found + form.tail()
    assert "<i>" not in page.replace(" <i>03:04</i>", "")
    assert 'value="&#34;&lt;i&gt;"' in page
    assert "?archive" not in page


def test_a_search_that_found_nothing_says_so() -> None:
    form = PageListing(ROOT, "", Shown(query="x"))
    page = form.head() + form.tail()
    assert "Nothing below this folder has a name like that." in page
    assert page.count("<form") == 1


def test_few_of_many_notices_are_shown_and_always_the_last_word() -> None:
    form = PageListing(ROOT, "", Shown(query="x"))
    for number in range(1000):
        form.notice(Notice(NoticeKind.UNREADABLE, ROOT, f"No. {number} <b>"))
    form.notice(Notice(NoticeKind.CUT_SHORT, ROOT, "Stopped."))
    tail = form.tail()
    assert "No. 0 &lt;b&gt;" in tail
    assert "No. 5" not in tail
    assert "Stopped." in tail


def test_an_empty_folder_says_so_and_offers_nothing() -> None:
    page = page_of()
    assert "This folder is empty." in page
    assert "<table" not in page
    assert "?archive" not in page


def test_the_whole_folder_can_be_had_without_scripts() -> None:
    page = page_of(file(b"a"))
    for query in ("archive=zip", "archive=tar", "manifest=sha256", "manifest=metalink"):
        assert f'href="?{query}"' in page
    assert "resumable" in page


def test_the_page_closes_what_it_opens() -> None:
    for page in (page_of(), page_of(file(b"a")), page_of(folder(b"f"), name=Name((b"x",)))):
        for tag in ("main", "header", "table", "tbody", "form", "section", "details", "body"):
            assert len(re.findall(f"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag


def test_nothing_in_the_page_is_inline_or_foreign() -> None:
    form = PageListing(ROOT, "")
    page = form.head() + form.rows([file(b"a.mp4"), folder(b"f")]) + form.tail()
    elements = Elements(page)
    assert not any("style" in attrs for _, attrs in elements.found)
    assert not any(tag in ("style", "base", "iframe") for tag, _ in elements.found)
    assert [attrs["src"] for tag, attrs in elements.found if tag == "script"] == [
        file.url for file in STATIC_FILES.values() if "/listing." in file.url
    ]
    assert "://" not in page


def test_the_policy_allows_nothing_inline_and_nothing_foreign() -> None:
    policy = PAGE_POLICY.decode().split("; ")
    assert policy[0] == "default-src 'none'"
    assert {source for part in policy for source in part.split()[1:]} == {"'none'", "'self'"}


def test_urls_of_the_service_are_right_where_the_site_is_mounted() -> None:
    page = page_of(file(b"a"), root_path="/files")
    urls = re.findall(r'(?:href|src)="(/[^"]*)"', page)
    assert urls
    assert all(url.removeprefix("/files") in STATIC_FILES for url in urls)


def test_static_files_name_their_neighbours_by_their_addresses() -> None:
    """Else a script kept for ever would import one of another version."""
    for static in STATIC_FILES.values():
        for neighbour in re.findall(rb"[\"(]\./([^\")]+)[\")]", static.content):
            if neighbour and static.url.endswith((".js", ".css")):
                assert STATIC_PREFIX + neighbour.decode() in STATIC_FILES, static.url


def test_a_readme_stands_below_the_rows() -> None:
    form = PageListing(ROOT, "")
    form.rows([file(b"README.md")])
    form._readme = Readme("README.md", Markup("<p>words</p>"))
    assert "<p>words</p>" in form.tail()


FAMILIES = [
    (b"a.mkv", Family.VIDEO), (b"a.ogg", Family.AUDIO), (b"a.svg", Family.IMAGE),
    (b"a.json", Family.TEXT), (b"a.srt", Family.TEXT), (b"a.geojson", Family.TEXT),
    (b"a.pdf", Family.PDF), (b"a.tar.gz", Family.ARCHIVE), (b"a.iso", Family.ARCHIVE),
    (b"a.docx", Family.FILE), (b"a.odt", Family.FILE), (b"a", Family.FILE), (b".mkv", Family.FILE),
]  # fmt: skip


@pytest.mark.parametrize(("segment", "family"), FAMILIES)
def test_what_a_browser_can_do_with_a_file_is_told_by_its_name(
    segment: bytes, family: Family
) -> None:
    assert family_of_file(segment) is family


SIZES = [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
    (102_348, "99.9 KiB"), (102_400, "100 KiB"), (1_023_487, "999 KiB"), (1_023_488, "1.0 MiB"),
    (1 << 20, "1.0 MiB"), (61_300_000_000, "57.1 GiB"), (1 << 60, "1.0 EiB"),
    ((1 << 63) - 1, "8.0 EiB"), (1 << 80, "1048576 EiB"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "text"), SIZES)
def test_a_size_has_two_or_three_digits_and_a_unit(size: int, text: str) -> None:
    assert human_size(size) == text


@given(st.integers(0, 1 << 63))
def test_any_size_is_short(size: int) -> None:
    assert len(human_size(size)) <= len("99.9 KiB")
