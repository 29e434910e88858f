"""The keys of one purpose as a running server knows them: at most a second behind the file."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from fileserve.access.keys import KEYS_FILE, KeysUnreadable, Purpose, read_keys
from storage.errors import Unavailable
from storage.executor import DaemonExecutor

_log = logging.getLogger("fileserve.access")
_HOLDS_SECONDS = 1.0
_READ_SECONDS = 2.0
_FileState = tuple[int, int, int]


class KnownKeys:
    """The keys that verify what has that purpose, by id, the newest last; none where none was made.

    state_folder None: this server has no place for keys.
    """

    def __init__(self, state_folder: Path | None, purpose: Purpose) -> None:
        self._folder = state_folder
        self._purpose = purpose
        self._executor = DaemonExecutor("keys", 1)
        self._keys: Mapping[str, bytes] = {}
        self._state: _FileState | None = None
        self._read_at = float("-inf")
        self._is_well = True
        self._reading: asyncio.Task[None] | None = None

    async def current(self) -> Mapping[str, bytes]:
        """The keys that the file holds now; those of before where it cannot be read."""
        if self._folder is None or time.monotonic() - self._read_at < _HOLDS_SECONDS:
            return self._keys
        if self._reading is None:
            self._reading = asyncio.create_task(self._renew(self._folder))
        await asyncio.shield(self._reading)
        return self._keys

    async def _renew(self, folder: Path) -> None:
        try:
            waiting = self._executor.submit(_read_if_changed, folder, self._purpose, self._state)
            found = await asyncio.wait_for(asyncio.wrap_future(waiting), _READ_SECONDS)
            if found is not None:
                self._state, self._keys = found
            self._is_well = True
        except (KeysUnreadable, Unavailable, OSError) as error:
            if self._is_well:
                what = f"{self._purpose.value}s"
                _log.error("%s; %s are judged by the keys of before", error, what)
            self._is_well = False
        finally:
            self._read_at = time.monotonic()
            self._reading = None


def _read_if_changed(
    folder: Path, purpose: Purpose, known: _FileState | None
) -> tuple[_FileState, Mapping[str, bytes]] | None:
    """The state of the file and the keys in it; None where that state is known."""
    state = _state_of(folder / KEYS_FILE)
    return None if state == known else (state, read_keys(folder).all_for(purpose))


def _state_of(path: Path) -> _FileState:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return 0, 0, 0
    return status.st_ino, status.st_mtime_ns, status.st_size
