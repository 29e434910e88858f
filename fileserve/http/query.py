"""The query of a request, as far as anybody means it."""

# No page of ours makes more than three, and 16 KiB of them would take 10 ms to read.
MAX_PARAMETERS = 100


def first_parameters(query: bytes) -> bytes:
    """The first MAX_PARAMETERS parameters of a query; what comes after them means nothing."""
    return b"&".join(query.split(b"&", MAX_PARAMETERS)[:MAX_PARAMETERS])
