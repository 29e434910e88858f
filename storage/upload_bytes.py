"""The bytes of one upload, open for one writer at a time.

A lock (flock) keeps a second writer out, also one in another process, and ends with the process
that held it.  Every function blocks: they are for threads.
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from storage.copying import read_pieces
from storage.digests import Buffer, Digester, Digests
from storage.errors import Busy, NotFound
from storage.upload_sessions import Session, State, read_session, write_session

# While bytes come in, those that were not hashed since the start of the process are caught up
# with, some at each step, so that the end of a long upload does not wait for all of them.
_CATCH_UP_BYTES = 8 << 20


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
        for piece in read_pieces(fd, self.hashed):
            self.add(piece[: max(stop - self.hashed, 0)])
            if self.hashed >= stop:
                return

    def digests(self) -> Digests:
        """Of all bytes so far."""
        return self._digester.digests()


class OpenUpload:
    """An upload that takes bytes: locked until close(), which whoever has it must call."""

    def __init__(
        self, folder_fd: int, fd: int, session: Session, digest: UploadDigest | None
    ) -> None:
        self.session = session
        self.fd = fd
        self.offset = os.fstat(fd).st_size
        self._folder_fd = folder_fd
        fits = digest is not None and digest.hashed <= self.offset
        self.digest = digest if digest is not None and fits else UploadDigest()

    @classmethod
    def create(cls, folder_fd: int, session: Session) -> Self:
        """Begin a session; it is written down, durably, when this returns."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(session.upload_id, flags, 0o666, dir_fd=folder_fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            session = replace(session, inode=os.fstat(fd).st_ino)
            write_session(folder_fd, session)
        except BaseException:
            os.close(fd)
            os.unlink(session.upload_id, dir_fd=folder_fd)
            raise
        return cls(folder_fd, fd, session, None)

    @classmethod
    def open(cls, folder_fd: int, upload_id: str, digest: UploadDigest | None) -> Self:
        """Go on with a session that is open; digest: what is known of its first bytes.

        Raises NotFound where there are no bytes of it (a session that is done has none), and
        Busy while another has it.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(upload_id, flags, dir_fd=folder_fd)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                raise NotFound(f"upload {upload_id} has no bytes here") from error
            raise
        try:
            _lock(fd, upload_id)
            # What was read before the lock was held may have been somebody's last word.
            session = read_session(folder_fd, upload_id)
            if session.state is State.DONE or os.fstat(fd).st_nlink == 0:
                raise NotFound(f"upload {upload_id} is complete")
            upload = cls(folder_fd, fd, session, digest)
            upload._drop_unverified()
            os.fdatasync(fd)
        except BaseException:
            os.close(fd)
            raise
        return upload

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there."""
        return self.offset == self.session.length

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Write all buffers behind what is there; raises OSError, and what was written stays."""
        for buffer in buffers:
            self._write(memoryview(buffer))
            if self.digest.hashed == self.offset - len(buffer):
                self.digest.add(buffer)
        if self.digest.hashed < self.offset:
            self.digest.catch_up(self.fd, min(self.offset, self.digest.hashed + _CATCH_UP_BYTES))

    def sync(self) -> None:
        """All bytes so far are on the disk when this returns, and count after any crash."""
        os.fdatasync(self.fd)
        if self.session.trusted is not None:
            self._note(replace(self.session, trusted=None))

    def set_length(self, length: int) -> None:
        """Note the length that was deferred."""
        self._note(replace(self.session, length=length))

    def distrust_what_comes(self) -> None:
        """Let no byte from here on survive a crash before sync(): it has yet to be verified."""
        self._note(replace(self.session, trusted=self.offset))

    def cut_back(self, offset: int) -> None:
        """Forget all bytes from offset on."""
        os.ftruncate(self.fd, offset)
        self.offset = offset
        if self.digest.hashed > offset:
            self.digest = UploadDigest()
        self.sync()

    def whole_digests(self) -> Digests:
        """The digests of all bytes; reads those that were not hashed as they came."""
        self.digest.catch_up(self.fd, self.offset)
        return self.digest.digests()

    def close(self) -> None:
        """Let the next writer in."""
        os.close(self.fd)

    def _write(self, rest: memoryview) -> None:
        while rest:
            written = os.pwrite(self.fd, rest, self.offset)
            self.offset += written
            rest = rest[written:]

    def _note(self, session: Session) -> None:
        write_session(self._folder_fd, session)
        self.session = session

    def _drop_unverified(self) -> None:
        trusted = self.session.trusted
        if trusted is not None and trusted < self.offset:
            self.cut_back(trusted)


def _lock(fd: int, upload_id: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(f"upload {upload_id} is being written to") from error
