"""Plans of archives: a folder is walked for each request, once for all that wait meanwhile.

A finished plan is never used for a later request, since nothing could prove it still true that
costs less than walking again.  A request that joins a walk gets a state no older than that walk;
what the walk saw of a file is proven again when its bytes are sent (see archive_body).
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakKeyDictionary, WeakValueDictionary

from fileserve.archives import tar_layout, zip_layout
from fileserve.archives.layout import Layout
from fileserve.archives.members import MemberTable
from fileserve.archives.sums import KnownSums
from storage.errors import Unavailable
from storage.local import LocalStorage
from storage.names import Name

# What the page and the file name of an archive call the root folder, which has no name.
ROOT_TOP = b"Files"
# Each costs 150 bytes and its name while the archive is sent.
MAX_MEMBERS = 2_000_000
# Of all archives that are being sent: of different folders, or of one that changed in between.
_MAX_MEMBERS_ALIVE = 4_000_000
_RETRY_AFTER_SECONDS = 60
_WALKS_AT_ONCE = 2
# About 0.3 ms: as long as other transfers wait for the event loop, however many walks there are.
_MEMBERS_PER_TURN = 25
_laying_out: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of archive; version: of its bytes; has_sums: it tells the CRC-32 of members."""

    suffix: str
    media_type: str
    version: int
    has_sums: bool
    layout: Callable[[MemberTable], Layout]


FORMS = {
    form.suffix: form
    for form in (
        Form("zip", zip_layout.MEDIA_TYPE, zip_layout.FORMAT_VERSION, True, zip_layout.ZipLayout),
        Form("tar", tar_layout.MEDIA_TYPE, tar_layout.FORMAT_VERSION, False, tar_layout.TarLayout),
    )
}


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How large an archive may be: its files and folders, and their bytes; None: no limit."""

    members: int | None = None
    bytes: int | None = None


class ArchiveTooLarge(Exception):  # noqa: N818 - a refusal, not an error
    """A folder beyond the limits; str() is a sentence for the client."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class ArchivePlan:
    """A folder as an archive, in the state in which it was seen; name: the folder's."""

    name: Name
    form: Form
    table: MemberTable
    layout: Layout
    known_sums: KnownSums = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known_sums", KnownSums(len(self.table)))

    @property
    def file_name(self) -> bytes:
        """What the archive is called where it is saved."""
        return top_of(self.name) + b"." + self.form.suffix.encode("ascii")

    @property
    def opaque_tag(self) -> str:
        """What a strong entity tag consists of: it differs when a byte of the archive does."""
        digest = self.table.digest.hex()[:32]
        return f"{self.form.suffix}{self.form.version}-{digest}"

    def member_name(self, index: int) -> Name:
        """The name of a member's file."""
        return Name((*self.name.segments, *self.table.path(index)))


def top_of(name: Name) -> bytes:
    """The name of the folder that an archive is unpacked into."""
    return name.last or ROOT_TOP


_Key = tuple[tuple[bytes, ...], str, ArchiveLimits]


@dataclass(slots=True)
class _Walk:
    """A walk under way, and how many requests wait for it."""

    task: asyncio.Task[ArchivePlan]
    waiting: int = 0


class Planner:
    """Makes the plans of one storage; for its event loop."""

    def __init__(self, max_members_alive: int = _MAX_MEMBERS_ALIVE) -> None:
        self._max_members_alive = max_members_alive
        self._walks: dict[_Key, _Walk] = {}
        self._turns = asyncio.Semaphore(_WALKS_AT_ONCE)
        # Eight connections of one client have one plan in memory, not eight equal ones.
        self._alive: WeakValueDictionary[tuple[tuple[bytes, ...], str], ArchivePlan]
        self._alive = WeakValueDictionary()

    async def plan(
        self, storage: LocalStorage, name: Name, form: Form, limits: ArchiveLimits
    ) -> ArchivePlan:
        """The folder name as an archive.  Raises StorageErrors and ArchiveTooLarge.

        The walk goes on as long as one of those who asked for it waits.
        """
        key = (name.segments, form.suffix, limits)
        walk = self._walks.get(key)
        if walk is None:
            task = asyncio.create_task(self._make(storage, name, form, limits))
            walk = self._walks[key] = _Walk(task)
            task.add_done_callback(partial(self._ended, key, walk))
        walk.waiting += 1
        try:
            return await asyncio.shield(walk.task)
        finally:
            walk.waiting -= 1
            if not walk.waiting:
                self._forget(key, walk)
                walk.task.cancel()

    def _ended(self, key: _Key, walk: _Walk, task: asyncio.Task[ArchivePlan]) -> None:
        # At once: whoever comes now must not get a plan that was finished before.
        self._forget(key, walk)
        if not task.cancelled():
            task.exception()  # whoever waited has it; all may be gone

    def _forget(self, key: _Key, walk: _Walk) -> None:
        if self._walks.get(key) is walk:
            del self._walks[key]

    async def _make(
        self, storage: LocalStorage, name: Name, form: Form, limits: ArchiveLimits
    ) -> ArchivePlan:
        async with self._turns:
            self._refuse_when_full()
            plan = await lay_out(storage, name, form, limits)
        return self._alive.setdefault((name.segments, plan.opaque_tag), plan)

    def _refuse_when_full(self) -> None:
        if sum(len(plan.table) for plan in self._alive.values()) >= self._max_members_alive:
            sentence = "Too many large archives are being downloaded; try again in a while."
            raise Unavailable(sentence, _RETRY_AFTER_SECONDS)


async def lay_out(
    storage: LocalStorage, name: Name, form: Form, limits: ArchiveLimits
) -> ArchivePlan:
    """Walk the folder and lay out what is there."""
    table = MemberTable(top_of(name))
    layout = form.layout(table)
    turn = _laying_out.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with aclosing(storage.walk(name)) as batches:
        async for batch in batches:
            for start in range(0, len(batch), _MEMBERS_PER_TURN):
                async with turn:
                    for entry in batch[start : start + _MEMBERS_PER_TURN]:
                        layout.add(table.add(entry))
                    await asyncio.sleep(0)
            _refuse_too_large(table, limits)
    layout.close(table.digest)
    return ArchivePlan(name, form, table, layout)


def _refuse_too_large(table: MemberTable, limits: ArchiveLimits) -> None:
    most = MAX_MEMBERS if limits.members is None else min(limits.members, MAX_MEMBERS)
    if len(table) > most:
        raise ArchiveTooLarge(
            f"The folder has more than {most:,} files and folders, too many for one archive."
            " Download its folders one by one."
        )
    if limits.bytes is not None and table.size > limits.bytes:
        raise ArchiveTooLarge(
            f"The folder has more than {limits.bytes:,} bytes, too many for one archive."
            " Download its files one by one."
        )
