"""What is handed to the server in front, and what is not."""

import pytest

from fileserve.access.links import Link
from fileserve.site.offload import Manner, Offload, is_for_the_front, without_conditions

SEGMENTS = (b"films",)
LINKS = [
    # the link                                           handed over  id
    (None,                                               True,        "no-link"),
    (Link("a", SEGMENTS, is_folder=True),                True,        "plain"),
    (Link("a", SEGMENTS, is_folder=True, expires_at=1),  True,        "expiring"),
    (Link("a", SEGMENTS, is_folder=True, downloads=3),   False,       "counted"),
    (Link("a", SEGMENTS, is_folder=True, rate=1_000),    False,       "paced"),
]  # fmt: skip
SETTINGS = [
    # text                    manner              prefix        id
    ("x-accel /-/offload",    Manner.X_ACCEL,     "/-/offload", "location"),
    ("x-accel /-/offload/",   Manner.X_ACCEL,     "/-/offload", "slash-at-the-end"),
    ("x-accel /",             Manner.X_ACCEL,     "",           "root-location"),
    ("x-sendfile /srv/a%b#c", Manner.X_SENDFILE,  "/srv/a%25b%23c", "escaped"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("link", "is_handed_over"), [row[:2] for row in LINKS], ids=[row[2] for row in LINKS]
)
def test_what_is_counted_or_paced_is_sent_here(link: Link | None, is_handed_over: bool) -> None:
    assert is_for_the_front(link) is is_handed_over


@pytest.mark.parametrize(
    ("text", "manner", "prefix"), [row[:3] for row in SETTINGS], ids=[row[3] for row in SETTINGS]
)
def test_the_setting_says_how_and_where(text: str, manner: Manner, prefix: str) -> None:
    assert Offload.of_setting(text, b"/root") == Offload(manner, prefix, b"/root")


def test_without_the_setting_nothing_is_offloaded() -> None:
    assert Offload.of_setting(None, b"/root") is None


def test_only_conditions_are_left_out() -> None:
    kept = [(b"origin", b"https://a.example"), (b"want-repr-digest", b"sha-256=1")]
    judged = [(b"range", b"bytes=0-"), (b"if-range", b'"x"'), (b"if-match", b"*")]
    assert without_conditions([*kept, *judged]) == kept
