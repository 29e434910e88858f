"""What tells two states of a representation apart: entity tags and dates (RFC 9110 section 8.8)."""

import re
import time
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

NANOSECONDS_PER_SECOND = 1_000_000_000

# entity-tag = [ %s"W/" ] DQUOTE *( %x21 / %x23-7E / obs-text ) DQUOTE      (section 8.8.3)
# No escapes and no whitespace inside; commas and backslashes are ordinary characters.
ENTITY_TAG = r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"'

_DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONG_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH_NUMBERS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

_DAY = f"(?:{'|'.join(_DAY_NAMES)})"
_LONG_DAY = f"(?:{'|'.join(_LONG_DAY_NAMES)})"
_MONTH = f"(?P<month>{'|'.join(_MONTH_NAMES)})"
_TIME = r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"

_ENTITY_TAG = re.compile(ENTITY_TAG)
# Sun, 06 Nov 1994 08:49:37 GMT
_IMF_FIXDATE = re.compile(rf"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT")
# Sunday, 06-Nov-94 08:49:37 GMT
_RFC850_DATE = re.compile(
    rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"
)
# Sun Nov  6 08:49:37 1994
_ASCTIME_DATE = re.compile(
    rf"{_DAY} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})"
)


@dataclass(frozen=True, slots=True)
class EntityTag:
    """An entity-tag; opaque is the text between the quotes."""

    opaque: str
    is_weak: bool

    def match_strongly(self, other: "EntityTag") -> bool:
        """Section 8.8.3.2: neither is weak and the opaque tags are equal."""
        return not self.is_weak and not other.is_weak and self.opaque == other.opaque

    def match_weakly(self, other: "EntityTag") -> bool:
        """Section 8.8.3.2: the opaque tags are equal."""
        return self.opaque == other.opaque

    def __str__(self) -> str:
        return f'W/"{self.opaque}"' if self.is_weak else f'"{self.opaque}"'


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of the selected representation; last_modified is in seconds since 1970."""

    etag: EntityTag
    last_modified: int


def parse_entity_tag(field_value: str) -> EntityTag | None:
    """The one entity-tag that field_value (decoded as Latin-1) consists of, or None."""
    found = _ENTITY_TAG.fullmatch(field_value.strip(" \t"))
    return None if found is None else EntityTag(found["opaque"], found["weak"] is not None)


def strong_entity_tag(size: int, modified_ns: int, changed_ns: int, inode: int) -> EntityTag:
    """A strong validator of the bytes behind one descriptor, from what fstat says of it.

    The change time is in it because the modification time can be set back by anybody who may
    write the file (utime, rsync -t, tar), which would give new bytes an old tag.
    """
    return EntityTag(f"{size:x}-{modified_ns:x}-{changed_ns:x}-{inode:x}", is_weak=False)


def last_modified(modified_ns: int, now: float) -> int:
    """The Last-Modified of a file in whole seconds, never after now (section 8.8.2.1)."""
    return max(min(modified_ns // NANOSECONDS_PER_SECOND, int(now)), 0)


@lru_cache(maxsize=4096)
def format_http_date(seconds: int) -> str:
    """IMF-fixdate of a time since 1970, the only format to be sent (section 5.6.7).

    Not strftime: its names of days and months follow the locale.
    """
    t = time.gmtime(seconds)
    day_name, month_name = _DAY_NAMES[t.tm_wday], _MONTH_NAMES[t.tm_mon - 1]
    clock = f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
    return f"{day_name}, {t.tm_mday:02d} {month_name} {t.tm_year:04d} {clock} GMT"


def parse_http_date(field_value: str, now: float) -> int | None:
    """Seconds since 1970 of an HTTP-date in any of its three formats, or None (section 5.6.7).

    now, also in seconds since 1970, only decides the century of two-digit years.  The day of
    the week must be one, but is not compared with the date: nothing depends on it.
    """
    text = field_value.strip(" \t")
    found = _IMF_FIXDATE.fullmatch(text) or _ASCTIME_DATE.fullmatch(text)
    if found is not None:
        return _seconds(int(found["year"]), found)
    found = _RFC850_DATE.fullmatch(text)
    return None if found is None else _seconds(_full_year(found, now), found)


def _seconds(year: int, found: re.Match[str]) -> int | None:
    """None for a day that the month does not have, and for the year 0.

    Second 60, a leap second, is the first of the next minute, as POSIX counts.
    """
    try:
        ordinal = date(year, _MONTH_NUMBERS[found["month"]], int(found["day"])).toordinal()
    except ValueError:
        return None
    minutes = (ordinal - _EPOCH_ORDINAL) * 1440 + int(found["hour"]) * 60 + int(found["minute"])
    return minutes * 60 + int(found["second"])


def _full_year(found: re.Match[str], now: float) -> int:
    """The latest year with these two digits in which the date is at most 50 years after now.

    Section 5.6.7: what appears to be more than 50 years in the future is the most recent past
    year with the same digits.
    """
    limit = time.gmtime(now)
    last_year = limit.tm_year + 50
    year = last_year - (last_year - int(found["year"])) % 100
    moment = (
        _MONTH_NUMBERS[found["month"]],
        *(int(found[part]) for part in ("day", "hour", "minute", "second")),
    )
    latest = (limit.tm_mon, limit.tm_mday, limit.tm_hour, limit.tm_min, limit.tm_sec)
    return year - 100 if year == last_year and moment > latest else year
