"""Sweeps uploads: removes those with which nobody goes on, and what kills left of others."""

import contextlib
import os

from storage.errors import NotFound
from storage.staging import is_left
from storage.upload_bytes import open_bytes
from storage.upload_sessions import RECORD_SUFFIX, files_of, remove_session, upload_of_file

# A client that lost the last answer comes back soon, or never.
DONE_SECONDS = 86_400


def sweep_uploads(folder_fd: int, now: float, expires_seconds: float) -> int:
    """Remove uploads that nobody touched for so long, and bytes without a record; how many.

    now: in seconds since 1970.  What somebody writes to stays.
    """
    names = {upload_of_file(name) for name in os.listdir(folder_fd)}
    ids = (upload_id for upload_id in names if upload_id is not None)
    return sum(_sweep_one(folder_fd, upload_id, now, expires_seconds) for upload_id in ids)


def _sweep_one(folder_fd: int, upload_id: str, now: float, expires_seconds: float) -> bool:
    if not _is_due(folder_fd, upload_id, now, expires_seconds):
        return False
    with contextlib.ExitStack() as stack:
        # An upload that is done has no bytes to lock.
        with contextlib.suppress(NotFound):
            fd = open_bytes(folder_fd, upload_id)
            stack.callback(os.close, fd)
            # Somebody may have begun it, or gone on with it, since it was looked at.
            if not is_left(fd) or not _is_due(folder_fd, upload_id, now, expires_seconds):
                return False
        remove_session(folder_fd, upload_id)
    return True


def _is_due(folder_fd: int, upload_id: str, now: float, expires_seconds: float) -> bool:
    touched = files_of(folder_fd, upload_id)
    if RECORD_SUFFIX not in touched:
        # Bytes without a record: a kill came between the two.
        return True
    has_bytes = "" in touched
    patience = expires_seconds if has_bytes else min(expires_seconds, DONE_SECONDS)
    return max(touched.values()) < now - patience
