"""What is written about a transfer, by whom, and what happens when nobody reads it."""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_send import RecordingSend, http_scope
from starlette.types import Message

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.scopes import EXCHANGE_EXTENSION
from fileserve.operations import logs
from fileserve.operations.access_line import escaped
from fileserve.operations.logs import log_access, log_directly, logging_through_thread
from fileserve.operations.transfers import Transfer, TransferRegistry

START: Message = {"type": "http.response.start", "status": 206, "headers": []}
END: Message = {"type": "http.response.body", "body": b"12345", "more_body": False}
PART: Message = {"type": "http.response.body", "body": b"12345", "more_body": True}
SLICE: Message = {"type": "http.response.zerocopysend", "file": 3, "count": 7, "more_body": True}

SERVER_LOGGERS = ("fileserve", "uvicorn", "uvicorn.access")


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    before = [
        (logger, logger.handlers, logger.level, logger.propagate)
        for logger in map(logging.getLogger, SERVER_LOGGERS)
    ]
    yield
    for logger, handlers, level, propagates in before:
        logger.handlers, logger.propagate = handlers, propagates
        logger.setLevel(level)


@dataclass
class TellingExchange:
    """What our protocol class puts into the scope."""

    body_bytes_sent: int
    end_cause: EndCause | None


def follow(
    *messages: Message,
    target: str = "/a",
    error: BaseException | None = None,
    exchange: TellingExchange | None = None,
    **fields: str,
) -> Transfer:
    """A transfer that has sent messages, and then ended or raised error."""
    scope = http_scope("GET", target, **fields)
    scope["extensions"] = {EXCHANGE_EXTENSION: exchange} if exchange else {}
    registry = TransferRegistry()
    transfer = Transfer.of_scope(scope, RecordingSend())
    registry.begin(transfer)

    async def send_all() -> None:
        for message in messages:
            await transfer.send(message)

    asyncio.run(send_all())
    registry.end(transfer, error)
    return transfer


def written(transfer: Transfer, log_format: logs.LogFormat = "text") -> str:
    stream = io.StringIO()
    with logging_through_thread(log_format, stream):
        log_access(transfer)
    return stream.getvalue()


ENDS = [
    # messages                 raised                            cause                 bytes
    ([START, END],             None,                             EndCause.COMPLETE,     5),
    ([START, PART, END],       None,                             EndCause.COMPLETE,    10),
    ([START, SLICE, END],      None,                             EndCause.COMPLETE,    12),
    ([START, PART],            None,                             EndCause.FAILED,       5),
    ([START, PART],            TransferCut(EndCause.STALLED),    EndCause.STALLED,      5),
    ([START, PART],            TransferCut(EndCause.SHRANK),     EndCause.SHRANK,       5),
    ([START, PART],            OSError("connection lost"),       EndCause.CLIENT_GONE,  5),
    ([START, PART],            asyncio.CancelledError(),         EndCause.SHUTDOWN,     5),
    ([START, PART],            ValueError("ours"),               EndCause.FAILED,       5),
    ([],                       None,                             EndCause.FAILED,       0),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "raised", "cause", "count"), ENDS)
def test_without_our_protocol_the_messages_tell_how_it_ended(
    messages: list[Message], raised: BaseException | None, cause: EndCause, count: int
) -> None:
    transfer = follow(*messages, error=raised)
    assert (transfer.end_cause, transfer.body_bytes_sent) == (cause, count)


def test_our_protocol_knows_better_than_the_messages() -> None:
    transfer = follow(START, END, exchange=TellingExchange(3, EndCause.CLIENT_GONE))
    assert (transfer.end_cause, transfer.body_bytes_sent) == (EndCause.CLIENT_GONE, 3)


def test_an_exchange_that_has_not_ended_leaves_the_cause_to_the_error() -> None:
    exchange = TellingExchange(3, None)
    transfer = follow(START, PART, error=TransferCut(EndCause.SHRANK), exchange=exchange)
    assert (transfer.end_cause, transfer.body_bytes_sent) == (EndCause.SHRANK, 3)


