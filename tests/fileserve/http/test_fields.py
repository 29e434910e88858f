"""Fields that several parts of an answer have something to say about go out as one line each."""

import pytest

from fileserve.http.fields import Field, merged

OTHER = (b"etag", b'"x"')
ACCEPT, COOKIE = (b"vary", b"Accept"), (b"vary", b"Cookie, Authorization")
NO_CACHE, PRIVATE = (b"cache-control", b"no-cache"), (b"cache-control", b"private, no-cache")
ROWS = [
    # fields                      merged
    ([],                          []),
    ([OTHER, OTHER],              [OTHER, OTHER]),
    ([ACCEPT, OTHER],             [OTHER, ACCEPT]),
    ([ACCEPT, OTHER, COOKIE],     [OTHER, (b"vary", b"Accept, Cookie, Authorization")]),
    ([NO_CACHE, ACCEPT, PRIVATE], [PRIVATE, ACCEPT]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), ROWS)
def test_of_vary_all_is_kept_and_of_cache_control_the_last(
    fields: list[Field], expected: list[Field]
) -> None:
    assert merged(fields) == expected
