"""SubRip subtitles (.srt) as WebVTT, the one form that browsers read (pure).

    1
    00:00:01,000 --> 00:00:04,200      WebVTT: a point for the comma, and hours in two digits
    Hello <i>there</i> {\\an8}         only <i>, <b>, <u> stay; braces are another player's

SubRip was never specified; what is read here is what players accept.
"""

import re
from collections.abc import Iterable, Iterator

_TIME = r"(\d{1,3}):(\d{1,2}):(\d{1,2})(?:[,.](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?!\d)", re.ASCII)
# Neither part reads past the next opening sign: one pass over a line of any length.
_FOREIGN_STYLE = re.compile(r"\{\\[^{}]*\}|</?font[^<>]*>", re.IGNORECASE)
_KEPT_TAG = re.compile(r"&lt;(/?)([ibu])&gt;", re.IGNORECASE)


def webvtt_lines(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a WebVTT file for those of a SubRip file, all without their ends.

    What stands outside a cue is left out: numbers, advertisements, and what WebVTT would take
    for a style sheet.
    """
    yield "WEBVTT"
    is_in_cue = False
    for line in lines:
        timing = _timing(line)
        if timing is not None:
            yield ""
            yield timing
            is_in_cue = True
        elif not line.strip():
            is_in_cue = False
        elif is_in_cue:
            yield _cue_text(line)
    yield ""


def _timing(line: str) -> str | None:
    found = _TIMING.match(line)
    if found is None:
        return None
    return f"{_time(*found.groups()[:4])} --> {_time(*found.groups()[4:])}"


def _time(hours: str, minutes: str, seconds: str, fraction: str | None) -> str:
    # "1,5" is a second and a half: digits after the comma, not milliseconds.
    return f"{hours:0>2}:{minutes:0>2}:{seconds:0>2}.{(fraction or '').ljust(3, '0')}"


def _cue_text(line: str) -> str:
    text = _FOREIGN_STYLE.sub("", line)
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A line without anything would end the cue.
    return _KEPT_TAG.sub(lambda tag: f"<{tag[1]}{tag[2].lower()}>", escaped).strip() or "&nbsp;"
