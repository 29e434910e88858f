"""A transfer that ended in the words of the access log: eight on a line, or JSON members (pure)."""

import re

from fileserve.operations.transfers import Transfer

_MAX_RANGE_LENGTH = 200
_MAX_CLIENT_LENGTH = 64

_PLAIN = re.compile(rb"[!#-\[\]-~]*").fullmatch  # no control, space, quote, backslash, non-ASCII
_ESCAPES = {
    code: f"\\x{code:02x}" for code in (*range(0x21), ord('"'), ord("\\"), *range(0x7F, 0x100))
}


def access_text(transfer: Transfer) -> str:
    """client, method, path, status, range, bytes, seconds and end cause, separated by spaces.

    A strange character of the client's is written as \\xNN and a missing value as `-`, so that
    there are always eight words on one line.
    """
    status, cause = transfer.status, transfer.end_cause
    return (
        f"{_client_text(transfer) or '-'} {transfer.method} {escaped(transfer.target)} "
        f"{'-' if status is None else status} {_range_text(transfer) or '-'} "
        f"{transfer.body_bytes_sent} {transfer.seconds:.3f} {cause.value if cause else '-'}"
    )


def access_members(transfer: Transfer) -> dict[str, str | int | float | None]:
    """The same as the members of a JSON object."""
    return {
        "client": _client_text(transfer) or None,
        "method": transfer.method,
        "path": escaped(transfer.target),
        "status": transfer.status,
        "range": _range_text(transfer),
        "bytes": transfer.body_bytes_sent,
        "seconds": round(transfer.seconds, 3),
        "end": transfer.end_cause.value if transfer.end_cause else None,
    }


def escaped(text: bytes) -> str:
    """text in visible ASCII, without quotes and spaces; everything else as \\xNN."""
    if _PLAIN(text):
        return text.decode("ascii")
    return text.decode("latin-1").translate(_ESCAPES)


def _client_text(transfer: Transfer) -> str:
    """The client's address; behind a trusted proxy it is whatever that passed on."""
    return escaped(transfer.client[:_MAX_CLIENT_LENGTH].encode("latin-1", "replace"))


def _range_text(transfer: Transfer) -> str | None:
    value = transfer.range_field
    return None if value is None else escaped(value[:_MAX_RANGE_LENGTH])
