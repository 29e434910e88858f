"""Upload sessions: what is written down of each unfinished upload, beside its bytes.

In the folder where uploads are staged, an upload is two files:

    ID        its bytes so far; how many there are is its offset
    ID.json   its Session

The bytes become the file by a rename, so that this state can be told after any crash: a session
that is open and has no bytes was either published (the target has their inode) or lost.  When
all is published, the session stays for a while as DONE: a client whose last answer was lost asks.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from enum import Enum

from storage.atomic import Existing, sync_folder
from storage.blob import Fingerprint
from storage.copying import write_all
from storage.errors import NameRefused, NotFound
from storage.names import Name, parse_request_path

RECORD_SUFFIX = ".json"
_NEW_SUFFIX = ".json.new"
_VERSION = 1
_RANDOM_BYTES = 13  # 104 bits, beside the 24 that tell mounts apart
# A record is two fields of a request as they came, and the ids of at most 1,000 parts.
_MAX_RECORD_BYTES = 1 << 18


class Kind(Enum):
    """What becomes of an upload when all its bytes are there."""

    FILE = "file"
    PART = "part"  # of a file that is joined of several


class State(Enum):
    """Whether an upload still takes bytes."""

    OPEN = "open"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Session:
    """One upload.

    target: what it becomes; None for a part.  length: with so many bytes it is whole; None is not
    known yet.  announced: the length that was told by who will still say when that is all.
    sha256: in hexadecimal, what the whole has to have; None: nobody told.
    metadata, concatenation: as the client wrote them.  owner: who began it, "" for nobody knows.
    inode: of its bytes.
    part_ids: the uploads it is joined of.  joined_into: the upload that took this part's bytes.
    trusted: only so many bytes count after a crash, those behind were not verified; None: all.
    existing, expected: what may have the target's name when it is given it; as storage.landing.
    """

    upload_id: str
    target: Name | None
    length: int | None
    owner: str
    kind: Kind = Kind.FILE
    state: State = State.OPEN
    metadata: str = ""
    concatenation: str = ""
    inode: int = 0
    part_ids: tuple[str, ...] = ()
    joined_into: str | None = None
    trusted: int | None = None
    existing: Existing = Existing.REFUSE
    expected: Fingerprint | None = None
    announced: int | None = None
    sha256: str | None = None


def new_upload_id(prefix: tuple[bytes, ...]) -> str:
    """An id for an upload to the mount at prefix: who was not told it finds no upload."""
    return _mount_mark(prefix) + secrets.token_hex(_RANDOM_BYTES)


def lies_at(upload_id: str, prefix: tuple[bytes, ...]) -> bool:
    """Whether an upload of this id would lie on the mount at prefix: others need not be asked."""
    return upload_id.startswith(_mount_mark(prefix))


def upload_of_file(segment: str) -> str | None:
    """The id of the upload to which a file among the staged ones belongs; None for none."""
    upload_id = segment[:32]
    is_id = len(upload_id) == 32 and not upload_id.strip("0123456789abcdef")
    known = ("", RECORD_SUFFIX, _NEW_SUFFIX)
    return upload_id if is_id and segment[32:] in known else None


def write_session(folder_fd: int, session: Session) -> None:
    """Write the session down, durably, in place of what was written of it before."""
    record, new = session.upload_id + RECORD_SUFFIX, session.upload_id + _NEW_SUFFIX
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(new, flags, 0o600, dir_fd=folder_fd)
    try:
        write_all(fd, memoryview(_to_json(session)))
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(new, record, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    sync_folder(folder_fd)


def read_session(folder_fd: int, upload_id: str) -> Session:
    """What is written of an upload; raises NotFound, also for a record that makes no sense."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(upload_id + RECORD_SUFFIX, flags, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise _unknown(upload_id) from error
        raise
    with open(fd, "rb") as record:
        text = record.read(_MAX_RECORD_BYTES)
    try:
        return _from_json(upload_id, text)
    except (ValueError, KeyError, TypeError, NameRefused) as error:
        raise _unknown(upload_id) from error


def remove_session(folder_fd: int, upload_id: str) -> None:
    """Forget an upload and give its space back; the record goes first, so that no crash leaves
    a record that promises bytes."""
    for segment in (upload_id + RECORD_SUFFIX, upload_id + _NEW_SUFFIX, upload_id):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(segment, dir_fd=folder_fd)


def touch(folder_fd: int, upload_id: str) -> None:
    """Keep an upload for longer; whoever writes to it, in whichever process, lets go of it."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(upload_id + RECORD_SUFFIX, dir_fd=folder_fd, follow_symlinks=False)


def noted_at(folder_fd: int, upload_id: str) -> int | None:
    """When a record was written or touched last, in nanoseconds; None where there is none."""
    try:
        record = os.stat(upload_id + RECORD_SUFFIX, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return record.st_mtime_ns


def files_of(folder_fd: int, upload_id: str) -> dict[str, float]:
    """When each file of an upload was written to or touched last, by what follows the id."""
    touched = {}
    for suffix in ("", RECORD_SUFFIX, _NEW_SUFFIX):
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(upload_id + suffix, dir_fd=folder_fd, follow_symlinks=False)
            touched[suffix] = status.st_mtime
    return touched


def _mount_mark(prefix: tuple[bytes, ...]) -> str:
    return hashlib.sha256(b"/".join(prefix)).hexdigest()[: 32 - 2 * _RANDOM_BYTES]


def _to_json(session: Session) -> bytes:
    target = None if session.target is None else session.target.url_path
    members = {
        "version": _VERSION,
        "target": target,
        "length": session.length,
        "owner": session.owner,
        "kind": session.kind.value,
        "state": session.state.value,
        "metadata": session.metadata,
        "concatenation": session.concatenation,
        "inode": session.inode,
        "part_ids": session.part_ids,
        "joined_into": session.joined_into,
        "trusted": session.trusted,
        "existing": session.existing.value,
        "expected": None if session.expected is None else list(session.expected),
        "announced": session.announced,
        "sha256": session.sha256,
    }
    return json.dumps(members).encode()


def _from_json(upload_id: str, text: bytes) -> Session:
    members = json.loads(text)
    if members["version"] != _VERSION:
        raise ValueError(f"a record of version {members['version']}")
    target, expected = members["target"], members["expected"]
    return Session(
        upload_id,
        None if target is None else parse_request_path(target.encode()).name,
        members["length"],
        members["owner"],
        Kind(members["kind"]),
        State(members["state"]),
        members["metadata"],
        members["concatenation"],
        members["inode"],
        tuple(members["part_ids"]),
        members["joined_into"],
        members["trusted"],
        Existing(members["existing"]),
        None if expected is None else Fingerprint(*expected),
        members["announced"],
        members["sha256"],
    )


def _unknown(upload_id: str) -> NotFound:
    return NotFound(f"there is no upload {upload_id}")
