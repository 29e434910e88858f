"""`fileserve events`: who did what, and when."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from fileserve import console
from fileserve.commands.options import AsJson, RootOption, settings_for
from storage.names import printable

if TYPE_CHECKING:
    from storage.catalog_records import EventRecord

# fmt: off
Limit = Annotated[int, typer.Option(
    "--limit", "-n", metavar="NUMBER", min=1, help="So many of the newest.")]
# fmt: on


def events(*, limit: Limit = 50, as_json: AsJson = False, root: RootOption = None) -> None:
    """Show who uploaded, moved or removed what, and who made or revoked tokens and links."""
    from fileserve.commands.catalogs import existing_catalog  # noqa: PLC0415

    with existing_catalog(settings_for(root)) as catalog:
        newest = [] if catalog is None else catalog.events(limit)
    oldest_first = newest[::-1]
    if as_json:
        console.say(json.dumps([_members(event) for event in oldest_first], indent=2))
    elif oldest_first:
        for line in console.columns([_row(event) for event in oldest_first]):
            console.say(line.rstrip())
    else:
        console.note("nothing is written down yet")


def _row(event: "EventRecord") -> tuple[str, ...]:
    when = console.local_second(event.at)
    return when, _shown(event.who), event.deed, _path(event) or "-", _shown(event.detail)


def _members(event: "EventRecord") -> dict[str, object]:
    return {
        "number": event.number,
        "time": console.utc_second(event.at),
        "who": _shown(event.who),
        "deed": event.deed,
        "path": _path(event),
        "detail": _shown(event.detail),
    }


def _path(event: "EventRecord") -> str | None:
    if event.path is None:
        return None
    return printable(event.path) or "/"


def _shown(text: str) -> str:
    # Part of it may come from a client, and must not steer the admin's terminal.
    return printable(text.encode("utf-8", "replace"))
