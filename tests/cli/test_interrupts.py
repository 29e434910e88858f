"""Ctrl-C in the first moment of a command."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import LIMIT_SECONDS, Shell

SLOW_IMPORT = "print('importing', flush=True)\nimport time\ntime.sleep(1000)\n"
# What a shell does for a background job.
IGNORING = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
# The tests may be such a job themselves.
HEEDING = ["env", "--default-signal=INT"]


@pytest.fixture
def importing(shell: Shell, tmp_path: Path) -> dict[str, str]:
    """The environment of a command that is stuck where it imports the first of its libraries."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "typer.py").write_text(SLOW_IMPORT)
    return {**shell.environment, "PYTHONPATH": str(tmp_path / "slow")}


def interrupted(
    shell: Shell, environment: dict[str, str], *, is_background: bool
) -> tuple[int, bytes]:
    """How a command ends, and what it prints, when Ctrl-C comes while it is being imported."""
    with subprocess.Popen(
        [*(IGNORING if is_background else HEEDING), *shell.command("list")],
        env=environment,
        cwd=shell.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == b"importing\n"
            process.send_signal(signal.SIGINT)
            if is_background:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.3)
                process.kill()
            return process.wait(LIMIT_SECONDS), process.stderr.read()
        finally:
            process.kill()


def test_ctrl_c_while_a_command_is_imported_is_quiet(
    shell: Shell, importing: dict[str, str]
) -> None:
    assert interrupted(shell, importing, is_background=False) == (130, b"")


def test_a_background_job_goes_on_ignoring_ctrl_c(shell: Shell, importing: dict[str, str]) -> None:
    assert interrupted(shell, importing, is_background=True)[0] == -signal.SIGKILL


def test_the_command_line_leaves_ctrl_c_to_whoever_imports_it() -> None:
    import cli  # noqa: F401

    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)
