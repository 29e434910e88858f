"""Lists a folder and all folders below it, one after the other, in bounded memory.

What is kept of each folder on the way down is the names of the folders in it.  A folder that may
not be read, or whose mount does not answer, is told of and does not end the rest.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from storage.errors import NameRefused, NotAFolder, NotFound, StorageError
from storage.folders import Entry, Folder, View, list_folder
from storage.names import Name
from storage.ordering import unpacked


@dataclass(frozen=True, slots=True)
class Part:
    """Some entries of one folder; trouble: why the others are missing, if they are."""

    folder: Name
    entries: Sequence[Entry]
    trouble: StorageError | None = None


# A folder on the way down, and the names of the folders in it that are still to be listed.
_Level = tuple[Name, Iterator[bytes]]


async def descend(
    open_folder: Callable[[Name], Awaitable[Folder]], top: Name, view: View
) -> AsyncGenerator[Part, None]:
    """The entries of top, then those of each folder in it with all that is below.

    Links to folders are listed and not descended into; folders that vanish meanwhile are left
    out.  The first part comes as soon as the names in top are known, and may be empty.  Raises
    the StorageErrors of top itself.
    """
    levels: list[_Level] = []
    name: Name | None = top
    while name is not None:
        try:
            folder = await open_folder(name)
            async with aclosing(list_folder(folder, view, name.display)) as batches:
                async for entries in batches:
                    yield Part(name, entries)
            levels.append((name, unpacked(folder.subfolders)))
        except StorageError as error:
            if name is top:
                raise
            if not isinstance(error, NotFound | NotAFolder):
                yield Part(name, [], error)
        else:
            if name is top:
                yield Part(name, [])
        # A folder that may not be opened is known to be one without waiting for anything.
        await asyncio.sleep(0)
        name = _next_name(levels)


def _next_name(levels: list[_Level]) -> Name | None:
    while levels:
        above, segments = levels[-1]
        for segment in segments:
            # Too long, or in the root what no address can name.
            with suppress(NameRefused):
                return above.child(segment)
        levels.pop()
    return None
