"""Which paths are names, and what they look like in a URL and to people."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import NameRefused
from storage.names import (
    Name,
    RequestedPath,
    is_staging,
    parse_os_path,
    parse_request_path,
    parse_served_path,
)

A255 = b"a" * 255
BYTES_4096 = b"/".join([A255] * 15 + [b"b" * 254, b"c"])  # 15 * 256 + 254 + 2 = 4096

ACCEPTED = [
    # raw path                segments               folder?  id
    (b"/", (), True, "root"),
    (b"/a", (b"a",), False, "file"),
    (b"/a/", (b"a",), True, "one-trailing-slash"),
    (b"/a/b.mkv", (b"a", b"b.mkv"), False, "nested"),
    (b"/a%20b", (b"a b",), False, "escape"),
    (b"/%61", (b"a",), False, "escape-of-an-unreserved-character"),  # RFC 3986 2.3
    (b"/%252F", (b"%2F",), False, "decoded-exactly-once"),
    (b"/%25", (b"%",), False, "encoded-percent"),
    (b"/a+b", (b"a+b",), False, "plus-is-not-a-space"),
    (b"/%FF%fe", (b"\xff\xfe",), False, "not-utf-8"),
    (b"/\xc3\xa4", (b"\xc3\xa4",), False, "raw-non-ascii"),
    (b"/a\\..\\b", (b"a\\..\\b",), False, "backslash-is-ordinary"),
    (b"/%5c", (b"\\",), False, "encoded-backslash"),
    (b"/...", (b"...",), False, "three-dots"),
    (b"/.hidden", (b".hidden",), False, "dot-file-is-a-name"),
    (b"/a/-", (b"a", b"-"), False, "dash-deeper-down"),
    (b"/-a", (b"-a",), False, "dash-begins-a-name"),
    (b"/%0A%1b%7F", (b"\n\x1b\x7f",), False, "control-characters-are-bytes"),
    (b"/" + A255, (A255,), False, "segment-of-255-bytes"),
    (b"/" + b"%ff" * 255, (b"\xff" * 255,), False, "255-counts-after-decoding"),
    (b"/" + BYTES_4096[2:], None, False, "path-of-4094-bytes"),
    (b"/" + BYTES_4096[1:], None, False, "path-of-4095-bytes"),
    (b"/" + BYTES_4096[1:] + b"/", None, True, "slash-at-the-end-does-not-count"),
]

REFUSED = [
    # raw path          id
    (b"", "empty"),
    (b"a", "no-slash"),
    (b"*", "asterisk-form"),
    (b"//", "only-slashes"),
    (b"//a", "empty-first-segment"),
    (b"/a//b", "empty-segment"),
    (b"/a//", "two-slashes-at-the-end"),
    (b"/.", "dot"),
    (b"/a/.", "dot-at-the-end"),
    (b"/a/./b", "dot-inside"),
    (b"/..", "dot-dot"),
    (b"/a/../b", "dot-dot-inside"),
    (b"/a/../", "dot-dot-folder"),
    (b"/%2e", "encoded-dot"),
    (b"/%2E%2e/a", "encoded-dot-dot"),
    (b"/.%2e/a", "half-encoded-dot-dot"),
    (b"/a%2Fb", "encoded-slash"),
    (b"/a%2fb", "encoded-slash-lower-case"),
    (b"%2Fa", "encoded-first-slash"),
    (b"/..%2f..%2fetc", "encoded-traversal"),
    (b"/a%00", "encoded-nul"),
    (b"/a\0", "raw-nul"),
    (b"/%", "stray-percent"),
    (b"/%a", "one-digit"),
    (b"/%zz", "not-hexadecimal"),
    (b"/%u0041", "percent-u"),
    (b"/% 41", "space-in-escape"),
    (b"/-", "reserved"),
    (b"/-/", "reserved-folder"),
    (b"/-/health", "reserved-page"),
    (b"/%2d/health", "reserved-encoded"),
    (b"/" + A255 + b"a", "segment-of-256-bytes"),
    (b"/" + BYTES_4096, "path-of-4096-bytes"),
    (b"/a" * 1_000_000, "huge"),
]


@pytest.mark.parametrize(
    ("raw_path", "segments", "wants_folder"),
    [row[:3] for row in ACCEPTED],
    ids=[row[3] for row in ACCEPTED],
)
def test_path_is_a_name(
    raw_path: bytes, segments: tuple[bytes, ...] | None, wants_folder: bool
) -> None:
    if segments is None:
        segments = tuple(raw_path.strip(b"/").split(b"/"))
    assert parse_request_path(raw_path) == RequestedPath(Name(segments), wants_folder)


@pytest.mark.parametrize("raw_path", [row[0] for row in REFUSED], ids=[row[1] for row in REFUSED])
def test_path_is_refused(raw_path: bytes) -> None:
    with pytest.raises(NameRefused):
        parse_request_path(raw_path)


legal_segments = st.binary(min_size=1, max_size=255).filter(
    lambda segment: (
        segment not in (b".", b"..")
        and not {0, ord("/")} & set(segment)
        and not is_staging(segment)
    )
)
legal_names = st.lists(legal_segments, max_size=8).map(tuple).filter(lambda s: s[:1] != (b"-",))


@given(legal_names)
def test_url_path_of_any_name_leads_back_to_it(segments: tuple[bytes, ...]) -> None:
    url_path = Name(segments).url_path
    assert url_path.isascii()
    assert parse_request_path(url_path.encode()).name == Name(segments)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_harmless_name_or_are_refused(garbage: bytes) -> None:
    try:
        segments = parse_request_path(b"/" + garbage).name.segments
    except NameRefused:
        return
    for segment in segments:
        assert segment not in (b"", b".", b"..")
        assert b"/" not in segment
        assert b"\0" not in segment


OS_PATHS = [
    # text                 segments                 id
    (".", (), "root"),
    ("./", (), "root-with-slash"),
    ("films", (b"films",), "folder"),
    ("films/", (b"films",), "completed-by-a-shell"),
    ("./films//a.mkv", (b"films", b"a.mkv"), "shell-noise"),
    ("50%.txt", (b"50%.txt",), "percent-is-ordinary"),
    ("\udcff", (b"\xff",), "argument-that-is-not-utf-8"),
    (b"\xff", (b"\xff",), "bytes"),
    ("-a", (b"-a",), "dash"),
]


@pytest.mark.parametrize(
    ("text", "segments"), [row[:2] for row in OS_PATHS], ids=[row[2] for row in OS_PATHS]
)
def test_admin_path_is_a_name(text: str | bytes, segments: tuple[bytes, ...]) -> None:
    assert parse_os_path(text) == Name(segments)


@pytest.mark.parametrize("text", ["", "/", "/srv/a", "..", "a/../b", "-", "-/a", "a\0", "a" * 256])
def test_admin_path_is_refused(text: str) -> None:
    with pytest.raises(NameRefused):
        parse_os_path(text)


FORMS = [
    # segments                    relative        url path           display      id
    ((), b".", "/", "/", "root"),
    ((b"a", b"b c"), b"a/b c", "/a/b%20c", "a/b c", "space"),
    ((b"~a-b_c.d",), b"~a-b_c.d", "/~a-b_c.d", "~a-b_c.d", "unreserved"),  # RFC 3986 2.3
    ((b"a?#%&'\"",), b"a?#%&'\"", "/a%3F%23%25%26%27%22", "a?#%&'\"", "delimiters"),
    ((b"\xc3\xa4",), b"\xc3\xa4", "/%C3%A4", "ä", "utf-8"),
    ((b"\xff.bin",), b"\xff.bin", "/%FF.bin", "\ufffd.bin", "not-utf-8"),
    ((b"\x1b[31m\n",), b"\x1b[31m\n", "/%1B%5B31m%0A", "\ufffd[31m\ufffd", "escape-sequence"),
    ((b"\xc2\x9b1m",), b"\xc2\x9b1m", "/%C2%9B1m", "\ufffd1m", "c1-control-sequence"),
    ((b"\xe2\x80\xaex",), b"\xe2\x80\xaex", "/%E2%80%AEx", "\ufffdx", "right-to-left-override"),
]


SERVED_PATHS = [
    ("/",          ()),
    ("//",         ()),
    ("/films",     (b"films",)),
    ("/films/a/",  (b"films", b"a")),
    ("films/a",    (b"films", b"a")),
    (".",          ()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "segments"), SERVED_PATHS)
def test_served_path_may_begin_at_the_root(text: str, segments: tuple[bytes, ...]) -> None:
    assert parse_served_path(text) == Name(segments)


@pytest.mark.parametrize("text", ["", "/../x", "/-/x", "a/../b"])
def test_served_path_is_refused(text: str) -> None:
    with pytest.raises(NameRefused):
        parse_served_path(text)


@pytest.mark.parametrize(
    ("segments", "relative", "url_path", "display"),
    [row[:4] for row in FORMS],
    ids=[row[4] for row in FORMS],
)
def test_forms_of_a_name(
    segments: tuple[bytes, ...], relative: bytes, url_path: str, display: str
) -> None:
    name = Name(segments)
    assert (name.relative, name.url_path, name.display) == (relative, url_path, display)


def test_parent_last_and_child_fit_together() -> None:
    name = Name((b"a", b"b"))
    assert (name.parent, name.last) == (Name((b"a",)), b"b")
    assert name.parent.child(name.last) == name
    assert (Name(()).parent, Name(()).last) == (Name(()), b"")


@pytest.mark.parametrize("segment", [b"", b".", b"..", b"a/b", b"a\0", b"a" * 256])
def test_child_refuses_what_is_no_segment(segment: bytes) -> None:
    with pytest.raises(NameRefused):
        Name(()).child(segment)


HIDDEN = [((), False), ((b"a", b"b."), False), ((b".a",), True), ((b".a", b"b"), True)]


@pytest.mark.parametrize(("segments", "hidden"), HIDDEN)
def test_a_dot_anywhere_in_front_hides(segments: tuple[bytes, ...], hidden: bool) -> None:
    assert Name(segments).is_hidden is hidden


@given(st.binary(max_size=60))
def test_display_never_holds_a_control_character(segment: bytes) -> None:
    display = Name((segment,)).display
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in display)


def test_os_path_of_any_name_leads_back_to_it() -> None:
    name = Name((b"\xff", "ä".encode()))
    assert parse_os_path(os.fsdecode(name.relative)) == name


def test_the_reserved_name_is_refused_in_the_root_only() -> None:
    with pytest.raises(NameRefused):
        Name(()).child(b"-")
    assert Name((b"a",)).child(b"-").segments == (b"a", b"-")
