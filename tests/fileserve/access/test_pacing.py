"""The rate of a link: shared by connections, never saved up, in small pieces."""

import asyncio
import time

import pytest
from starlette.types import Message

from fileserve.access.pacing import Budget, Budgets, paced
from fileserve.delivery.outcomes import TransferCut


def test_all_who_share_a_budget_wait_for_each_other() -> None:
    budget = Budget(1000)
    waits = [budget.reserve(500, now) for now in (10.0, 10.0, 10.25)]
    assert waits == [0.0, 0.5, 0.75]


def test_a_quiet_minute_is_not_saved_up() -> None:
    budget = Budget(1000)
    budget.reserve(500, 10.0)
    assert budget.reserve(1000, 70.0) == 0.0
    assert budget.reserve(1, 70.0) == 1.0


@pytest.mark.parametrize(
    ("rate", "piece_bytes"),
    [(1, 4096), (40_960, 4096), (1_000_000, 100_000), (10**12, 262_144)],
)
def test_a_piece_is_a_tenth_of_a_second_within_bounds(rate: int, piece_bytes: int) -> None:
    assert Budget(rate).piece_bytes == piece_bytes


def test_a_client_has_one_budget_for_a_link() -> None:
    budgets = Budgets()
    first = budgets.budget("4f2a", b"me", 1000)
    first.reserve(10**9, time.monotonic())
    assert budgets.budget("4f2a", b"me", 1000) is first
    assert budgets.budget("4f2a", b"you", 1000) is not first
    assert budgets.budget("5555", b"me", 1000) is not first


def test_ten_thousand_clients_are_not_kept_for_ever() -> None:
    budgets = Budgets()
    for number in range(10_500):
        budgets.budget("4f2a", b"%d" % number, 1000).reserve(10**9, time.monotonic())
    assert len(budgets._budgets) == 10_000
    quiet = Budgets()
    for number in range(10):
        quiet.budget("4f2a", b"%d" % number, 1000)
    assert len(quiet._budgets) == 1


class File:
    def fileno(self) -> int:
        return 0


FILE = File()
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def sent(budget: Budget, *messages: Message) -> list[Message]:
    got: list[Message] = []

    async def keep(message: Message) -> None:
        got.append(message)

    async def run() -> None:
        send = paced(keep, budget)
        for message in messages:
            await send(message)

    asyncio.run(run())
    return got


def test_a_body_is_cut_and_only_its_last_piece_ends_it() -> None:
    body = bytes(range(256)) * 40
    head, *pieces = sent(Budget(1_000_000 // 25), START, _body(body, more_body=False))
    assert head == START
    assert [len(piece["body"]) for piece in pieces] == [4096, 4096, 2048]
    assert b"".join(piece["body"] for piece in pieces) == body
    assert [piece["more_body"] for piece in pieces] == [True, True, False]


def test_a_slice_is_cut_and_stays_the_same_bytes() -> None:
    message = {
        "type": "http.response.zerocopysend", "file": FILE, "offset": 7, "count": 600_000,
        "more_body": True,
    }  # fmt: skip
    pieces = sent(Budget(10**9), START, message)[1:]
    assert [(piece["offset"], piece["count"]) for piece in pieces] == [
        (7, 262_144), (262_151, 262_144), (524_295, 75_712),
    ]  # fmt: skip
    assert all(piece["file"] is FILE and piece["more_body"] for piece in pieces)


@pytest.mark.parametrize("body", [b"", b"x"])
def test_a_small_body_is_passed_on_as_it_is(body: bytes) -> None:
    assert sent(Budget(1000), START, _body(body, more_body=False))[1:] == [
        _body(body, more_body=False)
    ]


def test_two_connections_take_as_long_as_one_with_all_of_it() -> None:
    async def keep(message: Message) -> None:
        pass

    async def run() -> float:
        budget = Budget(200_000)
        began = time.monotonic()
        sends = [paced(keep, budget)(_body(bytes(40_000), more_body=False)) for _ in range(2)]
        await asyncio.gather(*sends)
        return time.monotonic() - began

    # 80,000 bytes in pieces of 20,000: the fourth begins 0.3 s after the first.
    assert asyncio.run(run()) >= 0.29


def test_those_who_have_gone_take_nothing_and_do_not_wait_for_the_others() -> None:
    got: list[Message] = []

    async def keep(message: Message) -> None:
        got.append(message)

    async def run() -> float:
        budget = Budget(1_000)
        began = time.monotonic()
        budget.reserve(1_000, began)
        sends = [
            paced(keep, budget, lambda: True)(_body(bytes(4000), more_body=False))
            for _ in range(100)
        ]
        here = paced(keep, budget)(_body(b"x", more_body=False))
        *cut, _ = await asyncio.gather(*sends, here, return_exceptions=True)
        assert all(isinstance(each, TransferCut) for each in cut)
        return time.monotonic() - began

    # 4 s for each of them, if they had their turn.
    assert 0.9 <= asyncio.run(run()) < 60
    assert got == [_body(b"x", more_body=False)]


def _body(body: bytes, *, more_body: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more_body}
