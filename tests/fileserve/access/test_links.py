"""Signed links: one text for each link, and nothing but that text is genuine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.access.links import Link, genuine_link, parse_token, sign, signed_path, terms_text
from fileserve.access.networks import plain_address

KEY_ID = "3f9a1c02"
SECRET = bytes(range(32))
KEYS = {KEY_ID: SECRET, "00000000": bytes(32)}
FILE = Link("4f2a9c", (b"films", b"a b.mkv"), is_folder=False)
FOLDER = Link("4f2a9c", (b"films",), is_folder=True)
FULL = Link(
    "4f2a9c", (b"films", b"a b.mkv"), False, 1790000000, 3, 10_000_000, "192.0.2.7", True
)  # fmt: skip

# Signatures made by:  printf 'fileserve-link\n1\n3f9a1c02\ni4f2a9c-d1\n/films/' |
#   openssl dgst -sha256 -mac HMAC -macopt hexkey:000102...1f -binary | base64 | tr '+/' '-_'
KNOWN = [
    # link    path of the URL
    (FOLDER, "/-/s/1.3f9a1c02.i4f2a9c-d1.CDESU3VqX4ZVY0R_68K4Wcq9soa-xZkIwdszSa9we8E/films/"),
    (
        Link("4f2a9c", (), is_folder=True),
        "/-/s/1.3f9a1c02.i4f2a9c-d0.CSS60zLLUcv7BWbJgcgA8Lw0gKEJMUJuWPTi3Yc-Ojc/",
    ),
]


@pytest.mark.parametrize(("link", "path"), KNOWN, ids=["folder", "root"])
def test_a_link_is_signed_as_openssl_signs_it(link: Link, path: str) -> None:
    assert signed_path(link, KEY_ID, SECRET) == path


TERMS = [
    # link, terms, id
    (FILE, "i4f2a9c", "file"),
    (FOLDER, "i4f2a9c-d1", "folder"),
    (Link("4f2a9c", (), True), "i4f2a9c-d0", "root"),
    (FULL, "i4f2a9c-e1790000000-n3-r10000000-bc0000207-a", "all-in-order"),
    (Link("4f2a9c", (b"a",), False, address="::1"), "i4f2a9c-b" + "0" * 31 + "1", "ipv6"),
    (
        Link("4f2a9c", (b"a",), False, address="::ffff:192.0.2.7"),
        "i4f2a9c-bc0000207",
        "mapped-ipv4",
    ),
    (Link("4f2a9c", (b"a",), False, is_bound_to_first=True), "i4f2a9c-b", "first-client"),
    (Link("4f2a9c", (b"a",), False, expires_at=0), "i4f2a9c-e0", "zero"),
]


@pytest.mark.parametrize(
    ("link", "terms"), [row[:2] for row in TERMS], ids=[row[2] for row in TERMS]
)
def test_terms_have_one_text(link: Link, terms: str) -> None:
    assert terms_text(link) == terms


PATHS = [
    # segments                   folder  signed path
    ((b"films", b"a b.mkv"),     False,  "/films/a%20b.mkv"),
    ((b"films",),                True,   "/films/"),
    ((),                         True,   "/"),
    ((b"100%",),                 False,  "/100%25"),
    ((b"new\nline",),            False,  "/new%0Aline"),
    ((b"\xff\xc3\xa9",),         False,  "/%FF%C3%A9"),
    ((b"-._~aZ9",),              False,  "/-._~aZ9"),
    ((b"a:b@c!d+e",),            False,  "/a%3Ab%40c%21d%2Be"),
]  # fmt: skip


@pytest.mark.parametrize(("segments", "is_folder", "path"), PATHS)
def test_a_path_has_one_text(segments: tuple[bytes, ...], is_folder: bool, path: str) -> None:
    assert Link("4f2a9c", segments, is_folder).url_path == path


@pytest.mark.parametrize(
    "numbers",
    [{"expires_at": -1}, {"downloads": 10**15}, {"rate": -5}],
    ids=["negative", "immense", "negative-rate"],
)
def test_terms_that_have_no_text_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        sign(Link("4f2a9c", (b"a",), False, **numbers), KEY_ID, SECRET)


SEGMENT = st.binary(min_size=1, max_size=12).filter(
    lambda text: text not in (b".", b"..") and not {0, ord("/")} & set(text)
)
NUMBER = st.none() | st.integers(0, 10**15 - 1)
LINKS = st.builds(
    Link,
    link_id=st.from_regex(r"\A[0-9a-z]{4,32}\Z"),
    segments=st.lists(SEGMENT, min_size=1, max_size=4).map(tuple),
    is_folder=st.booleans(),
    expires_at=NUMBER,
    downloads=NUMBER,
    rate=NUMBER,
    address=st.none() | st.ip_addresses().map(lambda a: str(plain_address(str(a)))),
    is_attachment=st.booleans(),
)  # fmt: skip


@given(LINKS)
def test_every_link_comes_back_as_it_was_signed(link: Link) -> None:
    token = parse_token(sign(link, KEY_ID, SECRET))
    assert token is not None
    assert genuine_link(token, link.segments, KEYS) == link


def opened(text: str, *segments: bytes) -> Link | None:
    token = parse_token(text)
    return None if token is None else genuine_link(token, segments, KEYS)


def test_a_folder_link_opens_what_is_below_it() -> None:
    text = sign(FOLDER, KEY_ID, SECRET)
    assert opened(text, b"films") == FOLDER
    assert opened(text, b"films", b"2026", b"a.mkv") == FOLDER


TOKEN = sign(FULL, KEY_ID, SECRET)
HEAD, SIGNATURE = TOKEN.rsplit(".", 1)
FOLDER_TOKEN = sign(FOLDER, KEY_ID, SECRET)
OURS = (b"films", b"a b.mkv")
TAMPERED = [
    # token                                           segments              id
    (TOKEN.replace("e1790000000", "e1890000000"),     OURS,                 "later-end"),
    (TOKEN.replace("-e1790000000", ""),               OURS,                 "no-end"),
    (TOKEN.replace("-n3", "-n30"),                    OURS,                 "more-downloads"),
    (TOKEN.replace("-n3", ""),                        OURS,                 "endless-downloads"),
    (TOKEN.replace("r10000000", "r90000000"),         OURS,                 "faster"),
    (TOKEN.replace("bc0000207", "bc0000208"),         OURS,                 "other-address"),
    (TOKEN.replace("-bc0000207", ""),                 OURS,                 "any-address"),
    (TOKEN.replace("-bc0000207", "-b"),               OURS,                 "first-address"),
    (TOKEN.replace("-a.", "."),                       OURS,                 "no-attachment"),
    (TOKEN.replace("i4f2a9c", "i4f2a9d"),             OURS,                 "other-id"),
    (TOKEN.replace("i4f2a9c", "i4f2a9c-d1"),          OURS,                 "a-folder-now"),
    (TOKEN,                                           (b"films", b"b.mkv"), "other-file"),
    (TOKEN,                                           (b"films",),          "folder-above"),
    (TOKEN,                                           (*OURS, b"x"),        "below-the-file"),
    (TOKEN,                                           (b"films/a b.mkv",),  "one-segment"),
    (FOLDER_TOKEN,                                    (),                   "above-the-folder"),
    (FOLDER_TOKEN,                                    (b"film",),           "beside-the-folder"),
    (FOLDER_TOKEN,                                    (b"other", b"films"), "elsewhere"),
    (FOLDER_TOKEN.replace("-d1", "-d0"),              (b"films",),          "root-instead"),
    (FOLDER_TOKEN.replace("-d1", ""),                 (b"films",),          "a-file-now"),
    (FOLDER_TOKEN.replace("-d1", "-d2"),              (b"films", b"x"),     "deeper"),
    (TOKEN.replace(KEY_ID, "00000000"),               OURS,                 "other-key"),
    (TOKEN.replace(KEY_ID, "ffffffff"),               OURS,                 "unknown-key"),
    (f"{HEAD}.{SIGNATURE[:-1]}",                      OURS,                 "cut-off"),
    (f"{HEAD}.{SIGNATURE}0",                          OURS,                 "one-more"),
    (f"{HEAD}.{'A' * 43}",                            OURS,                 "no-signature-at-all"),
    (f"{HEAD}.",                                      OURS,                 "empty-signature"),
    (HEAD,                                            OURS,                 "unsigned"),
    (f"{HEAD}.{SIGNATURE.lower()}",                   OURS,                 "lower-case"),
    (f"{HEAD}.{SIGNATURE[:-1]}=",                     OURS,                 "padded"),
    (TOKEN.replace("1.", "2.", 1),                    OURS,                 "other-version"),
    (TOKEN.replace("e1790000000", "e01790000000"),    OURS,                 "leading-zero"),
    (TOKEN.replace("-n3-r10000000", "-r10000000-n3"), OURS,                 "other-order"),
    (TOKEN.replace("-n3", "-n3-n3"),                  OURS,                 "twice"),
    (TOKEN.replace("-n3", "-n\u0663"),                OURS,                 "digits-are-ascii"),
    (TOKEN.replace("bc0000207", "bc0000207c0000207"), OURS,                 "address-of-8-bytes"),
    (TOKEN.upper(),                                   OURS,                 "upper-case"),
    (TOKEN + "\n",                                    OURS,                 "line-end"),
    ("",                                              OURS,                 "nothing"),
    ("1." * 5000,                                     OURS,                 "huge"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "segments"), [row[:2] for row in TAMPERED], ids=[row[2] for row in TAMPERED]
)
def test_a_tampered_link_opens_nothing(text: str, segments: tuple[bytes, ...]) -> None:
    assert opened(TOKEN, *OURS) == FULL
    assert opened(text, *segments) is None


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_no_other_character_anywhere_is_genuine(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    assert (opened(changed, *OURS) is not None) == (changed == TOKEN)


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert opened(text, b"films") is None


def test_a_withdrawn_key_opens_nothing() -> None:
    token = parse_token(TOKEN)
    assert token is not None
    assert genuine_link(token, OURS, {}) is None
