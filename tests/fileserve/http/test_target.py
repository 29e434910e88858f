"""RFC 9112 section 3.2 as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.http.target import RequestTarget, is_valid_host, parse_target

Parts = RequestTarget

GET, OPTIONS, CONNECT = b"GET", b"OPTIONS", b"CONNECT"
HOST = b"example.org"

TARGETS = [
    # method  target                      parsed                                 id
    # 3.2.1 origin-form
    (GET,     b"/",                       Parts(b"/", b"", None),                "root"),
    (GET,     b"/where?q=now",            Parts(b"/where", b"q=now", None),      "query"),
    (GET,     b"/a?",                     Parts(b"/a", b"", None),               "empty-query"),
    (GET,     b"/a?b?c/d",                Parts(b"/a", b"b?c/d", None),          "second-question"),
    (GET,     b"/a%20b%00",               Parts(b"/a%20b%00", b"", None),        "kept-encoded"),
    (GET,     b"/caf\xc3\xa9\xff",        Parts(b"/caf\xc3\xa9\xff", b"", None), "raw-bytes"),
    (GET,     b"/[a]|{b}^<\\",            Parts(b"/[a]|{b}^<\\", b"", None),     "browsers-send"),
    (GET,     b"//evil/a",                Parts(b"//evil/a", b"", None),         "is-no-authority"),
    (GET,     b"/http://x/",              Parts(b"/http://x/", b"", None),       "url-in-the-path"),
    (OPTIONS, b"/a",                      Parts(b"/a", b"", None),               "options-file"),
    (GET,     b"",                        None,                                  "empty"),
    (GET,     b"a",                       None,                                  "no-slash"),
    (GET,     b"?a",                      None,                                  "only-query"),
    (GET,     b"/a#b",                    None,                                  "fragment"),
    (GET,     b"/a?b#c",                  None,                                  "query-fragment"),
    (GET,     b"/a b",                    None,                                  "space"),
    (GET,     b"/a\tb",                   None,                                  "tab"),
    (GET,     b"/a\r\nb",                 None,                                  "newline"),
    (GET,     b"/a\n",                    None,                                  "newline-last"),
    (GET,     b"/a\x00",                  None,                                  "nul"),
    (GET,     b"/a\x7f",                  None,                                  "delete"),
    (GET,     b"/a?b c",                  None,                                  "space-in-query"),
    # 3.2.2 absolute-form; RFC 9110 4.2.1: no empty host, 4.2.4: no userinfo
    (GET,     b"http://example.org/a?b",  Parts(b"/a", b"b", HOST, b"http"),     "absolute"),
    (GET,     b"https://example.org/",    Parts(b"/", b"", HOST, b"https"),      "https"),
    (GET,     b"HTTP://example.org/",     Parts(b"/", b"", HOST, b"http"),       "scheme-capitals"),
    (GET,     b"http://example.org",      Parts(b"/", b"", HOST, b"http"),       "empty-path"),
    (GET,     b"http://example.org?a",    Parts(b"/", b"a", HOST, b"http"),      "no-path-query"),
    (GET,     b"http://[::1]:8000/a",     Parts(b"/a", b"", b"[::1]:8000", b"http"), "ipv6"),
    (GET,     b"http:///a",               None,                                  "no-host"),
    (GET,     b"http://:80/a",            None,                                  "only-a-port"),
    (GET,     b"http://u:p@example.org/", None,                                  "userinfo"),
    (GET,     b"http://example.org/#a",   None,                                  "path-fragment"),
    (GET,     b"http://example.org#a",    None,                                  "host-fragment"),
    (GET,     b"http://example.org/a b",  None,                                  "absolute-space"),
    (GET,     b"http://exa mple/",        None,                                  "host-space"),
    (GET,     b"http://a\\b/",            None,                                  "host-backslash"),
    (GET,     b"ftp://example.org/",      None,                                  "another-scheme"),
    (GET,     b"http:/a",                 None,                                  "one-slash"),
    # 3.2.3 authority-form, 3.2.4 asterisk-form
    (CONNECT, b"example.org:80",          None,                                  "connect"),
    (CONNECT, b"/a",                      None,                                  "connect-path"),
    (GET,     b"example.org:80",          None,                                  "authority-form"),
    (OPTIONS, b"*",                       Parts(b"*", b"", None),                "whole-server"),
    (OPTIONS, b"http://example.org",      Parts(b"*", b"", HOST, b"http"),       "server-absolute"),
    (OPTIONS, b"http://example.org/",     Parts(b"/", b"", HOST, b"http"),       "options-root"),
    (OPTIONS, b"http://example.org?a",    Parts(b"/", b"a", HOST, b"http"),      "options-query"),
    (GET,     b"*",                       None,                                  "star-of-get"),
    (OPTIONS, b"**",                      None,                                  "two-stars"),
    (OPTIONS, b"*?a",                     None,                                  "star-with-query"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "target", "parsed"), [row[:3] for row in TARGETS], ids=[row[3] for row in TARGETS]
)
def test_a_request_target_parses(
    method: bytes, target: bytes, parsed: RequestTarget | None
) -> None:
    assert parse_target(method, target) == parsed


HOSTS = [
    # field value              valid  id  RFC 3986 section 3.2.2
    (b"",                      True,  "empty"),       # RFC 9112 section 3.2
    (b"example.org",           True,  "name"),
    (b"example.org:8000",      True,  "port"),
    (b"example.org:",          True,  "empty-port"),  # port = *DIGIT
    (b"localhost",             True,  "one-label"),
    (b"under_score.example",   True,  "underscore"),
    (b"xn--bcher-kva.example", True,  "idna"),
    (b"b%C3%BCcher.example",   True,  "percent-encoded"),
    (b"127.0.0.1:80",          True,  "ipv4"),
    (b"[::1]",                 True,  "ipv6"),
    (b"[2001:db8::7]:443",     True,  "ipv6-port"),
    (b"[::ffff:192.0.2.1]",    True,  "ipv6-with-ipv4"),
    (b"[v1.fe80:x]",           True,  "ip-future"),
    (b"u@example.org",         False, "userinfo"),
    (b"example.org/",          False, "slash"),
    (b"http://example.org",    False, "url"),
    (b"a.example, b.example",  False, "two-hosts"),
    (b"a.example,b.example",   False, "comma"),
    (b"exam ple.org",          False, "space"),
    (b" example.org",          False, "space-before"),
    (b"example.org\n",         False, "newline"),
    (b"example.org\x00",       False, "nul"),
    (b"example.org?a",         False, "query"),
    (b"example.org#a",         False, "fragment"),
    (b"example.org\\a",        False, "backslash"),
    (b"b\xc3\xbccher.example", False, "raw-bytes"),
    (b"100%.example",          False, "broken-percent"),
    (b"example.org:80:80",     False, "two-ports"),
    (b"example.org:http",      False, "port-by-name"),
    (b"example.org:-1",        False, "negative-port"),
    (b"::1",                   False, "ipv6-without-brackets"),
    (b"[::1",                  False, "bracket-not-closed"),
    (b"[]",                    False, "empty-brackets"),
    (b"[127.0.0.1]",           False, "ipv4-in-brackets"),
    (b"[1::2::3]",             False, "two-gaps"),
    (b"[12345::]",             False, "group-too-long"),
    (b"[fe80::1%25eth0]",      False, "zone"),        # not in RFC 3986
    (b"[::1]x",                False, "text-after-bracket"),
    (b"<script>",              False, "markup"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field_value", "valid"), [row[:2] for row in HOSTS], ids=[row[2] for row in HOSTS]
)
def test_a_host_is_valid_or_not(field_value: bytes, valid: bool) -> None:
    assert is_valid_host(field_value) is valid


@given(st.sampled_from([GET, OPTIONS, b"HEAD"]), st.binary(max_size=60))
def test_a_parsed_target_is_the_whole_target(method: bytes, rest: bytes) -> None:
    target = b"/" + rest
    parsed = parse_target(method, target)
    forbidden = set(range(0x21)) | {0x7F, ord("#")}
    assert (parsed is None) == bool(forbidden & set(target))
    if parsed is not None:
        assert parsed.raw_path + target[len(parsed.raw_path) :][:1] + parsed.query == target
        assert b"?" not in parsed.raw_path


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_an_authority_is_always_a_valid_host(authority: bytes, path: bytes) -> None:
    parsed = parse_target(GET, b"http://" + authority + b"/" + path)
    if parsed is not None:
        assert parsed.authority
        assert is_valid_host(parsed.authority)
        assert parsed.raw_path.startswith(b"/")


@pytest.mark.parametrize(
    "garbage", [b"a", b"%", b"%4", b"%41", b":", b"[", b"0", b".", b"a:", b"?"]
)
def test_64_kib_of_garbage_does_not_hang_or_raise(garbage: bytes) -> None:
    text = garbage * (65_536 // len(garbage))
    is_valid_host(text)
    is_valid_host(b"[" + text + b"]:")
    parse_target(GET, b"/" + text + b"#")
    parse_target(GET, b"http://" + text + b"#")
