"""RFC 9110 section 12.5.1 as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.http.accept import preferred

HTML, JSON, CSV, TEXT = "text/html", "application/json", "text/csv", "text/plain"
OFFERS = (HTML, JSON, CSV)

CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"

PREFERRED = [
    # accept                                       offers        answer id
    (None,                                         OFFERS,       HTML, "absent"),
    ("",                                           OFFERS,       HTML, "empty"),
    ("*/*",                                        OFFERS,       HTML, "curl"),
    (CHROME,                                       (JSON, HTML), HTML, "chrome"),
    (JAVA,                                         (JSON, HTML), HTML, "java"),
    (JAVA,                                         (JSON,),      JSON, "java-point-two"),
    ("application/json",                           OFFERS,       JSON, "exact"),
    ("APPLICATION/JSON",                           OFFERS,       JSON, "case-insensitive"),
    ("application/json, */*",                      OFFERS,       HTML, "our-order-decides"),
    ("application/json, */*;q=0.1",                OFFERS,       JSON, "json-then-anything"),
    ("application/*",                              OFFERS,       JSON, "subtype-wildcard"),
    ("text/*",                                     (JSON, CSV),  CSV,  "text-wildcard"),
    ("image/png",                                  OFFERS,       None, "none"),
    ("text/csv;q=0.5, application/json;q=0.6",     OFFERS,       JSON, "weights"),
    ("text/csv;q=0.5, application/json;q=0.25",    OFFERS,       CSV,  "unequal-decimals"),
    ("text/csv;q=0.599, application/json;q=0.600", OFFERS,       JSON, "three-decimals"),
    ("text/csv;q=1.000, application/json;q=0.999", OFFERS,       CSV,  "full-weight"),
    ("text/csv;Q=0.1, application/json;Q=0.2",     OFFERS,       JSON, "q-in-capitals"),
    ("text/csv ; q=0.1 , application/json",        OFFERS,       JSON, "whitespace"),
    (",, application/json ,",                      OFFERS,       JSON, "empty-elements"),
    # 12.4.2: weight 0 is "not acceptable"; the most specific range decides
    ("text/html;q=0, */*",                         OFFERS,       JSON, "not-html"),
    ("*/*, text/html;q=0",                         OFFERS,       JSON, "not-html-last"),
    ("text/html;q=0",                              OFFERS,       None, "only-not-html"),
    ("*/*;q=0",                                    OFFERS,       None, "nothing"),
    ("text/*;q=0.9, text/html;q=0.1, */*;q=0.5",   OFFERS,       CSV,  "specificity"),
    # the example of 12.5.1: text/plain;format=flowed over text/plain over text/* over */*
    ("text/*, text/plain;q=0, text/plain;format=flowed",
                    (TEXT, "text/plain;format=flowed"), "text/plain;format=flowed", "parameters"),
    ("text/html;level=1",                          OFFERS,       None, "parameter-we-lack"),
    ("application/json; charset=utf-8",            OFFERS,       JSON, "charset-is-no-matter"),
    ('text/csv;x="a,b;q=1", application/json',     OFFERS,       JSON, "quoted-separators"),
    # unreadable members are skipped
    ("text, application/json",                     OFFERS,       JSON, "no-slash"),
    ("*/csv, application/json",                    OFFERS,       JSON, "wildcard-type-only"),
    ("text/html;q=2, application/json;q=0.1",      OFFERS,       JSON, "weight-above-one"),
    ("text/html;q=-1, application/json",           OFFERS,       JSON, "negative-weight"),
    ("text/html;q=, application/json",             OFFERS,       JSON, "no-weight"),
    ("text/html;q=0.1234, application/json",       OFFERS,       JSON, "four-decimals"),
    ("text/html;q=\u0661, application/json",       OFFERS,       JSON, "arabic-weight"),
    ("!!!",                                        OFFERS,       HTML, "nothing-readable"),
    ('"',                                          OFFERS,       HTML, "a-quote"),
    ("*/*",                                        (),           None, "no-offers"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("accept", "offers", "answer"),
    [row[:3] for row in PREFERRED],
    ids=[row[3] for row in PREFERRED],
)
def test_accept_prefers(accept: str | None, offers: tuple[str, ...], answer: str | None) -> None:
    assert preferred(accept, offers) == answer


def test_an_offer_must_be_a_media_type() -> None:
    with pytest.raises(ValueError, match="'html'"):
        preferred("text/html", ["html"])


@given(st.text(max_size=80) | st.text(alphabet='tex/html*;q=01.,"\\ ', max_size=80))
def test_any_text_prefers_an_offer_or_none(accept: str) -> None:
    assert preferred(accept, OFFERS) in {*OFFERS, None}


@pytest.mark.parametrize("garbage", ['"', '\\"', '"\\', ",", ";", "a/b;", "*/*,", "a/b;c=d,", "q"])
def test_64_kib_of_garbage_does_not_hang_or_raise(garbage: str) -> None:
    assert preferred(garbage * (65_536 // len(garbage)), OFFERS) in {*OFFERS, None}
