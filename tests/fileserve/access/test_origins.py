"""Where a request comes from: whose line is encrypted, and which pages are ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.access.origins import Address, Line, is_loopback, is_same_origin, line_of

LINES = [
    # scheme   host                    public_url                 line             id
    ("https",  "files.example",        None,                      Line.ENCRYPTED,  "https"),
    ("http",   "files.example",        None,                      Line.PLAIN,      "http"),
    ("http",   "localhost",            None,                      Line.ENCRYPTED,  "localhost"),
    ("http",   "LOCALHOST:8000",       None,                      Line.ENCRYPTED,  "with-a-port"),
    ("http",   "x.localhost",          None,                      Line.ENCRYPTED,  "below-it"),
    ("http",   "127.0.0.1:8000",       None,                      Line.ENCRYPTED,  "loopback"),
    ("http",   "[::1]:8000",           None,                      Line.ENCRYPTED,  "loopback-ipv6"),
    ("http",   "192.0.2.1",            None,                      Line.PLAIN,      "an-address"),
    ("http",   "localhost.example",    None,                      Line.PLAIN,      "not-localhost"),
    ("http",   "",                     None,                      Line.PLAIN,      "no-host"),
    ("http",   "[::1",                 None,                      Line.PLAIN,      "broken"),
    ("http",   "files.example",        "https://files.example/d", Line.ENCRYPTED,  "tls-proxy"),
    ("http",   "10.0.0.1:8000",        "https://files.example",   Line.PLAIN,      "past-it"),
    ("http",   "files.example",        "http://files.example",    Line.PLAIN,      "plain"),
]  # fmt: skip


@pytest.mark.parametrize("row", LINES, ids=lambda row: row[4])
def test_what_browsers_think_of_a_line(row: tuple[str, str, str | None, Line, str]) -> None:
    scheme, host, public_url, line, _ = row
    assert line_of(Address(scheme, host), public_url) is line


@given(st.text(max_size=30))
def test_any_host_is_read_without_an_error(host: str) -> None:
    is_loopback(host)


HERE = Address("http", "files.example:8000")
SECURE = Address("https", "files.example")
SENT_BY = [
    # fields                                              address  ours    id
    ({},                                                   HERE,   False,  "neither-field"),
    ({"sec-fetch-site": "same-origin"},                    HERE,   True,   "same-origin"),
    ({"sec-fetch-site": "same-site"},                      HERE,   False,  "a-neighbour"),
    ({"sec-fetch-site": "cross-site"},                     HERE,   False,  "another-site"),
    ({"sec-fetch-site": "none"},                           HERE,   False,  "typed"),
    ({"sec-fetch-site": "cross-site",
      "origin": "http://files.example:8000"},              HERE,   False,  "the-former-outranks"),
    ({"origin": "http://files.example:8000"},              HERE,   True,   "our-origin"),
    ({"origin": "HTTP://FILES.example:8000"},              HERE,   True,   "in-capitals"),
    ({"origin": "https://files.example:8000"},             HERE,   True,   "tls-in-front"),
    ({"origin": "http://files.example"},                   HERE,   False,  "another-port"),
    ({"origin": "http://evil.example:8000"},               HERE,   False,  "another-host"),
    ({"origin": "null"},                                   HERE,   False,  "hidden"),
    ({"origin": ""},                                       HERE,   False,  "empty"),
    ({"origin": "https://[::1"},                           HERE,   False,  "broken"),
    ({"origin": "https://files.example"},                  SECURE, True,   "https"),
    ({"origin": "http://files.example"},                   SECURE, False,  "plain-beside-https"),
    ({"origin": "https://public.example"},                 HERE,   True,   "the-public-address"),
    ({"origin": "http://public.example"},                  HERE,   False,  "its-plain-neighbour"),
]  # fmt: skip


@pytest.mark.parametrize("row", SENT_BY, ids=lambda row: row[3])
def test_which_requests_our_pages_sent(row: tuple[dict[str, str], Address, bool, str]) -> None:
    texts, address, is_ours, _ = row
    fields = [(name.encode(), value.encode()) for name, value in texts.items()]
    assert is_same_origin(fields, address, "https://public.example/files") == is_ours
