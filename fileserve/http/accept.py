"""Which of our media types a client likes best (RFC 9110 section 12.5.1).

Accept      = [ ( media-range [ weight ] ) *( OWS "," OWS ( media-range [ weight ] ) ) ]
media-range = ( "*/*" / ( type "/*" ) / ( type "/" subtype ) ) parameters
weight      = OWS ";" OWS "q=" qvalue
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fileserve.http.ranges import OPTIONAL_WHITESPACE

# Text up to the next separator outside quotes.  A quote that is never closed runs to the end,
# so that a match never fails after reading on: one pass, also over 64 KiB of quotes.
_QUOTED = r'"(?:[^"\\]|\\.?)*+"?'
_BETWEEN_COMMAS = re.compile(rf"(?:[^,\"]|{_QUOTED})++", re.DOTALL)
_BETWEEN_SEMICOLONS = re.compile(rf"(?:[^;\"]|{_QUOTED})++", re.DOTALL)

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of section 5.6.2, nothing secret
_MEDIA_RANGE = re.compile(rf"(?P<type>{_TOKEN})/(?P<subtype>{_TOKEN})")
# qvalue, and ".2" without its zero: Java's HttpURLConnection has sent it for decades, together
# with a lone "*" for "*/*".
_QVALUE = re.compile(r"0?\.[0-9]{0,3}|0|1(?:\.0{0,3})?")

FULL_WEIGHT = 1000

# Nobody's taste is longer (Chrome's is 135 characters), and 64 KiB would take 37 ms to read.
MAX_READ_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One member of Accept; "*" is any type or subtype, weight is in thousandths."""

    type: str
    subtype: str
    parameters: frozenset[tuple[str, str]]
    weight: int

    @property
    def specificity(self) -> tuple[bool, bool, int]:
        return self.type != "*", self.subtype != "*", len(self.parameters)

    def includes(self, offer: "MediaRange") -> bool:
        return (
            self.type in ("*", offer.type)
            and self.subtype in ("*", offer.subtype)
            and self.parameters <= offer.parameters
        )


def preferred(accept: str | None, offers: Sequence[str]) -> str | None:
    """The offer with the highest weight, of equals the first; None if none is acceptable.

    Offers are media types, best first by our own taste.  A field that is absent, or has no
    readable member, accepts everything.
    """
    if accept is None or accept == "*/*":
        return offers[0] if offers else None
    ranges = sorted(_parse_accept(accept), key=lambda member: member.specificity, reverse=True)
    if not ranges:
        return offers[0] if offers else None
    best, best_weight = None, 0
    for offer in offers:
        weight = _weight_of(offer, ranges)
        if weight > best_weight:
            best, best_weight = offer, weight
    return best


def _weight_of(offer: str, ranges: Sequence[MediaRange]) -> int:
    """What the most specific of ranges (sorted, most specific first) says of offer; 0 is no."""
    offered = _parse_member(offer)
    if offered is None:
        raise ValueError(f"not a media type: {offer!r}")
    return next((member.weight for member in ranges if member.includes(offered)), 0)


def _parse_accept(field_value: str) -> Iterator[MediaRange]:
    """The readable members; the others are skipped, as if they had not been sent."""
    for text in _BETWEEN_COMMAS.findall(field_value[:MAX_READ_CHARACTERS]):
        member = _parse_member(text)
        if member is not None:
            yield member


def _parse_member(text: str) -> MediaRange | None:
    media_range, *parameter_texts = (
        part.strip(OPTIONAL_WHITESPACE) for part in _BETWEEN_SEMICOLONS.findall(text) or [""]
    )
    found = _MEDIA_RANGE.fullmatch("*/*" if media_range == "*" else media_range)
    if found is None or (found["type"] == "*" != found["subtype"]):
        return None
    parameters, weight = set(), FULL_WEIGHT
    for parameter in parameter_texts:
        name, _, argument = parameter.partition("=")
        match name.lower():
            case "q" if _QVALUE.fullmatch(argument):
                weight = _thousandths(argument)
            case "q":
                return None
            case "charset" | "":
                # We speak UTF-8 only, and who asks for JSON in UTF-8 means JSON.
                continue
            case other:
                parameters.add((other, argument.strip('"').lower()))
    return MediaRange(
        found["type"].lower(), found["subtype"].lower(), frozenset(parameters), weight
    )


def _thousandths(qvalue: str) -> int:
    whole, _, fraction = qvalue.partition(".")
    return int(whole or "0") * FULL_WEIGHT + int(fraction.ljust(3, "0"))
