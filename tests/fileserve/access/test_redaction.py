"""No log has what makes a link work."""

import pytest

from fileserve.access.links import Link, sign
from fileserve.access.redaction import redacted, redacted_text

TOKEN = sign(Link("4f2a9c", (b"films",), True, 1790000000), "3f9a1c02", bytes(32)).encode()

PATHS = [
    # path as it came                              path in the log              id
    (b"/-/s/" + TOKEN + b"/films/a%20b.mkv",       b"/-/s/-/films/a%20b.mkv",   "link"),
    (b"/-/s/" + TOKEN,                             b"/-/s/-",                   "token-alone"),
    (b"/-/s/" + TOKEN[:-20] + b"/films/",          b"/-/s/-/films/",            "cut-off"),
    (b"/-/s/anything%2E/films/",                   b"/-/s/-/films/",            "no-token"),
    (b"/%2d/%73/" + TOKEN + b"/films/",            b"/%2d/%73/-/films/",        "escaped-prefix"),
    (b"//-//s//" + TOKEN + b"/films/",             b"//-//s//-/films/",         "more-slashes"),
    (b"/prefix/-/s/" + TOKEN + b"/films/",         b"/prefix/-/s/-/films/",     "proxy-prefix"),
    (b"/-/s/x/-/s/" + TOKEN + b"/films/",          b"/-/s/-/-/s/-/films/",      "link-in-a-link"),
    (b"/" + TOKEN,                                 b"/-",                       "without-prefix"),
    (b"/-/static/page.css",                        b"/-/static/page.css",       "own-page"),
    (b"/a/-/s/b",                                  b"/a/-/s/b",                 "folder-so-named"),
    (b"/v1.2.3-a.tar.gz",                          b"/v1.2.3-a.tar.gz",         "version"),
    (b"/",                                         b"/",                        "root"),
    (b"*",                                         b"*",                        "whole-server"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "shown"), [r[:2] for r in PATHS], ids=[r[2] for r in PATHS])
def test_a_path_is_shown_without_its_token(path: bytes, shown: bytes) -> None:
    assert redacted(path) == shown
    assert redacted_text(path.decode()) == shown.decode()