def test_a_failure_before_the_head_is_logged_as_the_500_it_becomes() -> None:
    assert follow(error=ValueError("ours")).status == 500
    assert follow(error=TransferCut(EndCause.CLIENT_GONE)).status is None


def test_a_running_transfer_tells_how_far_it_is() -> None:
    registry = TransferRegistry()
    exchange = TellingExchange(0, None)
    scope = {**http_scope("GET", "/a"), "extensions": {EXCHANGE_EXTENSION: exchange}}
    first = Transfer.of_scope(scope, RecordingSend())
    second = Transfer.of_scope(http_scope("GET", "/b"), RecordingSend())
    registry.begin(first)
    registry.begin(second)
    exchange.body_bytes_sent = 99
    assert registry.running() == [first, second]
    assert first.body_bytes_sent == 99
    registry.end(first, None)
    assert registry.running() == [second]
    assert len(registry) == 1


def test_the_text_line_has_ten_words() -> None:
    line = written(follow(START, END, target="/films/a%20b?secret=1", range="bytes=0-4"))
    pattern = (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO "
        r"192\.0\.2\.7 GET /films/a%20b 206 bytes=0-4 5 \d+\.\d{3} complete\n"
    )
    assert re.fullmatch(pattern, line)


def test_what_is_missing_is_a_hyphen() -> None:
    line = written(follow(error=TransferCut(EndCause.CLIENT_GONE)))
    assert re.search(r" GET /a - - 0 \d+\.\d{3} client-gone\n$", line)


def test_the_json_line_has_the_same_members() -> None:
    members = json.loads(written(follow(START, END, range="bytes=0-4"), "json"))
    assert members.pop("time").endswith("Z")
    assert isinstance(members.pop("seconds"), float)
    assert members == {
        "level": "INFO",
        "logger": "fileserve.access",
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/a",
        "status": 206,
        "range": "bytes=0-4",
        "bytes": 5,
        "end": "complete",
    }


