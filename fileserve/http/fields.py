"""Response fields of which several parts of an answer have something to say (pure)."""

from collections.abc import Iterable

Field = tuple[bytes, bytes]

_VARY = b"vary"
_CACHE_CONTROL = b"cache-control"


def merged(fields: Iterable[Field]) -> list[Field]:
    """The fields with one Vary that names all, and one Cache-Control: the last.

    Some caches read the first line of a kind only.
    """
    kept: dict[bytes, bytes] = {}
    others: list[Field] = []
    for name, value in fields:
        if name == _VARY and name in kept:
            kept[name] += b", " + value
        elif name in (_VARY, _CACHE_CONTROL):
            kept[name] = value
        else:
            others.append((name, value))
    return [*others, *kept.items()]
