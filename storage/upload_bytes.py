"""The bytes of one upload, open for one writer at a time.

A lock (flock) keeps a second writer out, also one in another process, and ends with the process
that held it.  Every method blocks: they are for threads.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from storage.atomic import NEW_FILE_MODE
from storage.blob import Fingerprint
from storage.copying import read_pieces
from storage.digests import Buffer, Digester, Digests
from storage.errors import Busy, NotFound
from storage.landing import Claim, Landing
from storage.staging import create_part, hold
from storage.upload_sessions import (
    Session,
    State,
    noted_at,
    read_session,
    remove_session,
    touch,
    write_session,
)

# While bytes come in, those that were not hashed since the start of the process are caught up
# with, some at each step, so that the end of a long upload does not wait for all of them.
_CATCH_UP_BYTES = 8 << 20
# So much is hashed or copied in one go: long enough to cost nothing, short enough for others.
STEP_BYTES = 64 << 20


class UploadDigest:
    """The digest of an upload's first `hashed` bytes; the rest is read when it is needed."""

    def __init__(self) -> None:
        self.hashed = 0
        self._digester = Digester()

    def add(self, buffer: Buffer) -> None:
        """Take the bytes that follow."""
        self._digester.update(buffer)
        self.hashed += memoryview(buffer).nbytes

    def catch_up(self, fd: int, stop: int) -> None:
        """Read on up to byte stop."""
        if self.hashed >= stop:
            return
        for piece in read_pieces(fd, self.hashed):
            self.add(piece[: stop - self.hashed])
            if self.hashed == stop:
                return

    def digests(self) -> Digests:
        """Of all bytes so far."""
        return self._digester.digests()


