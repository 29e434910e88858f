"""Sizes and spans of time as people write them: `10M`, `1.5 GiB`, `7d`, `1h30m`."""

import re
from decimal import Decimal

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*(?:([kmgtp])(i?)b?|b)?", re.IGNORECASE)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SPAN = re.compile(r"(?:[0-9]{1,9}[smhdw])+|[0-9]{1,12}")
_PART = re.compile(r"([0-9]+)([smhdw])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def parse_bytes(text: str) -> int:
    """A number of bytes: `500`, `10k`, `10M`, `1.5G` (powers of 1,000), `4MiB` (of 1,024).

    Raises ValueError with what was expected.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("should be a number of bytes like 500000, 10M or 4GiB")
    number, prefix, is_binary = match.groups()
    base = 1024 if is_binary else 1000
    return int(Decimal(number) * base ** _POWERS.get((prefix or "").lower(), 0))


def parse_duration(text: str) -> int:
    """A number of seconds: `90`, `30s`, `15m`, `12h`, `7d`, `2w`, `1h30m`.

    Raises ValueError with what was expected.
    """
    stripped = text.strip().lower()
    if _SPAN.fullmatch(stripped) is None:
        raise ValueError("should be a span of time like 30s, 15m, 12h, 7d or 2w")
    if stripped.isdigit():
        return int(stripped)
    return sum(int(count) * _UNIT_SECONDS[unit] for count, unit in _PART.findall(stripped))
