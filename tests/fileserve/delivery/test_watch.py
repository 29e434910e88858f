"""Who is cut when: arithmetic over a clock, in seconds."""

import pytest

from fileserve.delivery.time_limits import Limits, Stage, Watch

LIMITS = Limits(header_timeout_seconds=20, idle_timeout_seconds=60, keep_alive_seconds=30)

OVERDUE = [
    # stage                    after   overdue  id
    (Stage.BETWEEN_REQUESTS, 30.0, False, "idle-at-the-limit"),
    (Stage.BETWEEN_REQUESTS, 30.1, True, "idle-past-the-limit"),
    (Stage.READING_HEAD, 19.0, False, "head-one-tick-before-the-limit"),
    (Stage.READING_HEAD, 19.1, True, "head-cut-within-the-limit"),
    (Stage.LINGERING, 5.0, False, "lingering-at-the-limit"),
    (Stage.LINGERING, 5.1, True, "lingering-past-the-limit"),
    (Stage.RESPONDING, 1e9, False, "a-transfer-may-last"),
    (Stage.CLOSED, 1e9, False, "closed-is-done"),
]


@pytest.mark.parametrize(
    ("stage", "after", "overdue"), [o[:3] for o in OVERDUE], ids=[o[3] for o in OVERDUE]
)
def test_a_stage_may_last_as_long_as_its_limit(stage: Stage, after: float, overdue: bool) -> None:
    watch = Watch(LIMITS, now=0.0)
    watch.enter(stage, now=100.0)
    assert watch.is_overdue(100.0 + after) is overdue


def test_a_client_that_moves_a_byte_in_time_is_never_stalled() -> None:
    watch = Watch(LIMITS, now=0.0)
    watch.enter(Stage.RESPONDING, now=0.0)
    assert not any(watch.is_stalled(59.0 * step, (step, 0)) for step in range(100))


def test_a_client_that_moves_nothing_is_stalled_past_the_limit() -> None:
    watch = Watch(LIMITS, now=0.0)
    watch.enter(Stage.RESPONDING, now=0.0)
    assert [watch.is_stalled(now, (5, 0)) for now in (1.0, 61.0, 61.1)] == [False, False, True]


def test_the_servers_own_slowness_is_not_the_clients() -> None:
    watch = Watch(LIMITS, now=0.0)
    watch.enter(Stage.RESPONDING, now=0.0)
    assert not any(watch.is_stalled(now, None) for now in (1.0, 100.0, 10_000.0))


TICKS = [
    # header, idle, keep-alive, tick
    (20, 60, 30, 1.0),
    (2, 60, 30, 0.5),
    (20, 1, 30, 0.25),
    (20, 60, 0.4, 0.1),
]


@pytest.mark.parametrize(("header", "idle", "keep_alive", "tick"), TICKS)
def test_the_shortest_limit_is_looked_at_four_times(
    header: float, idle: float, keep_alive: float, tick: float
) -> None:
    assert Limits(header, idle, keep_alive).tick_seconds == pytest.approx(tick)