class OpenUpload:
    """An upload that takes bytes: locked until close(), which whoever has it must call.

    close() may be called at any time, also while another thread is in a call: it waits for it.
    """

    def __init__(
        self, folder_fd: int, fd: int, session: Session, digest: UploadDigest | None
    ) -> None:
        """Takes ownership of fd; folder_fd, where it lies, stays the caller's."""
        try:
            self.offset = os.fstat(fd).st_size
            self._noted_at = noted_at(folder_fd, session.upload_id)
            self._folder_fd = os.dup(folder_fd)
        except OSError:
            # The lock on it would keep everybody out.
            os.close(fd)
            raise
        self.session = session
        self._fd = fd
        # One thread at a time: a request that was given up may have left one in a call.
        self._lock = threading.RLock()
        fits = digest is not None and digest.hashed <= self.offset
        self.digest = digest if digest is not None and fits else UploadDigest()

    @classmethod
    def create(cls, folder_fd: int, session: Session) -> Self:
        """Begin a session; it is written down, durably, when this returns."""
        # Locked before it has its name: sweepers believe that bytes without a record were lost.
        fd, part = create_part(folder_fd, NEW_FILE_MODE)
        try:
            os.rename(part, session.upload_id, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
            session = replace(session, inode=os.fstat(fd).st_ino)
            write_session(folder_fd, session)
        except BaseException:
            remove_session(folder_fd, session.upload_id)
            os.close(fd)
            raise
        return cls(folder_fd, fd, session, None)

    @classmethod
    def open(cls, folder_fd: int, upload_id: str, digest: UploadDigest | None = None) -> Self:
        """Go on with a session that is open; digest: what is known of its first bytes.

        Raises NotFound where there are no bytes of it (a session that is done has none), and
        Busy while another has it.
        """
        fd = open_bytes(folder_fd, upload_id)
        try:
            if not hold(fd):
                raise _busy(upload_id)
            # What was read before the lock was held may have been somebody's last word.
            session = read_session(folder_fd, upload_id)
            if session.state is State.DONE or os.fstat(fd).st_nlink == 0:
                raise NotFound(f"upload {upload_id} has no bytes any more")
            touch(folder_fd, upload_id)
        except BaseException:
            os.close(fd)
            raise
        upload = cls(folder_fd, fd, session, digest)
        try:
            upload._drop_unverified()
            os.fdatasync(fd)
        except BaseException:
            upload.close()
            raise
        return upload

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there."""
        return self.offset == self.session.length

    @property
    def is_hashed(self) -> bool:
        """Whether the digest is of all bytes."""
        return self.digest.hashed == self.offset

    def fileno(self) -> int:
        """The descriptor of the bytes; raises ValueError after close()."""
        if self._fd < 0:
            raise ValueError("the upload was closed")
        return self._fd

    @contextmanager
    def held(self) -> Iterator[None]:
        """Several calls of this thread, with none of another one in between."""
        with self._lock:
            yield

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Write all buffers behind what is there; raises OSError, and what was written stays."""
        with self._lock:
            for buffer in buffers:
                self._write(memoryview(buffer))
                if self.digest.hashed == self.offset - len(buffer):
                    self.digest.add(buffer)
            self._catch_up(_CATCH_UP_BYTES)

    def sync(self) -> None:
        """All bytes so far are on the disk when this returns, and count after any crash."""
        with self._lock:
            self._sync()

    def set_length(self, length: int | None, announced: int | None = None) -> None:
        """Note with how many bytes it is whole, and what was announced (see Session)."""
        with self._lock:
            self._note(replace(self.session, length=length, announced=announced))

    def distrust_what_comes(self) -> None:
        """Let no byte from here on survive a crash before sync(): it has yet to be verified."""
        with self._lock:
            self._note(replace(self.session, trusted=self.offset))

    def cut_back(self, offset: int) -> None:
        """Forget all bytes from offset on."""
        with self._lock:
            self._cut_back(offset)

    def hash_more(self) -> bool:
        """Hash some of the bytes that were not hashed as they came; False when all are."""
        with self._lock:
            self._catch_up(STEP_BYTES)
            return not self.is_hashed

    def is_wanted(self) -> bool:
        """Whether somebody else asked for it meanwhile (touch)."""
        with self._lock:
            self.fileno()
            return noted_at(self._folder_fd, self.session.upload_id) != self._noted_at

    def join_into(self, upload_id: str) -> None:
        """Note the upload that takes these bytes, before it does."""
        with self._lock:
            self._note(replace(self.session, joined_into=upload_id))

    def drop(self) -> None:
        """Give the space back; the record stays, as of an upload that is done."""
        with self._lock:
            # Before the note, which may need the room.
            os.ftruncate(self.fileno(), 0)
            self._note(replace(self.session, state=State.DONE))
            os.unlink(self.session.upload_id, dir_fd=self._folder_fd)

    def copy_from(self, part: "OpenUpload", start: int) -> int:
        """Append some of part's bytes from start on; returns how many, 0 at its end."""
        with self._lock, part._lock:
            copied = 0
            for piece in read_pieces(part.fileno(), start):
                self._write(piece)
                if self.digest.hashed == self.offset - len(piece):
                    self.digest.add(piece)
                copied += len(piece)
                if copied >= STEP_BYTES:
                    break
            return copied

    def publish(self, landing: Landing, claim: Claim) -> Fingerprint:
        """Give the bytes their name, durably, and note that; returns the file's state.

        Raises AlreadyExists, Changed and others: then all is as it was.
        """
        with self._lock:
            staged = os.fsencode(self.session.upload_id)
            state = landing.publish(self.fileno(), staged, claim)
            done = replace(self.session, state=State.DONE, trusted=None)
            # The file is there.  Where a full disk has no room for the note, resume() finds it.
            with contextlib.suppress(OSError):
                self._note(done)
            self.session = done
            return state

    def close(self) -> None:
        """Let the next writer in."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)
                os.close(self._folder_fd)

    def _write(self, rest: memoryview) -> None:
        while rest:
            written = os.pwrite(self.fileno(), rest, self.offset)
            self.offset += written
            rest = rest[written:]

    def _catch_up(self, limit: int) -> None:
        if not self.is_hashed:
            stop = min(self.offset, self.digest.hashed + limit)
            self.digest.catch_up(self.fileno(), stop)

    def _sync(self) -> None:
        os.fdatasync(self.fileno())
        if self.session.trusted is not None:
            self._note(replace(self.session, trusted=None))

    def _cut_back(self, offset: int) -> None:
        os.ftruncate(self.fileno(), offset)
        self.offset = offset
        if self.digest.hashed > offset:
            self.digest = UploadDigest()
        self._sync()

    def _note(self, session: Session) -> None:
        self.fileno()
        write_session(self._folder_fd, session)
        self._noted_at = noted_at(self._folder_fd, session.upload_id)
        self.session = session

    def _drop_unverified(self) -> None:
        trusted = self.session.trusted
        if trusted is not None and trusted < self.offset:
            self._cut_back(trusted)


def open_bytes(folder_fd: int, upload_id: str) -> int:
    """A descriptor of an upload's bytes; raises NotFound where there are none."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(upload_id, flags, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise NotFound(f"upload {upload_id} has no bytes here") from error
        raise


def _busy(upload_id: str) -> Busy:
    return Busy(f"upload {upload_id} is being written to")
