"""Whether a conditional request proceeds, in whole or in part (RFC 9110 section 13)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from fileserve.http.validators import (
    ENTITY_TAG,
    EntityTag,
    Validators,
    parse_entity_tag,
    parse_http_date,
)

# Nobody holds more states of a file, and 64 KiB of tags take 26 ms to read.
MAX_TAGS = 1_000

# A list of entity tags cannot be split at its commas: a tag may contain some.
_SEPARATORS = re.compile(r"[ \t,]*")
_MEMBER = re.compile(ENTITY_TAG + r"[ \t]*(?:,|\Z)")


class Verdict(Enum):
    """How a GET or HEAD goes on: answer it, 304, or 412."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not-modified"
    FAILED = "failed"


class ChangeVerdict(Enum):
    """How a request that changes something goes on: do it, 412, or 428."""

    PROCEED = "proceed"
    FAILED = "failed"
    UNGUARDED = "unguarded"


@dataclass(frozen=True, slots=True)
class EntityTagList:
    """The tags that were listed; the empty list, also what an unreadable field is, matches none."""

    tags: tuple[EntityTag, ...]

    def match_strongly(self, current: EntityTag) -> bool:
        return any(tag.match_strongly(current) for tag in self.tags)

    def match_weakly(self, current: EntityTag) -> bool:
        return any(tag.match_weakly(current) for tag in self.tags)


@dataclass(frozen=True, slots=True)
class AnyEntityTag:
    """`*`: whatever exists matches, and we only judge what exists."""

    def match_strongly(self, _current: EntityTag) -> bool:
        return True

    def match_weakly(self, _current: EntityTag) -> bool:
        return True


EntityTagSet: TypeAlias = EntityTagList | AnyEntityTag
ANY = AnyEntityTag()
NOTHING = EntityTagList(())


@dataclass(frozen=True, slots=True)
class Conditions:
    """The preconditions of a request; None is absent or, for a date, to be ignored."""

    if_match: EntityTagSet | None = None
    if_unmodified_since: int | None = None
    if_none_match: EntityTagSet | None = None
    if_modified_since: int | None = None


UNCONDITIONAL = Conditions()
# What has no tag is compared as: nobody can send this one.
_NO_TAG = EntityTag("\0", is_weak=True)


def parse_conditions(fields: Mapping[str, str], now: float) -> Conditions:
    """The preconditions among fields (lower-case names; values decoded as Latin-1).

    A date that cannot be read is ignored (13.1.3, 13.1.4).  A tag field that cannot be read is
    still there: it matches nothing and hides its date field.  So an unreadable If-Match fails
    the request, which is what its sender asked for if in doubt, and an unreadable
    If-None-Match gets the whole answer.
    """
    if_match, if_none_match = fields.get("if-match"), fields.get("if-none-match")
    unmodified, modified = fields.get("if-unmodified-since"), fields.get("if-modified-since")
    if if_match is if_none_match is unmodified is modified is None:
        return UNCONDITIONAL
    return Conditions(
        if_match=None if if_match is None else _parse_tag_set(if_match),
        if_unmodified_since=None if unmodified is None else parse_http_date(unmodified, now),
        if_none_match=None if if_none_match is None else _parse_tag_set(if_none_match),
        if_modified_since=None if modified is None else parse_http_date(modified, now),
    )


def evaluate(asked: Conditions, current: Validators) -> Verdict:
    """Judge a GET or HEAD in the order of RFC 9110 section 13.2.2.

    A present entity-tag field hides its date field even when no tag
    matches: the date is there for clients that do not know entity tags.
    """
    if _has_changed(asked, current):
        return Verdict.FAILED
    if _is_held_already(asked, current):
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def evaluate_change(asked: Conditions, current: Validators | None) -> ChangeVerdict:
    """Judge a request other than GET and HEAD; current None: there is nothing yet.

    If-Modified-Since means nothing here (13.1.3).  UNGUARDED: what exists would be changed, and
    no condition says that its sender knows of it (RFC 6585 section 3).
    """
    if current is None:
        is_failed = asked.if_match is not None
        return ChangeVerdict.FAILED if is_failed else ChangeVerdict.PROCEED
    undated = Conditions(asked.if_match, asked.if_unmodified_since, asked.if_none_match)
    if evaluate(undated, current) is not Verdict.PROCEED:
        return ChangeVerdict.FAILED
    return ChangeVerdict.UNGUARDED if undated == UNCONDITIONAL else ChangeVerdict.PROCEED


def evaluate_undated(fields: Mapping[str, str], current: EntityTag | None) -> Verdict:
    """As evaluate, for what has no date and perhaps no tag either; fields as parse_conditions.

    The fields with dates are ignored then (13.1.3, 13.1.4), and without a tag only ``*`` matches.
    """
    tags = {name: fields[name] for name in ("if-match", "if-none-match") if name in fields}
    return evaluate(parse_conditions(tags, now=0.0), Validators(current or _NO_TAG, 0))


def _has_changed(asked: Conditions, current: Validators) -> bool:
    """Steps 1 and 2: If-Match, and only without it If-Unmodified-Since."""
    if asked.if_match is not None:
        return not asked.if_match.match_strongly(current.etag)
    if asked.if_unmodified_since is not None:
        return current.last_modified > asked.if_unmodified_since
    return False


def _is_held_already(asked: Conditions, current: Validators) -> bool:
    """Steps 3 and 4: If-None-Match, and only without it If-Modified-Since."""
    if asked.if_none_match is not None:
        return asked.if_none_match.match_weakly(current.etag)
    if asked.if_modified_since is not None:
        return current.last_modified <= asked.if_modified_since
    return False


def range_applies(if_range: str | None, current: Validators, now: float) -> bool:
    """Whether a Range beside this If-Range is to be obeyed (section 13.1.5).

    Only if what the client holds is certainly part of what we would send: anything weak,
    unequal or unreadable is False, since a wrong True joins two files into a broken one.
    """
    if if_range is None:
        return True
    tag = parse_entity_tag(if_range)
    if tag is not None:
        return tag.match_strongly(current.etag)
    # The date is strong (8.8.2.2) once its second is over: until then the file may change
    # again and keep its date.
    is_strong = current.last_modified + 1 <= now
    return is_strong and parse_http_date(if_range, now) == current.last_modified


def _parse_tag_set(field_value: str) -> EntityTagSet:
    """`*` or a list of entity tags.

    A list with an unreadable member, or with more than MAX_TAGS, matches nothing at all.
    """
    text = field_value.strip(" \t")
    if text == "*":
        return ANY
    tags: list[EntityTag] = []
    position = _skip_separators(text, 0)
    while position < len(text):
        member = _MEMBER.match(text, position)
        if member is None or len(tags) == MAX_TAGS:
            return NOTHING
        tags.append(EntityTag(member["opaque"], member["weak"] is not None))
        position = _skip_separators(text, member.end())
    return EntityTagList(tuple(tags))


def _skip_separators(text: str, position: int) -> int:
    found = _SEPARATORS.match(text, position)
    return position if found is None else found.end()
