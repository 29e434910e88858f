"""One timer for all connections: none of them can end it, and a loop that stood still waits."""

import asyncio
import time

from uvicorn.server import ServerState

from fileserve.delivery.sweeper import sweeper_of


class Connection:
    """Counts the looks at it."""

    def __init__(self, *, is_faulty: bool = False) -> None:
        self.looks = 0
        self.aborts = 0
        self._is_faulty = is_faulty

    def look(self, now: float) -> None:
        self.looks += 1
        if self._is_faulty:
            raise RuntimeError("a fault")

    def abort(self) -> None:
        self.aborts += 1


async def looked_at(*connections: Connection, times: int) -> None:
    loop = asyncio.get_running_loop()
    sweeper = sweeper_of(ServerState(), loop)
    for connection in connections:
        sweeper.add(connection, 0.001)
    async with asyncio.timeout(30):
        while connections[-1].looks < times:
            await asyncio.sleep(0.001)
    for connection in connections:
        sweeper.discard(connection)


def test_a_faulty_connection_is_cut_and_the_others_are_looked_at() -> None:
    faulty, sound = Connection(is_faulty=True), Connection()
    asyncio.run(looked_at(faulty, sound, times=3))
    assert (faulty.looks, faulty.aborts) == (1, 1)
    assert (sound.looks >= 3, sound.aborts) == (True, 0)


def test_after_a_standstill_the_loop_reads_before_it_judges() -> None:
    async def looks_before_what_waited() -> int:
        connection, loop = Connection(), asyncio.get_running_loop()
        sweeper_of(ServerState(), loop).add(connection, 0.01)
        time.sleep(0.1)
        # What came meanwhile is read in the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)
        looks = connection.looks
        async with asyncio.timeout(30):
            while not connection.looks:
                await asyncio.sleep(0.001)
        return looks

    assert asyncio.run(looks_before_what_waited()) == 0


def test_a_loop_that_is_always_late_judges_all_the_same() -> None:
    async def looked_at_in_the_end() -> None:
        connection, loop = Connection(), asyncio.get_running_loop()
        sweeper_of(ServerState(), loop).add(connection, 0.001)
        async with asyncio.timeout(30):
            while not connection.looks:
                time.sleep(0.01)
                await asyncio.sleep(0)

    asyncio.run(looked_at_in_the_end())


def test_a_server_has_one_sweeper() -> None:
    async def both() -> bool:
        state, loop = ServerState(), asyncio.get_running_loop()
        return sweeper_of(state, loop) is sweeper_of(state, loop)

    assert asyncio.run(both())
