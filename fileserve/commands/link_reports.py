"""What `fileserve link` prints: a link with its terms, the links that were made, a QR code."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fileserve import console
from storage.catalog_records import LinkRecord
from storage.names import printable

if TYPE_CHECKING:
    from fileserve.access.links import Link

_FIRST = "first"
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
# A link, and how many deliveries it has had.
Used = tuple[LinkRecord, int]


@dataclass(frozen=True, slots=True)
class Made:
    """A link that was just made: its path holds the secret part."""

    link: "Link"
    base_url: str
    path: str

    @property
    def url(self) -> str:
        """The address for people; only a path where the server's own is not known."""
        return self.base_url + self.path

    @property
    def is_whole(self) -> bool:
        """Whether the URL says which server it is for."""
        return bool(self.base_url)


def record_of(link: "Link", key_id: str, now: int) -> LinkRecord:
    """What the catalog keeps of a link."""
    return LinkRecord(
        link_id=link.link_id,
        key_id=key_id,
        path=b"/".join(link.segments),
        is_folder=link.is_folder,
        created_at=now,
        expires_at=link.expires_at,
        downloads=link.downloads,
        rate=link.rate,
        address=_FIRST if link.is_bound_to_first else link.address,
        is_attachment=link.is_attachment,
    )


def made_json(made: Made) -> str:
    """The link for programs."""
    end = console.utc_second(made.link.expires_at)
    return json.dumps({"id": made.link.link_id, "url": made.url, "expires": end}, indent=2)


def made_line(made: Made) -> str:
    """The link on a line of its own, so that a script can take it; remarks go to the side."""
    at = made.link.expires_at
    end = "does not expire" if at is None else f"expires {console.local_second(at)}"
    console.note(f"link {made.link.link_id} {end}")
    if not made.is_whole:
        console.note("put the server's address before it; FILESERVE_PUBLIC_URL would do that")
    elif (host := urlsplit(made.base_url).hostname) in _THIS_MACHINE:
        console.note(
            f"{host} opens on this machine only; set FILESERVE_PUBLIC_URL to the address for others"
        )
    return made.url


def list_json(used: Sequence[Used], now: float) -> Iterator[str]:
    """The links, the oldest first, for programs."""
    yield json.dumps([_members(record, count, now) for record, count in used], indent=2)


def list_lines(used: Sequence[Used], now: float) -> Iterator[str]:
    """A line for each link, the oldest first, below a head; a remark where there is none."""
    if used:
        head = ("ID", "OPENS", "STATE", "DELIVERIES", "TERMS")
        rows = [head, *(_row(record, count, now) for record, count in used)]
        yield from (line.rstrip() for line in console.columns(rows))
    else:
        console.note("no links were made here; 'fileserve link PATH' makes one")


def drawn(url: str) -> str:
    """The QR code of url for a terminal."""
    import segno  # noqa: PLC0415 - a tenth of a second

    code = segno.make_qr(url, error="l", boost_error=False)
    text = io.StringIO()
    code.terminal(text, border=2, compact=True)
    return text.getvalue().rstrip("\n")


def _row(record: LinkRecord, used: int, now: float) -> tuple[str, ...]:
    most = "" if record.downloads is None else f" of {record.downloads}"
    return (record.link_id, _opens(record), _state(record, used, now), f"{used}{most}",
            _terms(record))  # fmt: skip


def _opens(record: LinkRecord) -> str:
    if record.path is None:
        return "?"  # made by another program
    path = printable(record.path)
    return f"{path}/" if record.is_folder else path


def _state(record: LinkRecord, used: int, now: float) -> str:
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is not None and now >= record.expires_at:
        return "expired"
    if record.downloads is not None and used >= record.downloads:
        return "used up"
    return (
        "open" if record.expires_at is None else f"until {console.local_second(record.expires_at)}"
    )


def _terms(record: LinkRecord) -> str:
    terms = []
    if record.rate is not None:
        terms.append(f"{console.human_size(record.rate)}/s")
    if record.address is not None:
        is_first = record.address == _FIRST
        terms.append("first address" if is_first else f"from {record.address}")
    if record.is_attachment:
        terms.append("attachment")
    return ", ".join(terms)


def _members(record: LinkRecord, used: int, now: float) -> dict[str, str | int | bool | None]:
    return {
        "id": record.link_id,
        "key": record.key_id,
        "path": None if record.path is None else _opens(record),
        "state": "open" if (state := _state(record, used, now)).startswith("until") else state,
        "created": console.utc_second(record.created_at),
        "expires": console.utc_second(record.expires_at),
        "revoked": console.utc_second(record.revoked_at),
        "downloads": record.downloads,
        "deliveries": used,
        "rate": record.rate,
        "address": record.address,
        "attachment": record.is_attachment,
    }
