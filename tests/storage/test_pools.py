"""Pools: deadlines, breakers, and threads that hold up nobody."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from storage.errors import Unavailable
from storage.executor import QUEUE_PER_THREAD
from storage.pools import BoundedPool, Breaker, call_within

WAIT_SECONDS = 30.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What stuck calls wait for; opened at the end of the test at the latest."""
    gate = threading.Event()
    yield gate
    gate.set()


def new_pool(deadline_seconds: float | None = 0.05, threads: int = 2) -> BoundedPool:
    return BoundedPool(
        "the disk", threads=threads, deadline_seconds=deadline_seconds, probe_pause_seconds=600.0
    )


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not is_true():
            await asyncio.sleep(0.005)


def test_a_call_runs_in_a_daemon_thread_and_its_result_comes_back() -> None:
    thread = asyncio.run(new_pool(WAIT_SECONDS).run(threading.current_thread))
    assert thread.daemon
    assert thread is not threading.main_thread()


def test_what_the_call_raises_is_raised() -> None:
    for error in (FileNotFoundError(2, "gone"), TimeoutError(110, "the server's, not ours")):
        pool = new_pool(WAIT_SECONDS)
        with pytest.raises(type(error)) as caught:
            asyncio.run(pool.run(raising(error)))
        assert caught.value.args == error.args
        assert pool.state().is_answering


def raising(error: Exception) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize("error", [OSError("close"), Unavailable("the mount is gone")])
def test_what_fails_to_be_disposed_of_costs_no_thread(error: Exception) -> None:
    def dispose() -> None:
        raise error

    async def run() -> str:
        pool = BoundedPool("disk", threads=1, deadline_seconds=5.0)
        pool.executor.dispose(dispose)
        return await pool.run(lambda: "done")

    assert asyncio.run(run()) == "done"


def test_making_a_pool_starts_no_thread() -> None:
    before = set(threading.enumerate())
    new_pool()
    assert set(threading.enumerate()) <= before


def test_no_answer_within_the_deadline_is_unavailable(gate: threading.Event) -> None:
    with pytest.raises(Unavailable, match="the disk: no answer within") as caught:
        asyncio.run(new_pool().run(gate.wait))
    assert caught.value.retry_after_seconds == 600


def test_a_late_result_is_discarded_in_a_thread_of_the_pool(gate: threading.Event) -> None:
    async def scenario() -> None:
        pool = new_pool()
        discarded: list[tuple[str, threading.Thread]] = []

        def call() -> str:
            gate.wait(WAIT_SECONDS)
            return "late"

        def discard(result: str) -> None:
            discarded.append((result, threading.current_thread()))

        with pytest.raises(Unavailable):
            await pool.run(call, discard=discard)
        assert not discarded
        gate.set()
        await until(lambda: bool(discarded))
        ((result, thread),) = discarded
        assert result == "late"
        assert thread is not threading.main_thread()

    asyncio.run(scenario())


