"""Content that waits to be received: in a few objects, however small the pieces come."""

import asyncio
import tracemalloc

from fileserve.delivery.exchange import Exchange


class Unwritten:
    """A connection on which nothing is written yet."""

    def resume_reading(self) -> None:
        pass


def exchange() -> Exchange:
    return Exchange(Unwritten(), {}, expects_continue=False, keeps_alive=True)  # type: ignore[arg-type]


def test_tiny_pieces_cost_about_their_bytes() -> None:
    waiting = exchange()
    pieces = [b"%02d" % (number % 100) for number in range(100)]
    tracemalloc.start()
    try:
        for _ in range(1_000):
            for piece in pieces:
                waiting.add_content(bytes(bytearray(piece)))  # each an object of its own
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
    waiting.end_content()
    message = asyncio.run(waiting.receive())
    assert message["body"] == b"".join(pieces) * 1_000
    assert type(message["body"]) is bytes


def test_pieces_of_all_sizes_keep_their_order() -> None:
    waiting = exchange()
    pieces = [b"a", b"B" * 100_000, b"c", b"d" * 5, b"E" * 5_000, b"F" * 5_000, b"g"]
    for piece in pieces:
        waiting.add_content(piece)
    assert waiting.incoming_bytes == sum(map(len, pieces))
    waiting.end_content()
    assert asyncio.run(waiting.receive())["body"] == b"".join(pieces)


def test_one_large_piece_is_not_copied() -> None:
    waiting, piece = exchange(), b"x" * 100_000
    waiting.add_content(piece)
    waiting.end_content()
    assert asyncio.run(waiting.receive())["body"] is piece
