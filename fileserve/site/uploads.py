"""PUT, and what it shares with forms: one file, streamed to the disk, visible once it is whole."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from starlette.types import Receive, Scope, Send

from fileserve.access.visit import Visit, visit_of
from fileserve.http.digest_fields import Judgement, judge_sha256
from fileserve.problems import problem
from fileserve.site.change_requests import (
    UNGUARDED,
    Arrived,
    content_length_of,
    described,
    field_of,
    location_of,
    require_plain_content,
    require_size,
    require_state,
    require_write,
    send_json,
    tag_of,
)
from fileserve.site.receiving import Declined, Pipe, SocketLender, content_of, lender_of
from fileserve.site.write_records import WriteRecords
from storage.atomic import Existing
from storage.blob import Fingerprint
from storage.digests import Digests
from storage.errors import AlreadyExists
from storage.landing import NEW, Claim
from storage.names import Name, RequestedPath
from storage.writing import Writing


class Uploads:
    """Receives files; limit: the most bytes of one, keep_free_bytes: what the disk keeps."""

    def __init__(
        self, writing: Writing, records: WriteRecords, limit: int | None, keep_free_bytes: int
    ) -> None:
        self._writing = writing
        self._records = records
        self._limit = limit
        self._keep_free_bytes = keep_free_bytes

    async def put(
        self, requested: RequestedPath, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a PUT; raises Declined, StorageErrors and ClientGone: then nothing has changed."""
        name, length = requested.name, content_length_of(scope)
        current = await self.replaced_by_put(requested, scope, length)
        # Where no length was told, more may come than may be stored.
        lender = None if length is None else lender_of(scope, receive)
        async with self.opened(name, length, lender) as pipe:
            async for piece in content_of(receive):
                await pipe.put(piece)
            if length is not None and pipe.length != length:
                raise Declined(problem(400, "The content is not as long as was announced."))
            await pipe.flush()
            _require_digests(scope, pipe.incoming.digests())
            try:
                arrived = await self.commit(visit_of(scope), name, pipe, claim_of(scope, current))
            except AlreadyExists as error:
                # Somebody was faster.
                is_guarded = field_of(scope, b"if-none-match") is not None
                refusal = problem(412, "It is there now.") if is_guarded else UNGUARDED
                raise Declined(refusal) from error
        status = 201 if current is None else 200
        fields = (location_of(scope, name), tag_of(arrived))
        await send_json(send, status, described(scope, arrived), fields)

    async def replaced_by_put(
        self, requested: RequestedPath, scope: Scope, length: int | None
    ) -> Fingerprint | None:
        """The state of the file that a PUT of length bytes replaces; None: it makes a new one.

        Raises Declined and StorageErrors where it may not.
        """
        if requested.wants_folder:
            raise Declined(problem(400, "The address of a file has no slash at its end."))
        require_write(scope, requested.name)
        require_plain_content(scope)
        require_size(length, self._limit)
        current = await self.state_of(requested.name)
        require_state(scope, current)
        return current

    async def state_of(self, name: Name) -> Fingerprint | None:
        """The state of the file that has the name; raises where none could ever be put."""
        return await self._writing.state_of(name)

    @asynccontextmanager
    async def opened(
        self, name: Name, length: int | None, lender: SocketLender | None = None
    ) -> AsyncGenerator[Pipe, None]:
        """A file on its way in, with space for length bytes; given up unless it is committed."""
        incoming = await self._writing.receive(name, self._keep_free_bytes)
        pipe = Pipe(incoming, self._limit, lender)
        try:
            if length is not None:
                await incoming.pool.run(partial(incoming.reserve, length))
            yield pipe
        finally:
            pipe.close()

    async def commit(self, visit: Visit, name: Name, pipe: Pipe, claim: Claim) -> Arrived:
        """Give a received file its name; it is on the disk when this returns."""
        await pipe.flush()
        incoming = pipe.incoming
        arrival = await incoming.pool.run(partial(incoming.commit, claim))
        self._records.arrived(visit, name, arrival)
        return Arrived(name, arrival)

    async def require_space(self, folder: Name, size: int | None) -> None:
        """Raises NoSpace when a folder's disk has no room for size bytes."""
        landing = await self._writing.land(folder.child(b"?"))
        await landing.pool.run(partial(landing.require_space, size or 0, self._keep_free_bytes))


def claim_of(scope: Scope, current: Fingerprint | None) -> Claim:
    """What may have the name when it is given to what was put; current: who has it now."""
    if current is None:
        return NEW
    is_any = (field_of(scope, b"if-match") or b"").strip() == b"*"
    return Claim(Existing.REPLACE, None if is_any else current)


def _require_digests(scope: Scope, digests: Digests) -> None:
    """Raises Declined if the request tells another SHA-256 of its content (RFC 9530)."""
    for name in (b"content-digest", b"repr-digest"):
        value = field_of(scope, name)
        if value is None:
            continue
        match judge_sha256(value.decode("latin-1"), digests.sha256):
            case Judgement.DIFFERS:
                raise Declined(problem(400, "The bytes that came have another SHA-256."))
            case Judgement.UNREADABLE:
                raise Declined(problem(400, f"{name.decode().title()} cannot be read."))
            case Judgement.MATCHES | Judgement.SAYS_NOTHING:
                continue
