"""Addresses as logs may have them: without what makes a signed link work (pure)."""

import re

# Escapes that mean the same are hidden, too; so is a token that is not where it should be.
_AFTER_PREFIX = re.compile(rb"\A(/+(?:-|%2[Dd])/+(?:s|%73)/+)[^/]+")
_TOKEN = re.compile(rb"1\.[0-9a-z]{4,32}\.[0-9a-z-]{5,200}\.[A-Za-z0-9_-]+")
_HIDDEN = b"-"


def redacted(raw_path: bytes) -> bytes:
    """The path of a request with `-` in place of each token."""
    hidden = _AFTER_PREFIX.sub(rb"\1" + _HIDDEN, raw_path)
    return _TOKEN.sub(_HIDDEN, hidden)


def redacted_text(path: str) -> str:
    """The same of a path that is text."""
    return redacted(path.encode("utf-8", "replace")).decode("utf-8", "replace")
