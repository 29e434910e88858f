"""POST of a multipart form to a folder: each file goes to the disk as it comes in.

    files     any field with a file name; the name may have slashes, missing folders are made
    name      a plain field before a file: its name, in place of the one that the browser tells
    replace   a plain field before a file: "yes" (or "on", "true", "1") lets files be replaced

Each file is whole and durable by itself.  When one is refused, those before it stay, and the
answer says so.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

from starlette.types import Receive, Scope, Send

from fileserve.access.visit import visit_of
from fileserve.http.accept import preferred
from fileserve.problems import Problem, problem, problem_of_change
from fileserve.site.change_requests import (
    Arrived,
    content_length_of,
    described,
    field_of,
    location_of,
    require_write,
    send_json,
    send_nothing,
)
from fileserve.site.form_parts import (
    FormParser,
    FormUnreadable,
    PartBegin,
    PartEnd,
    PartEvent,
    PartPiece,
    boundary_of,
)
from fileserve.site.receiving import Declined, Pipe, content_of
from fileserve.site.uploads import Uploads
from storage.atomic import Existing
from storage.errors import StorageError
from storage.landing import NEW, Claim
from storage.names import Name, RequestedPath, printable

_YES = frozenset((b"yes", b"on", b"true", b"1"))
# All that plain fields may hold together.
_MAX_TEXT_BYTES = 64 << 10
# What is told of each file in the end is kept until then.
_MAX_FILES = 10_000
# Full of tiny parts so many bytes take 30 ms to parse: the others get their turns in between.
_SLICE_BYTES = 64 << 10
_KNOWN_FIELDS = frozenset(("name", "replace"))
_HTML, _JSON = "text/html", "application/json"


class Forms:
    """Receives the files of forms."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    async def post(
        self, requested: RequestedPath, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a POST: browsers with the folder's page, programs with what was stored."""
        if not requested.wants_folder:
            raise Declined(problem(409, "A form is sent to a folder; its address ends in a slash."))
        require_write(scope, requested.name)
        boundary = boundary_of(field_of(scope, b"content-type") or b"")
        if boundary is None:
            detail = "A folder takes forms: multipart/form-data."
            raise Declined(problem(415, detail, (b"accept", b"multipart/form-data")))
        await self._uploads.require_space(requested.name, content_length_of(scope))
        arrived = await self._receive(requested.name, boundary, scope, receive)
        if not arrived:
            raise Declined(problem(400, "There is no file in the form."))
        accept = field_of(scope, b"accept")
        text = None if accept is None else accept.decode("latin-1")
        if preferred(text, (_JSON, _HTML)) == _HTML:
            location = location_of(scope, requested.name)
            page = (location[0], location[1].rstrip(b"/") + b"/")
            await send_nothing(send, 303, (page,))
            return
        await send_json(send, 201, {"files": [described(scope, file) for file in arrived]})

    async def _receive(
        self, folder: Name, boundary: bytes, scope: Scope, receive: Receive
    ) -> list[Arrived]:
        reading = _FormReading(self._uploads, folder, scope)
        try:
            parser = FormParser(boundary)
            async for piece in _slices(content_of(receive)):
                for event in parser.feed(piece):
                    await reading.take(event)
            parser.end()
        except FormUnreadable as error:
            raise reading.declined(problem(400, f"The form cannot be read: {error}.")) from error
        except Declined as declined:
            raise reading.declined(declined.refusal) from declined
        except StorageError as error:
            raise reading.declined(problem_of_change(error)) from error
        finally:
            await reading.close()
        return reading.arrived


async def _slices(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for piece in pieces:
        for start in range(0, len(piece), _SLICE_BYTES):
            yield piece[start : start + _SLICE_BYTES]
            await asyncio.sleep(0)


class _FormReading:
    """One form, as far as it has come in."""

    def __init__(self, uploads: Uploads, folder: Name, scope: Scope) -> None:
        self.arrived: list[Arrived] = []
        self._uploads = uploads
        self._folder = folder
        self._scope = scope
        self._open = AsyncExitStack()
        self._pipe: Pipe | None = None
        self._claim = NEW
        self._name = folder
        self._texts: dict[str, bytearray] = {}
        self._text: bytearray | None = None
        self._text_bytes = 0
        self._file_name = ""

    async def take(self, event: PartEvent) -> None:
        """Go on with what the parser found."""
        match event:
            case PartBegin(field, None) if field in _KNOWN_FIELDS:
                self._text = self._texts[field] = bytearray()
            case PartBegin(_, None | b""):
                self._text = None  # a field of no meaning; or no file was chosen
            case PartBegin(_, bytes(file_name)):
                self._text = None
                await self._begin_file(file_name)
            case PartPiece(content) if self._pipe is not None:
                await self._pipe.put(content)
            case PartPiece(content):
                self._add_text(content)
            case PartEnd():
                await self._end_part()

    def declined(self, refusal: Problem) -> Declined:
        """The refusal with what the visitor has to know of the other files."""
        detail = refusal.detail
        if self._file_name:
            detail = f"{self._file_name}: {detail}"
        if self.arrived:
            count = len(self.arrived)
            detail += f" {count} before it {'was' if count == 1 else 'were'} stored."
        return Declined(problem(refusal.status, detail, *refusal.fields))

    async def close(self) -> None:
        """Give up what is not whole."""
        await self._open.aclose()

    async def _begin_file(self, file_name: bytes) -> None:
        if len(self.arrived) == _MAX_FILES:
            raise Declined(problem(413, f"A form brings at most {_MAX_FILES} files."))
        told = bytes(self._texts.pop("name", b"")) or file_name
        self._file_name = printable(told)
        name = self._folder
        for segment in told.split(b"/"):
            name = name.child(segment)
        require_write(self._scope, name)
        current = await self._uploads.state_of(name)
        is_replacing = bytes(self._texts.get("replace", b"")).strip().lower() in _YES
        if current is not None and not is_replacing:
            raise Declined(problem(409, "There is a file of this name already."))
        self._claim = NEW if current is None else Claim(Existing.REPLACE, current)
        self._name = name
        self._pipe = await self._open.enter_async_context(self._uploads.opened(name, None))

    async def _end_part(self) -> None:
        pipe, self._pipe, self._text = self._pipe, None, None
        if pipe is None:
            return
        visit = visit_of(self._scope)
        self.arrived.append(await self._uploads.commit(visit, self._name, pipe, self._claim))
        await self._open.aclose()
        self._file_name = ""

    def _add_text(self, content: memoryview) -> None:
        self._text_bytes += len(content)
        if self._text_bytes > _MAX_TEXT_BYTES:
            raise Declined(problem(413, "The plain fields of the form are too long."))
        if self._text is not None:
            self._text += content
