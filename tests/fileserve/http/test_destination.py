"""Where a MOVE goes to: on this server, or nowhere (RFC 4918 section 10.3)."""

import pytest

from fileserve.http.destination import destination_path, hosts_of

HOSTS = hosts_of(b"Host:8000", "https://public.example/files")

# fmt: off
DESTINATIONS = [
    # field value                        path               id
    (b"/a%20b/c",                        b"/a%20b/c",       "path"),
    (b"/",                               b"/",              "root"),
    (b"http://host:8000/a",              b"/a",             "own-host"),
    (b"https://HOST:8000/a",             b"/a",             "any-case-and-scheme"),
    (b"https://public.example/files/a",  b"/files/a",       "public-host"),
    (b"http://host/a",                   None,              "another-port"),
    (b"http://other:8000/a",             None,              "another-host"),
    (b"//other/a",                       b"//other/a",      "no-scheme-is-a-path"),
    (b"/a?b",                            None,              "query"),
    (b"/a#b",                            None,              "fragment"),
    (b"a",                               None,              "relative"),
    (b"*",                               None,              "asterisk"),
    (b"",                                None,              "empty"),
    (b"ftp://host:8000/a",               None,              "another-scheme"),
    (b"/a\x00b",                         None,              "nul"),
]
# fmt: on


@pytest.mark.parametrize(
    ("field_value", "path"), [row[:2] for row in DESTINATIONS], ids=[row[2] for row in DESTINATIONS]
)
def test_a_destination_is_on_this_server(field_value: bytes, path: bytes | None) -> None:
    assert destination_path(field_value, HOSTS) == path
