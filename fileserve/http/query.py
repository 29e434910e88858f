"""The query of a request, as far as anybody means it."""

from urllib.parse import parse_qsl

# No page of ours makes more than three, and 16 KiB of them would take 10 ms to read.
MAX_PARAMETERS = 100


def first_parameters(query: bytes) -> bytes:
    """The first MAX_PARAMETERS parameters of a query; what comes after them means nothing."""
    return b"&".join(query.split(b"&", MAX_PARAMETERS)[:MAX_PARAMETERS])


def first_values(query: bytes) -> dict[str, str]:
    """The first value of each parameter, '' where it has none; also of a form that is sent."""
    values: dict[str, str] = {}
    text = first_parameters(query).decode("latin-1")
    for key, value in parse_qsl(text, keep_blank_values=True):
        values.setdefault(key, value)
    return values
