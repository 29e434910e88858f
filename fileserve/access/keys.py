"""The secret keys with which links and sessions are signed: a small file in the state folder.

One key a line, the oldest first:

    link     3f9a1c02  <64 hexadecimal digits>  1790000000
    session  77b0e4d1  <64 hexadecimal digits>  1790000000

The newest key of a kind signs; all of them verify.  It is a file of its own, so that a lost
catalog does not end a link.
"""

import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from storage.errors import NotFound, StorageError
from storage.private_files import replace_for_owner

KEYS_FILE = "keys"
_SECRET_BYTES = 32
_ID_BYTES = 4
_LINE = re.compile(r"(link|session)\s+([0-9a-f]{4,32})\s+([0-9a-f]{64})\s+([0-9]{1,12})")
_HEAD = "# The keys of fileserve: whoever has them can make links and sessions. Keep them secret.\n"


class KeysUnreadable(StorageError):  # noqa: N818 - an outcome, like all StorageErrors
    """The key file is there, but it cannot be read or is no key file."""


class Purpose(Enum):
    """What a key signs."""

    LINK = "link"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Key:
    """A key, its public id, and when it was made, in seconds since 1970."""

    purpose: Purpose
    key_id: str
    secret: bytes
    made_at: int

    def __repr__(self) -> str:
        # A traceback or a log line must not show the secret.
        return f"Key({self.purpose.value} {self.key_id})"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of a state folder, the oldest first."""

    keys: tuple[Key, ...] = ()

    def all_for(self, purpose: Purpose) -> Mapping[str, bytes]:
        """The secrets that verify, by key id."""
        return {key.key_id: key.secret for key in self.keys if key.purpose is purpose}

    def signing(self, purpose: Purpose) -> Key | None:
        """The key that signs: the newest; None where there is none yet."""
        return next((key for key in reversed(self.keys) if key.purpose is purpose), None)


def read_keys(state_folder: Path) -> KeyRing:
    """The keys of a state folder; an empty ring where none was ever made.

    Raises KeysUnreadable.
    """
    path = state_folder / KEYS_FILE
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return KeyRing()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnreadable(f"the key file {path} cannot be read ({error})") from error
    return KeyRing(tuple(_parse_lines(text, path)))


def signing_key(state_folder: Path, purpose: Purpose) -> Key:
    """The key that signs; made, and kept in the file, when there is none yet.

    state_folder exists.  Raises KeysUnreadable, and OSError when it cannot be written.
    """
    found = read_keys(state_folder).signing(purpose)
    if found is not None:
        return found

    def with_one(ring: KeyRing) -> KeyRing:
        # Another process may have been faster.
        return ring if ring.signing(purpose) else KeyRing((*ring.keys, _new_key(purpose)))

    made = _changed(state_folder, with_one).signing(purpose)
    assert made is not None, "a ring that was given a key has one"
    return made


def rotate_key(state_folder: Path, purpose: Purpose) -> Key:
    """A new key that signs from now on; what older ones signed goes on being genuine."""
    key = _new_key(purpose)
    _changed(state_folder, lambda ring: KeyRing((*ring.keys, key)))
    return key


def remove_key(state_folder: Path, purpose: Purpose, key_id: str) -> None:
    """Forget a key: nothing that it signed is genuine any more.

    Raises NotFound for an id that no key of that purpose has.
    """

    def without(ring: KeyRing) -> KeyRing:
        if key_id not in ring.all_for(purpose):
            raise NotFound(f"there is no {purpose.value} key {key_id}")
        kept = (key for key in ring.keys if (key.purpose, key.key_id) != (purpose, key_id))
        return KeyRing(tuple(kept))

    _changed(state_folder, without)


def _new_key(purpose: Purpose) -> Key:
    key_id = secrets.token_hex(_ID_BYTES)
    return Key(purpose, key_id, secrets.token_bytes(_SECRET_BYTES), int(time.time()))


def _parse_lines(text: str, path: Path) -> Iterator[Key]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise KeysUnreadable(f"line {number} of the key file {path} is not a key")
        kind, key_id, secret, made_at = match.groups()
        yield Key(Purpose(kind), key_id, bytes.fromhex(secret), int(made_at))


def _changed(state_folder: Path, change: Callable[[KeyRing], KeyRing]) -> KeyRing:
    """Change the file as one step, while no other process does; the ring that it holds now."""
    with _locked(state_folder):
        ring = change(read_keys(state_folder))
        lines = (
            f"{key.purpose.value} {key.key_id} {key.secret.hex()} {key.made_at}\n"
            for key in ring.keys
        )
        content = (_HEAD + "".join(lines)).encode("ascii")
        replace_for_owner(os.fspath(state_folder / KEYS_FILE), content)
    return ring


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
