"""RFC 6266 and RFC 8187: the name a browser saves is the name the file has."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fileserve.http.disposition import Disposition, content_disposition

ATTACHMENT = Disposition.ATTACHMENT

# The grammar of RFC 6266 section 4.1, as narrow as what we may send.
GRAMMAR = re.compile(
    r'(?:inline|attachment); filename="(?P<plain>[ !#-\[\]-~]*)"'
    r"(?:; filename\*=UTF-8''(?P<extended>(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+))?"
)

VALUES = [
    # file name                 filename    filename* after UTF-8''              id
    (b"film.mkv",               "film.mkv", None,                                "plain"),
    (b"my film.mkv",            "my film.mkv", None,                             "space"),
    (b"a;b=c,d.txt",            "a;b=c,d.txt", None,                             "separators"),
    (b"it's 100%.txt",          "it's 100%.txt", None,                           "lone-percent"),
    # RFC 6266 appendix D: no backslash, no %hh in filename
    (b'"hi".txt',               "_hi_.txt", "%22hi%22.txt",                      "quotes"),
    (b"a\\b",                   "a_b",      "a%5Cb",                             "backslash"),
    (b"a%41.txt",               "a_41.txt", "a%2541.txt",                        "percent-hex"),
    # RFC 8187 section 3.2.3: the examples
    ("\u00a3 rates".encode(),   "_ rates",  "%C2%A3%20rates",                    "pound"),
    ("\u00a3 and \u20ac rates".encode(),
                  "_ and _ rates",          "%C2%A3%20and%20%E2%82%AC%20rates",  "euro"),
    ("na\u00efve".encode(),     "naive",    "na%C3%AFve",                        "accent"),
    ("\u6620\u753b".encode(),   "__",       "%E6%98%A0%E7%94%BB",                "chinese"),
    ("\uff02\uff0f".encode(),   "__",       "%EF%BC%82%EF%BC%8F",                "wide-forms"),
    # nothing gets out of the quotes, or out of the line
    (b"a\r\nSet-Cookie: x",     "a__Set-Cookie: x", "a%0D%0ASet-Cookie%3A%20x",  "crlf"),
    (b"a\x00\x1f\x7f",          "a___",     "a%00%1F%7F",                        "controls"),
    ("a\u0085\u2028b".encode(), "a__b",     "a%C2%85%E2%80%A8b",                 "unicode-lines"),
    (b'a"; filename="b',        "a_; filename=_b", "a%22%3B%20filename%3D%22b",  "parameter"),
    # not UTF-8: the bytes stay tellable
    (b"caf\xe9.txt",            "caf_E9.txt", "caf%25E9.txt",                    "latin-1"),
    (b"\xff\xfe",               "_FF_FE",   "%25FF%25FE",                        "no-text-at-all"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file_name", "plain", "extended"),
    [row[:3] for row in VALUES],
    ids=[row[3] for row in VALUES],
)
def test_a_file_name_is_written(file_name: bytes, plain: str, extended: str | None) -> None:
    expected = f'attachment; filename="{plain}"'
    if extended is not None:
        expected += f"; filename*=UTF-8''{extended}"
    assert content_disposition(ATTACHMENT, file_name) == expected


def test_inline_has_a_name_too() -> None:
    assert content_disposition(Disposition.INLINE, b"a.txt") == 'inline; filename="a.txt"'


def test_no_name_is_no_parameter() -> None:
    assert content_disposition(ATTACHMENT, b"") == "attachment"


@given(st.sampled_from(Disposition), st.binary(min_size=1, max_size=255))
@example(ATTACHMENT, b'\\"')
@example(ATTACHMENT, b"%%41")
def test_any_bytes_give_the_grammar_of_the_rfc(disposition: Disposition, file_name: bytes) -> None:
    assert GRAMMAR.fullmatch(content_disposition(disposition, file_name))


@given(st.text(min_size=1, max_size=80).filter(lambda text: text.isprintable() or "\n" in text))
def test_a_utf_8_name_survives_exactly(text: str) -> None:
    file_name = text.encode()
    found = GRAMMAR.fullmatch(content_disposition(ATTACHMENT, file_name))
    assert found is not None
    received = found["plain"].encode() if found["extended"] is None else found["extended"].encode()
    assert (unquote_to_bytes(received) if found["extended"] else received) == file_name


@given(st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20))
def test_undecodable_names_stay_different(one: bytes, other: bytes) -> None:
    names = [name for name in (one, other) if b"%" not in name]
    values = {content_disposition(ATTACHMENT, name) for name in names}
    assert len(values) == len(set(names))
