"""Uploads that go on after whatever came between: begun, found again, published, swept.

Their files lie in the staging folder of the mount on which the target will be; every call on them
is made in the threads in which that mount is written to.
"""

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial

from storage.errors import Busy, NoSpace, NotFound, StorageError, Unavailable
from storage.incoming import Arrival
from storage.landing import Claim, Landing
from storage.names import Name
from storage.upload_bytes import OpenUpload, UploadDigest
from storage.upload_growing import Upload, run_on_mount
from storage.upload_sessions import (
    Session,
    State,
    lies_at,
    new_upload_id,
    read_session,
    remove_session,
    touch,
    write_session,
)
from storage.upload_sweeping import sweep_uploads
from storage.writing import Writing

_PART_NAME = Name((b"part",))
# What is remembered of uploads that are under way, so that their end need not read them again.
_MAX_DIGESTS = 1_000
# A writer looks each second whether it is to let go.
_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.05


class ResumableUploads:
    """All uploads of one storage."""

    def __init__(self, writing: Writing, keep_free_bytes: int = 0) -> None:
        self._writing = writing
        self._keep_free_bytes = keep_free_bytes
        self._digests: OrderedDict[str, UploadDigest] = OrderedDict()

    async def begin(self, session: Session, beside: Name = _PART_NAME) -> Upload:
        """A new upload; its id is chosen here.  Raises what Writing.land raises.

        beside: a name on the mount where a part, which has no target, is to lie.
        """
        landing = await self._writing.land(session.target or beside)
        session = replace(session, upload_id=new_upload_id(landing.prefix))

        def create() -> OpenUpload:
            with landing.opened_staging() as folder_fd:
                return OpenUpload.create(folder_fd, session)

        opened = await run_on_mount(landing, create, OpenUpload.close)
        return Upload(landing, opened, self._keep_free_bytes, self._writing.quota)

    async def resume(self, upload_id: str) -> Upload | Session:
        """An upload to go on with, or what is written of one that is done.

        Raises NotFound, and Busy while another request has it.
        """
        landing = await self._landing_of(upload_id)

        def open_again() -> OpenUpload | Session:
            with landing.found_staging() as folder_fd:
                try:
                    return OpenUpload.open(folder_fd, upload_id, self._digests.get(upload_id))
                except NotFound:
                    return read_session(folder_fd, upload_id)

        found = await run_on_mount(landing, open_again, _discard)
        if isinstance(found, OpenUpload):
            return Upload(landing, found, self._keep_free_bytes, self._writing.quota)
        return found if found.state is State.DONE else await self._recovered(landing, found)

    async def take(self, upload_id: str) -> Upload | Session:
        """As resume, but whoever has the upload is asked to let go of it.

        Raises Busy when that takes long, as when the file is just being published.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        landing = await self._landing_of(upload_id)
        while True:
            try:
                return await self.resume(upload_id)
            except Busy:
                if time.monotonic() > deadline:
                    raise
            # Each time: another one may have taken it meanwhile, and touched it, too.
            await run_on_mount(landing, partial(_touch, landing, upload_id))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def publish(self, upload: Upload) -> Arrival:
        """Make the file of an upload that is whole; raises AlreadyExists, Changed and others."""
        session, opened = upload.session, upload.opened
        assert session.target is not None, "a part is no file"
        while await upload.run(opened.hash_more):
            pass
        landing = await self._writing.land(session.target)
        claim = Claim(session.existing, session.expected)
        state = await run_on_mount(landing, partial(opened.publish, landing, claim))
        return Arrival(state, opened.digest.digests())

    async def release(self, upload: Upload) -> None:
        """Let the next request have it; what is known of its digest is kept for that one."""
        if upload.session.trusted is None:
            self._remember(upload.session.upload_id, upload.opened.digest)
        else:
            # Bytes that were not verified are in it, and are dropped by whoever comes next.
            self._digests.pop(upload.session.upload_id, None)
        pool, closed = upload.landing.pool, Future[None]()

        def close() -> None:
            try:
                upload.opened.close()
            finally:
                closed.set_result(None)

        # Whatever becomes of this request, a thread closes it after its last call.
        pool.executor.dispose(close)
        with suppress(Unavailable):  # a mount that hangs: nobody can wait for that
            await pool.supervise(lambda: asyncio.shield(asyncio.wrap_future(closed)))

    async def remove(self, upload: Upload) -> None:
        """Forget an upload and give its space back; release() is still called."""
        await run_on_mount(
            upload.landing, partial(_remove, upload.landing, upload.session.upload_id)
        )

    async def forget(self, session: Session) -> None:
        """Forget an upload that is done."""
        landing = await self._landing_of(session.upload_id)
        await run_on_mount(landing, partial(_remove, landing, session.upload_id))

    async def note(self, session: Session) -> None:
        """Write down something else about an upload that is done or that the caller has."""
        landing = await self._landing_of(session.upload_id)

        def write() -> None:
            with landing.found_staging() as folder_fd:
                write_session(folder_fd, session)

        await run_on_mount(landing, write)

    async def sweep(self, now: float, expires_seconds: float) -> int:
        """Remove what expired and what a kill left, on mounts that answer; returns how many."""
        count = 0
        for prefix in self._writing.mount_points():
            with suppress(StorageError):  # a mount that does not answer keeps it until next time
                landing = await self._writing.land_at_top(prefix)
                count += await run_on_mount(landing, partial(_sweep, landing, now, expires_seconds))
        return count

    async def _recovered(self, landing: Landing, session: Session) -> Session:
        """What an open upload without bytes is: published before a kill, or lost."""
        if await self._is_published(session):
            done = replace(session, state=State.DONE, trusted=None)
            with suppress(NoSpace):
                await self.note(done)
            return done
        await run_on_mount(landing, partial(_remove, landing, session.upload_id))
        raise NotFound(f"upload {session.upload_id} was lost")

    async def _is_published(self, session: Session) -> bool:
        if session.target is None:
            return False
        try:
            state = await self._writing.state_of(session.target)
        except Unavailable:
            raise
        except StorageError:  # a folder or a link has the name now
            return False
        if state is None:
            return False
        return (state.inode, state.size) == (session.inode, session.length)

    async def _landing_of(self, upload_id: str) -> Landing:
        for prefix in self._writing.mount_points():
            if lies_at(upload_id, prefix):
                return await self._writing.land_at_top(prefix)
        raise NotFound(f"there is no upload {upload_id}")

    def _remember(self, upload_id: str, digest: UploadDigest) -> None:
        self._digests[upload_id] = digest
        self._digests.move_to_end(upload_id)
        if len(self._digests) > _MAX_DIGESTS:
            self._digests.popitem(last=False)


def _discard(found: OpenUpload | Session) -> None:
    if isinstance(found, OpenUpload):
        found.close()


def _remove(landing: Landing, upload_id: str) -> None:
    with landing.found_staging() as folder_fd:
        remove_session(folder_fd, upload_id)


def _touch(landing: Landing, upload_id: str) -> None:
    with landing.found_staging() as folder_fd:
        touch(folder_fd, upload_id)


def _sweep(landing: Landing, now: float, expires_seconds: float) -> int:
    with landing.found_staging() as folder_fd:
        return sweep_uploads(folder_fd, now, expires_seconds)
