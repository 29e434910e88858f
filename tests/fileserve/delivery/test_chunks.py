"""How a body is read in chunks: long ones for few transfers, short ones for many."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

import pytest

from fileserve.delivery.body import Body, Slice, body_of
from fileserve.delivery.chunked import CHUNK_BYTES, LONG_CHUNK_BYTES, chunks

MIB = 1 << 20


class Zeros:
    """A file of as many zeros as are asked for."""

    zero_copy = False

    def fileno(self) -> int:
        raise NotImplementedError

    async def read(self, offset: int, length: int) -> bytes:
        await asyncio.sleep(0)
        return bytes(length)


BODY = body_of([Slice(Zeros(), 5, 5 + 4 * MIB + 1)])


async def lengths(body: Body, others: int) -> list[int]:
    """The lengths of the chunks of body, while so many other transfers run."""
    async with AsyncExitStack() as stack:
        for _ in range(others):
            other: AsyncGenerator[bytes, None] = chunks(BODY)
            await stack.enter_async_context(aclosing(other))
            await anext(other)
        return [len(chunk) async for chunk in chunks(body)]


FEW_AND_MANY = [
    # others  longest              id
    (0,       LONG_CHUNK_BYTES,    "alone"),
    (1,       LONG_CHUNK_BYTES,    "two"),
    (3,       640 << 10,           "four"),
    (7,       320 << 10,           "eight"),
    (9,       CHUNK_BYTES,         "ten"),
    (63,      CHUNK_BYTES,         "sixty-four"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("others", "longest"), [row[:2] for row in FEW_AND_MANY], ids=[row[2] for row in FEW_AND_MANY]
)
def test_all_transfers_together_hold_no_more_for_being_few(others: int, longest: int) -> None:
    found = asyncio.run(lengths(BODY, others))
    assert (sum(found), max(found)) == (4 * MIB + 1, longest)


def test_transfers_that_have_ended_count_no_more() -> None:
    async def after_many() -> list[int]:
        await lengths(BODY, 20)
        return await lengths(BODY, 0)

    assert max(asyncio.run(after_many())) == LONG_CHUNK_BYTES
