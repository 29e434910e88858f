"""What the query and the Accept field of a request for a folder ask for (pure)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar
from urllib.parse import parse_qs

from fileserve.http.accept import preferred
from fileserve.http.query import first_parameters
from fileserve.site.listing_entries import Shown
from storage.folders import Depth
from storage.names import MAX_SEGMENT_BYTES
from storage.ordering import Direction, SortKey

_Choice = TypeVar("_Choice", bound=Enum)

# No name has a longer text in it, however it writes its accents; and to compare 16 KiB of accents
# regardless of that takes 70 ms, in which nobody else has the event loop.
MAX_TEXT_CHARACTERS = 4 * MAX_SEGMENT_BYTES


class Form(Enum):
    """The forms of a listing, as `?format=` calls them."""

    HTML = "html"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    TEXT = "text"


_OFFERS = {
    "text/html": Form.HTML,
    "application/json": Form.JSON,
    "application/x-ndjson": Form.NDJSON,
    "text/csv;header=present": Form.CSV,
    "text/plain": Form.TEXT,
}
_DEPTHS = {
    "": Depth.TREE,
    "1": Depth.TREE,
    "true": Depth.TREE,
    "0": Depth.FOLDER,
    "false": Depth.FOLDER,
}


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """What is asked for; text is what names are searched for, decoded as os.fsdecode does."""

    form: Form
    shown: Shown
    depth: Depth
    text: str

    @property
    def is_flat(self) -> bool:
        """Whether the entries of the folder itself are all that is asked for."""
        return self.depth is Depth.FOLDER and not self.text


class QueryRefused(Exception):  # noqa: N818 - the client's mistake
    """A parameter has a value that means nothing; the sentence names those that do."""


def parse_listing_query(query: bytes, accept: str | None) -> ListingQuery:
    """What is asked for; `?format=` goes before Accept, unknown parameters mean nothing.

    A client that accepts no form gets the page (RFC 9110 section 12.4.1 leaves that to us), and
    there is no page of a tree.  Raises QueryRefused.
    """
    # Bytes that are no UTF-8 stand for themselves, as in a path: names may have them.
    text = first_parameters(query).decode("utf-8", "surrogateescape")
    first = {
        key: values[0]
        for key, values in parse_qs(
            text, keep_blank_values=True, encoding="utf-8", errors="surrogateescape"
        ).items()
    }
    form = _of_enum(first, "format", Form, _preferred_form(accept))
    order = _of_enum(first, "order", Direction, Direction.ASCENDING)
    sort = _of_enum(first, "sort", SortKey, SortKey.NAME)
    wanted = first.get("q", "")
    if len(wanted) > MAX_TEXT_CHARACTERS:
        raise QueryRefused(f"The value of 'q' has at most {MAX_TEXT_CHARACTERS:,} characters.")
    depth = _depth(first.get("recursive"))
    shown = Shown(sort, order, os.fsencode(wanted).decode("utf-8", "replace"))
    return ListingQuery(form, shown, Depth.FOLDER if form is Form.HTML else depth, wanted)


def _preferred_form(accept: str | None) -> Form:
    offer = preferred(accept, tuple(_OFFERS))
    return Form.HTML if offer is None else _OFFERS[offer]


def _of_enum(
    first: Mapping[str, str], key: str, choices: type[_Choice], default: _Choice
) -> _Choice:
    """The choice whose value stands in the query; default where the query has no such key."""
    text = first.get(key)
    if text is None:
        return default
    for choice in choices:
        if choice.value == text:
            return choice
    raise QueryRefused(_refusal(key, [str(choice.value) for choice in choices]))


def _depth(text: str | None) -> Depth:
    if text is None:
        return Depth.FOLDER
    if text not in _DEPTHS:
        raise QueryRefused(_refusal("recursive", ["1", "0"]))
    return _DEPTHS[text]


def _refusal(key: str, values: Sequence[str]) -> str:
    """A sentence with what is allowed, and nothing of what was sent."""
    *others, last = (f"'{value}'" for value in values)
    return f"The value of '{key}' can be {', '.join(others)} or {last}."
