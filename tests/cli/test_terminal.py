"""What only happens at a terminal: the question, the progress bar, Ctrl-C."""

import hashlib
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.shell import LIMIT_SECONDS, Names, Shell

SPARSE_BYTES = 1 << 40  # takes minutes to hash: the interrupt comes long before its end


class Terminal:
    """A command with a terminal of 80 columns as its standard input, output and error."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self._own, other = pty.openpty()
        termios.tcsetwinsize(self._own, (24, 80))
        self.output = b""
        try:
            self.process = subprocess.Popen(
                shell.command(*words),
                stdin=other,
                stdout=other,
                stderr=other,
                cwd=shell.folder,
                env={**shell.environment, "TERM": "xterm"},
                start_new_session=True,
            )
        finally:
            os.close(other)

    def wait_for(self, text: bytes) -> None:
        """Read until text was shown."""
        while text not in self.output:
            self.output += self._read()

    def type(self, text: bytes) -> None:
        os.write(self._own, text)

    def end(self) -> int:
        """The exit code, once everything was read."""
        try:
            while True:
                self.output += self._read()
        except OSError:  # EIO: nobody holds the other end any more
            return self.process.wait(LIMIT_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._own)

    def _read(self) -> bytes:
        return os.read(self._own, 65536)


@contextmanager
def terminal(shell: Shell, *words: str) -> Iterator[Terminal]:
    opened = Terminal(shell, *words)
    try:
        yield opened
    finally:
        opened.close()


ANSWERS = [
    # typed         code  is removed
    (b"y\n", 0, True),
    (b"Yes\n", 0, True),
    (b"n\n", 1, False),
    (b"\n", 1, False),
    (b"yesterday\n", 1, False),
    (b"\x04", 1, False),  # Ctrl-D, the end of input
]


@pytest.mark.parametrize(("typed", "code", "is_removed"), ANSWERS)
def test_remove_asks_and_only_a_yes_is_one(
    shell: Shell, films: Names, typed: bytes, code: int, is_removed: bool
) -> None:
    with terminal(shell, "remove", "c.txt", "films", "--recursive") as screen:
        screen.wait_for(b"[y/N] ")
        assert b"Remove c.txt (1 B), films/ with the 1 entries in it (1.5 kB)" in screen.output
        screen.type(typed)
        assert screen.end() == code
    assert (films() == []) is is_removed
    assert (b"nothing was removed" in screen.output) is not is_removed


def test_add_shows_progress_on_a_terminal_and_ends_with_the_result(shell: Shell) -> None:
    with terminal(shell, "add", "a.bin") as screen:
        assert screen.end() == 0
    assert "━".encode() in screen.output
    assert b"2.0/2.0 kB" in screen.output
    assert b"SHA-256 " in screen.output.splitlines()[-1]


def test_the_line_of_a_long_name_is_whole_on_a_narrow_terminal(shell: Shell) -> None:
    name = "a film with a name of many words that " * 3
    (shell.root / name).write_bytes(b"")
    with terminal(shell, "checksum") as screen:
        assert screen.end() == 0
    assert f"{hashlib.sha256().hexdigest()}  {name}\r\n".encode() in screen.output


def test_add_without_a_terminal_shows_no_progress(shell: Shell) -> None:
    assert shell.run("add", "a.bin").err == ""


def test_ctrl_c_in_a_big_addition_leaves_nothing_behind(shell: Shell) -> None:
    source = shell.folder / "source"
    source.mkdir()
    (source / "a-small").write_bytes(b"added before the interrupt")
    with (source / "b-big").open("wb") as file:
        file.truncate(SPARSE_BYTES)
    with terminal(shell, "add", "source", "--to", "new/films") as screen:
        screen.wait_for(b"new/films/source/b-big"[-20:])
        os.killpg(screen.process.pid, signal.SIGINT)  # as the terminal does for Ctrl-C
        assert screen.end() == 130
    assert b"interrupted, nothing was added" in screen.output
    assert b"Traceback" not in screen.output
    assert os.listdir(shell.root) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_while_standard_input_is_added_leaves_nothing_behind(
    shell: Shell, number: signal.Signals, code: int
) -> None:
    adding = subprocess.Popen(
        shell.command("add", "-", "--name", "x", "--to", "new"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=shell.folder,
        env=shell.environment,
    )
    with adding:
        assert adding.stdin is not None
        assert adding.stdout is not None
        # More than the pipe and the reader's buffer hold: on return the addition is under way.
        adding.stdin.write(bytes(8 << 20))
        adding.stdin.flush()
        adding.send_signal(number)
        assert adding.wait(LIMIT_SECONDS) == code
        assert b"Traceback" not in adding.stdout.read()
    assert os.listdir(shell.root) == []


def test_sigkill_leaves_no_name_behind_where_files_can_be_nameless(shell: Shell) -> None:
    adding = subprocess.Popen(
        shell.command("add", "-", "--name", "x"),
        stdin=subprocess.PIPE,
        cwd=shell.folder,
        env=shell.environment,
    )
    with adding:
        assert adding.stdin is not None
        adding.stdin.write(bytes(8 << 20))
        adding.kill()
        adding.wait(LIMIT_SECONDS)
    assert os.listdir(shell.root) == []