def test_the_result_for_a_cancelled_task_is_discarded(gate: threading.Event) -> None:
    async def scenario() -> None:
        pool, started = new_pool(WAIT_SECONDS), threading.Event()
        discarded: list[str] = []

        def call() -> str:
            started.set()
            gate.wait(WAIT_SECONDS)
            return "unwanted"

        task = asyncio.create_task(pool.run(call, discard=discarded.append))
        await until(started.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        await until(lambda: discarded == ["unwanted"])

    asyncio.run(scenario())


def test_the_result_is_discarded_when_cancelling_comes_right_after_it() -> None:
    async def scenario() -> None:
        pool = new_pool(WAIT_SECONDS, threads=1)
        discarded: list[str] = []
        task = asyncio.create_task(pool.run(lambda: "unwanted", discard=discarded.append))
        await asyncio.sleep(0)
        # The loop stands still here: the thread is done before the task can hear of it.
        pool.executor.submit(lambda: None).result(WAIT_SECONDS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: discarded == ["unwanted"])

    asyncio.run(scenario())


def test_a_call_that_waited_too_long_for_a_thread_is_never_made(gate: threading.Event) -> None:
    async def scenario() -> None:
        pool = new_pool(threads=1)
        calls: list[str] = []
        stuck = asyncio.create_task(pool.run(gate.wait))
        queued = asyncio.create_task(pool.run(lambda: calls.append("made")))
        await asyncio.wait([stuck, queued])
        assert isinstance(queued.exception(), Unavailable)
        assert isinstance(stuck.exception(), Unavailable)
        gate.set()
        pool.executor.submit(lambda: None).result(WAIT_SECONDS)  # the only thread is through
        assert not calls

    asyncio.run(scenario())


def test_more_than_the_queue_holds_is_refused_at_once(gate: threading.Event) -> None:
    async def scenario() -> None:
        pool, started = new_pool(WAIT_SECONDS, threads=1), threading.Event()

        def call() -> None:
            started.set()
            gate.wait(WAIT_SECONDS)

        pool.executor.submit(call)
        await until(started.is_set)
        waiting = [pool.executor.submit(gate.wait) for _ in range(QUEUE_PER_THREAD)]
        with pytest.raises(Unavailable, match="too many requests"):
            await pool.run(lambda: None)
        assert pool.state().is_answering
        closed = threading.Event()
        pool.executor.dispose(closed.set)  # closing is never refused
        gate.set()
        for future in waiting:
            future.result(WAIT_SECONDS)
        await until(closed.is_set)

    asyncio.run(scenario())


def test_three_timeouts_in_a_row_open_the_breaker_and_an_answer_closes_it(
    gate: threading.Event,
) -> None:
    async def scenario() -> None:
        pool = new_pool(threads=3)
        for _ in range(3):
            assert pool.state().is_answering
            with pytest.raises(Unavailable, match="no answer within"):
                await pool.run(gate.wait)
        assert not pool.state().is_answering
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await pool.run(lambda: pytest.fail("made"))
        assert 500 <= caught.value.retry_after_seconds <= 600
        await until(lambda: pool.state().stuck_threads == 3)
        gate.set()  # the stuck calls end: the mount answers, no probe is needed
        await until(lambda: pool.state().stuck_threads == 0)
        async with asyncio.timeout(WAIT_SECONDS):
            while not await answers(pool):
                await asyncio.sleep(0.005)
        assert pool.state().is_answering

    asyncio.run(scenario())


async def answers(pool: BoundedPool) -> bool:
    """Whether a call comes back within the pool's deadline, as it need not on a busy machine."""
    try:
        return await pool.run(lambda: True)
    except Unavailable as error:
        if "no answer within" not in str(error):
            raise
        return False


NEVER = float("-inf")


def test_the_breaker_lets_one_probe_through_after_each_pause() -> None:
    breaker = Breaker(pause_seconds=5.0)
    for moment in (1.0, 2.0, 3.0):
        assert breaker.seconds_until_admission(moment, NEVER, 10.0) == 0.0
        breaker.record_timeout(moment)
    assert breaker.is_open
    assert breaker.seconds_until_admission(3.0, NEVER, 10.0) == 5.0
    assert breaker.seconds_until_admission(7.0, NEVER, 10.0) == 1.0
    assert breaker.seconds_until_admission(8.0, NEVER, 10.0) == 0.0  # the probe
    assert breaker.seconds_until_admission(8.0, NEVER, 10.0) == 10.0  # nobody beside it
    breaker.record_timeout(18.0)
    assert breaker.seconds_until_admission(18.0, NEVER, 10.0) == 5.0
    assert breaker.seconds_until_admission(23.0, NEVER, 10.0) == 0.0
    breaker.record_answer()
    assert not breaker.is_open
    assert breaker.seconds_until_admission(23.0, NEVER, 10.0) == 0.0
    assert breaker.seconds_until_admission(23.0, NEVER, 10.0) == 0.0


def test_an_answer_between_timeouts_starts_the_count_anew() -> None:
    breaker = Breaker(pause_seconds=5.0)
    for _ in range(2):
        breaker.record_timeout(1.0)
    breaker.record_answer()
    for _ in range(2):
        breaker.record_timeout(2.0)
    assert not breaker.is_open


@pytest.mark.parametrize(
    ("answered_at", "is_open"), [(NEVER, True), (3.0, True), (3.5, False)],
    ids=["never", "before-it-opened", "after-it-opened"],
)  # fmt: skip
def test_an_answer_nobody_waited_for_closes_the_breaker(answered_at: float, is_open: bool) -> None:
    breaker = Breaker(pause_seconds=5.0)
    for _ in range(3):
        breaker.record_timeout(3.0)
    breaker.seconds_until_admission(4.0, answered_at, 10.0)
    assert breaker.is_open is is_open


def test_one_stuck_pool_does_not_hold_up_another(gate: threading.Event) -> None:
    async def scenario() -> None:
        stuck, well = new_pool(threads=2), new_pool(WAIT_SECONDS)
        calls = [asyncio.create_task(stuck.run(gate.wait)) for _ in range(8)]
        assert await well.run(lambda: "well") == "well"
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 8

    asyncio.run(scenario())


STUCK_AT_EXIT = """
import asyncio, threading
from storage.errors import Unavailable
from storage.pools import BoundedPool

async def main():
    pool = BoundedPool("stuck", threads=1, deadline_seconds=0.05)
    try:
        await pool.run(threading.Event().wait)
    except Unavailable:
        print("left")

asyncio.run(main())
"""


def test_a_stuck_thread_does_not_keep_the_interpreter() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", STUCK_AT_EXIT],
        capture_output=True, timeout=WAIT_SECONDS, check=True, text=True,
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("left\n", "")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_pool_used_before_a_fork_works_in_the_child() -> None:
    pool = new_pool(WAIT_SECONDS)
    assert asyncio.run(pool.run(os.getpid)) == os.getpid()
    child = os.fork()
    if child == 0:
        try:
            is_well = asyncio.run(pool.run(os.getpid)) == os.getpid()
            os._exit(0 if is_well else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_call_at_start_up_has_a_deadline_too(gate: threading.Event) -> None:
    done = threading.Event()

    def discard(_late: object) -> None:
        done.set()

    assert call_within(WAIT_SECONDS, lambda: "well", discard) == "well"
    with pytest.raises(FileNotFoundError):
        call_within(WAIT_SECONDS, raising(FileNotFoundError(2, "gone")), discard)
    with pytest.raises(Unavailable, match="no answer within"):
        call_within(0.05, lambda: gate.wait(WAIT_SECONDS), discard)
    assert not done.is_set()
    gate.set()
    assert done.wait(WAIT_SECONDS)
