"""Wrong credentials: when a client has to wait, and that memory is bounded."""

from fileserve.access.attempts import Attempts


def test_ten_are_free_and_each_further_one_doubles_the_wait() -> None:
    attempts = Attempts()
    waits = [attempts.note_failure("192.0.2.7", float(second)) for second in range(21)]
    assert waits == [None] * 10 + [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_another_client_is_not_slowed() -> None:
    attempts = Attempts()
    for _ in range(20):
        attempts.note_failure("192.0.2.7", 0.0)
    assert attempts.note_failure("192.0.2.8", 0.0) is None


def test_a_minute_without_one_forgets_them() -> None:
    attempts = Attempts()
    for _ in range(10):
        attempts.note_failure("192.0.2.7", 0.0)
    assert attempts.note_failure("192.0.2.7", 59.9) == 2
    # The wait of 2 seconds, and a minute.
    assert attempts.note_failure("192.0.2.7", 121.8) == 4
    assert attempts.note_failure("192.0.2.7", 121.8 + 64.0) is None


def test_slow_guesses_are_never_held_up() -> None:
    attempts = Attempts()
    assert {attempts.note_failure("192.0.2.7", 60.0 * n) for n in range(100)} == {None}


def test_no_more_than_4096_clients_are_remembered() -> None:
    attempts = Attempts()
    for number in range(10_000):
        attempts.note_failure(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(attempts._records) == 4096


def test_who_goes_on_is_not_forgotten_for_who_stopped() -> None:
    attempts = Attempts()
    for _ in range(20):
        attempts.note_failure("192.0.2.7", 0.0)
    for number in range(4095):
        attempts.note_failure(f"10.0.{number >> 8}.{number & 255}", 0.0)
    assert attempts.note_failure("192.0.2.7", 0.0) == 900
    attempts.note_failure("192.0.2.8", 0.0)
    assert attempts.note_failure("192.0.2.7", 0.0) == 900