ESCAPED = [
    (b"/films/a%20b.mkv", "/films/a%20b.mkv"),
    (b'/a"b',             r"/a\x22b"),
    (b"/a b",             r"/a\x20b"),
    (b"/a\r\nb",          r"/a\x0d\x0ab"),
    (b"/a\\x0a",          r"/a\x5cx0a"),
    (b"/\x1b[31m",        r"/\x1b[31m"),
    (b"/\x7f\x80\xff",    r"/\x7f\x80\xff"),
    ("/ü".encode(),       r"/\xc3\xbc"),
    (b"",                 ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ESCAPED)
def test_a_clients_text_is_escaped(text: bytes, expected: str) -> None:
    assert escaped(text) == expected


@given(st.binary(max_size=50))
def test_any_text_is_escaped_to_one_reversible_word(text: bytes) -> None:
    word = escaped(text)
    assert all("!" <= character <= "~" and character != '"' for character in word)
    undone = re.sub(r"\\x(..)", lambda found: chr(int(found[1], 16)), word)
    assert undone.encode("latin-1") == text


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_client_cannot_write_a_second_line(log_format: logs.LogFormat) -> None:
    forged = "bytes=0-1\n2026-01-01T00:00:00.000Z INFO forged"
    line = written(follow(START, END, target='/a"\r\nb', range=forged), log_format)
    assert line.count("\n") == 1
    assert len(line) < 400


def test_a_long_range_is_cut_in_the_log() -> None:
    assert len(written(follow(START, END, range="bytes=" + "0-1," * 5000))) < 400


def test_our_messages_and_uvicorns_warnings_are_written() -> None:
    stream = io.StringIO()
    with logging_through_thread("text", stream):
        logging.getLogger("fileserve.server").info("started %d", 1)
        logging.getLogger("uvicorn.error").warning("odd")
        logging.getLogger("uvicorn.error").info("chatter")
        logging.getLogger("uvicorn.access").info("twice")
    lines = [line.partition("Z ")[2] for line in stream.getvalue().splitlines()]
    assert lines == ["INFO started 1", "WARNING odd"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_exception_is_written_with_its_traceback(log_format: logs.LogFormat) -> None:
    stream = io.StringIO()
    with logging_through_thread(log_format, stream):
        try:
            raise ValueError("ours")
        except ValueError:
            logging.getLogger("fileserve").exception("it failed")
    assert "it failed" in stream.getvalue()
    assert "ValueError: ours" in stream.getvalue()


def test_a_faulty_message_does_not_end_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with logging_through_thread("text", stream):
        logging.getLogger("fileserve").info("%d", "no number")
        logging.getLogger("fileserve").info("next")
    assert stream.getvalue().endswith("INFO next\n")
    assert "no number" in capsys.readouterr().err


def test_what_was_set_up_before_holds_again() -> None:
    log_directly("text", io.StringIO())
    before = logging.getLogger("fileserve").handlers
    with logging_through_thread("text", io.StringIO()):
        assert logging.getLogger("fileserve").handlers is not before
    assert logging.getLogger("fileserve").handlers is before


class StuckStream(io.StringIO):
    """A pipe that nobody reads until the test does."""

    def __init__(self) -> None:
        super().__init__()
        self.is_writing = threading.Event()
        self.may_go_on = threading.Event()

    def write(self, text: str, /) -> int:
        self.is_writing.set()
        self.may_go_on.wait(30)
        return super().write(text)


def test_lines_beyond_the_queue_are_counted_and_never_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_QUEUED_LINES", 3)
    stream, logger = StuckStream(), logging.getLogger("fileserve")
    with logging_through_thread("text", stream):
        logger.info("first")
        assert stream.is_writing.wait(30)
        for number in range(10):
            logger.info("line %d", number)
        stream.may_go_on.set()
    lines = [line.partition("Z ")[2] for line in stream.getvalue().splitlines()]
    assert lines == [
        "INFO first",
        "INFO line 0",
        "INFO line 1",
        "INFO line 2",
        "WARNING 7 log lines were dropped",
    ]


def test_a_log_that_nobody_reads_does_not_keep_the_process_alive() -> None:
    code = (
        "import logging, sys\n"
        "from fileserve.operations.logs import logging_through_thread\n"
        "with logging_through_thread('text'):\n"
        "    for _ in range(2000): logging.getLogger('fileserve').info('x' * 100)\n"
        "print('left', flush=True)\n"
    )
    reader, writer = os.pipe()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code],
            stderr=writer,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            timeout=60,
            check=False,
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert ended.stdout == b"left\n"


def test_a_worker_logs_through_its_own_thread_after_the_fork() -> None:
    """And logging.shutdown() writes what is queued, since workers end without unwinding."""
    code = (
        "import logging, os, sys\n"
        "from fileserve.operations import logs\n"
        "from fileserve.operations.logs import log_directly, logging_through_thread\n"
        "logs._CLOSING_SECONDS = 60.0\n"
        "log_directly('text')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    logging_through_thread('text').__enter__()\n"
        "    logging.getLogger('fileserve').info('from the worker')\n"
        "    logging.shutdown()\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "logging.getLogger('fileserve').info('from the parent')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=True,
        text=True,
    )
    lines = [line.partition("Z ")[2] for line in ended.stderr.splitlines()]
    assert lines == ["INFO from the worker", "INFO from the parent"]


def test_a_forwarded_address_is_one_word() -> None:
    # Behind a trusted proxy the client's own words can stand where its address should.
    scope = http_scope("GET", "/a")
    scope["client"] = ('1.2.3.4 "GET\n/fake 200' + "x" * 5_000, 0)
    transfer = Transfer.of_scope(scope, RecordingSend())
    transfer.end(None)
    words = logs.access_text(transfer).split(" ")
    assert len(words) == 8
    assert words[0].startswith("1.2.3.4\\x20\\x22GET\\x0a/fake")
    assert len(words[0]) < 200
