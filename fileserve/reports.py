"""What `list`, `info` and `config` print: entries and settings as lines, JSON or CSV."""

import csv
import io
import json
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from fileserve.console import columns, human_size, local_time, utc_time
from fileserve.http.media_types import media_type
from fileserve.http.validators import format_http_date, last_modified, strong_entity_tag
from storage.library import Item, Kind

if TYPE_CHECKING:
    from fileserve.setting_layers import ExplainedSetting
    from fileserve.settings import Settings

_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class Form(Enum):
    """How a report is written."""

    NAMES = "names"
    LONG = "long"
    JSON = "json"
    CSV = "csv"


class SortKey(Enum):
    """In what order entries are listed: by name, the largest first, the newest first."""

    NAME = "name"
    SIZE = "size"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known about an entry; key is for programs, label and text for people."""

    key: str
    label: str
    text: str
    value: str | int | None


def ordered(items: Sequence[Item], key: SortKey) -> list[Item]:
    """The items in the order of key; where that does not decide, by name."""
    by_name = sorted(items, key=lambda item: [part.lower() for part in item.name.segments])
    if key is SortKey.SIZE:
        return sorted(by_name, key=lambda item: -_listed_size(item))
    if key is SortKey.TIME:
        return sorted(by_name, key=lambda item: -item.modified_ns)
    return by_name


def listing_lines(items: Sequence[Item], form: Form) -> Iterator[str]:
    """The lines of a listing; JSON is one array, an object a line."""
    match form:
        case Form.JSON:
            yield from _json_lines(items)
        case Form.CSV:
            yield from _csv_lines(items)
        case Form.LONG if items:
            rows = [(_size_cell(i).rjust(9), local_time(i.modified_ns), shown(i)) for i in items]
            yield from columns(rows)
        case _:
            yield from map(shown, items)


def shown(item: Item) -> str:
    """The name for people, a folder's with a slash at the end."""
    return item.name.display.rstrip("/") + "/" if item.kind is Kind.FOLDER else item.name.display


def facts(item: Item, settings: "Settings") -> list[Fact]:
    """What a client would be told about item, and where it finds it."""
    address = base_url(settings) + url_path(item)
    modified = local_time(item.modified_ns)
    return [
        Fact("name", "Name", shown(item), exact_name(item)),
        Fact("kind", "Kind", item.kind.value, item.kind.value),
        *(_file_facts(item) if item.kind is Kind.FILE else ()),
        Fact("modified", "Modified", modified, utc_time(item.modified_ns)),
        Fact("url", "URL", address, address),
    ]


def _file_facts(item: Item) -> list[Fact]:
    # Computed as the server computes them, from the same status of the same file.
    seconds = last_modified(item.modified_ns, time.time())
    etag = str(strong_entity_tag(item.size, item.modified_ns, item.changed_ns, item.inode))
    content_type = media_type(item.name.last)
    size = human_size(item.size)
    if item.size >= 1000:
        size = f"{item.size:,} bytes ({size})"
    date = format_http_date(seconds)
    return [
        Fact("size", "Size", size, item.size),
        Fact("content_type", "Content-Type", content_type, content_type),
        Fact("last_modified", "Last-Modified", date, date),
        Fact("etag", "ETag", etag, etag),
    ]


def setting_lines(rows: Sequence["ExplainedSetting"], form: Form) -> Iterator[str]:
    """One line for each setting: its name, its value, where it comes from."""
    if form is Form.JSON:
        members = [{"name": x.name, "value": _plain(x.value), "source": x.source} for x in rows]
        yield json.dumps(members, indent=2)
    else:
        cells = [(row.name, _setting_text(row.value), f"({row.source})") for row in rows]
        yield from columns(cells)


def _setting_text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> object:
    """value as JSON can hold it."""
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def url_path(item: Item) -> str:
    """The path of its URL, a folder's with a slash at the end."""
    path = item.name.url_path
    return path.rstrip("/") + "/" if item.kind is Kind.FOLDER else path


def base_url(settings: "Settings") -> str:
    """What comes before a path in a URL of this server; empty where that is not known ahead."""
    if settings.public_url:
        return settings.public_url
    if settings.port == 0 or "/" in settings.host:  # any free port, a UNIX socket
        return ""
    scheme = "http" if settings.tls_certificate is None else "https"
    host = socket.gethostname() if settings.host in _EVERY_ADDRESS else settings.host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def exact_name(item: Item) -> str:
    """The name for programs: exact where it is UTF-8; url_path is exact in any case."""
    try:
        return item.name.relative.decode("utf-8")
    except UnicodeDecodeError:
        return item.name.display


def _listed_size(item: Item) -> int:
    return item.size if item.kind is Kind.FILE else -1


def _size_cell(item: Item) -> str:
    return human_size(item.size) if item.kind is Kind.FILE else "-"


def _json_lines(items: Sequence[Item]) -> Iterator[str]:
    yield "["
    for number, item in enumerate(items, start=1):
        # ASCII: so no control character of a name reaches a terminal.
        yield json.dumps(_members(item)) + ("," if number < len(items) else "")
    yield "]"


def _csv_lines(items: Sequence[Item]) -> Iterator[str]:
    for row in (("name", "kind", "size", "modified", "url_path"), *map(_csv_row, items)):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(row)
        yield line.getvalue()


def _csv_row(item: Item) -> tuple[str | int | None, ...]:
    return (item.name.display, *list(_members(item).values())[1:])


def _members(item: Item) -> dict[str, str | int | None]:
    return {
        "name": exact_name(item),
        "kind": item.kind.value,
        "size": item.size if item.kind is Kind.FILE else None,
        "modified": utc_time(item.modified_ns),
        "url_path": url_path(item),
    }
