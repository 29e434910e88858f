"""A page that shows one file: plays it, shows it, or says what it is and offers it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from fileserve.delivery.responses import validators_of
from fileserve.http.media_types import media_type
from fileserve.problems import Field
from fileserve.site.appearance import Family, Size, family_of_file, size_in_words
from fileserve.site.characters import Extent, decode_text, is_binary
from fileserve.site.listing_entries import quoted, rfc3339
from fileserve.site.listing_page import Crumb, crumbs_above, folder_label
from fileserve.site.neighbours import Neighbours, Subtitles, find_neighbours
from fileserve.site.pages import PAGE_POLICY, template
from fileserve.site.unvalidated import is_settled
from fileserve.site.visitors import STRANGER, Visitor
from storage.blob import Blob
from storage.local import LocalStorage
from storage.names import Name, printable

# As much as anybody reads in a browser; the rest is for an editor.
MAX_TEXT_BYTES = 256 << 10

_FIELDS: tuple[Field, ...] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", PAGE_POLICY),
)


# What is known without waiting of the digest of an open file.
KnownSha256 = Callable[[Name, Blob], bytes | None]


def _none_known(name: Name, blob: Blob) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Text:
    """The beginning of a text file, or all of it."""

    content: str
    extent: Extent


@dataclass(frozen=True, slots=True)
class Track:
    """Subtitles as the player needs them."""

    url: str
    label: str
    language: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A file beside this one."""

    url: str
    label: str


@dataclass(frozen=True, slots=True)
class View:
    """All that the page says of a file.

    url is relative to the page, etag as in its own answer; sha256 in hexadecimal, "" if unknown.
    """

    label: str
    url: str
    family: Family
    media_type: str
    size: Size
    modified: str
    etag: str
    sha256: str
    text: Text | None
    previous: Neighbour | None
    next: Neighbour | None
    tracks: Sequence[Track]


async def send_view(  # noqa: PLR0917 - three of them are ASGI's own
    scope: Scope,
    receive: Receive,
    send: Send,
    storage: LocalStorage,
    name: Name,
    fields: Sequence[Field] = (),
    visitor: Visitor = STRANGER,
    known_sha256: KnownSha256 = _none_known,
) -> None:
    """Answer GET or HEAD of the view page of the file name, fields (control) among the others.

    Raises StorageError before anything was sent, IsFolder for a folder.
    """
    blob = await storage.open(name)
    try:
        if await is_settled(scope, send, fields):
            return
        text = await _text_of(blob, name)
        sha256 = known_sha256(name, blob) or b""
    finally:
        await blob.close()
    # Who may see this file alone is not told what lies beside it.
    is_alone = visitor.hidden_depth > len(name.parent.segments)
    neighbours = Neighbours() if is_alone else await find_neighbours(storage, name)
    if await is_settled(scope, send, fields):
        return
    view = _view_of(name, blob, text, sha256.hex(), neighbours)
    content = render_view(name, view, scope.get("root_path", ""), visitor).encode("utf-8")
    length = (b"content-length", b"%d" % len(content))
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [*_FIELDS, length, *fields],
        }
    )
    body = b"" if scope["method"] == "HEAD" else content
    await send({"type": "http.response.body", "body": body, "more_body": False})


def render_view(name: Name, view: View, root_path: str, visitor: Visitor) -> str:
    """The page for view, of the file name (pure)."""
    return template("view.html").render(
        view=view,
        crumbs=_crumbs_of(name, visitor),
        root_path=root_path,
        visitor=visitor,
    )


def _crumbs_of(name: Name, visitor: Visitor) -> list[Crumb]:
    """The folder it lies in and those above, as far as the visitor may know of them."""
    folder = name.parent
    if visitor.hidden_depth > len(folder.segments):
        return []
    above = crumbs_above(folder, visitor.hidden_depth)
    return [*above, Crumb(folder_label(folder), "./")]


async def _text_of(blob: Blob, name: Name) -> Text | None:
    if family_of_file(name.last) is not Family.TEXT:
        return None
    content = await blob.read(0, MAX_TEXT_BYTES) if blob.complete_length else b""
    if is_binary(content):
        return None
    extent = Extent.WHOLE if len(content) >= blob.complete_length else Extent.BEGINNING
    return Text(decode_text(content, extent), extent)


def _view_of(
    name: Name, blob: Blob, text: Text | None, sha256: str, neighbours: Neighbours
) -> View:
    family = family_of_file(name.last)
    return View(
        label=printable(name.last),
        url=quoted(name.last),
        # What turned out to be no text is offered like any other file.
        family=Family.FILE if family is Family.TEXT and text is None else family,
        media_type=media_type(name.last).partition(";")[0],
        size=size_in_words(blob.complete_length),
        modified=rfc3339(blob.fingerprint.modified_ns) or "",
        etag=str(validators_of(blob, time.time()).etag),
        sha256=sha256,
        text=text,
        previous=_neighbour(neighbours.previous),
        next=_neighbour(neighbours.next),
        tracks=[_track(subtitles) for subtitles in neighbours.subtitles],
    )


def _neighbour(segment: bytes | None) -> Neighbour | None:
    return None if segment is None else Neighbour(f"{quoted(segment)}?view", printable(segment))


def _track(subtitles: Subtitles) -> Track:
    is_subrip = subtitles.segment.lower().endswith(b".srt")
    url = quoted(subtitles.segment) + ("?vtt" if is_subrip else "")
    return Track(url, printable(subtitles.label.encode()), subtitles.language)
