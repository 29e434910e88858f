"""The progress bar of commands that read or copy files, on a terminal only."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from storage.additions import Watcher
from storage.atomic import Step

_LABEL_WIDTH = 22


class Progress:
    """What copying or reading tells: a bar with rate and remaining time, or nothing."""

    def __init__(self, show: Callable[[str, int], None]) -> None:
        self._show = show
        self._label = ""

    def label(self, label: str) -> None:
        """What is copied from now on."""
        self._label = label
        self._show(label, 0)

    @property
    def watcher(self) -> Watcher:
        """What an Addition is to tell its steps and pieces."""
        return Watcher(self._before, self.advance)

    def _before(self, step: Step) -> None:
        if step is Step.SYNC_FILE:  # may take as long as the copying did
            self._show("writing to the disk", 0)

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        self._show(self._label, count)


@contextmanager
def copy_progress(total_bytes: int | None) -> Iterator[Progress]:
    """A Progress for so many bytes (None: unknown) that is gone from the screen at the end."""
    if not sys.stderr.isatty():
        yield Progress(lambda label, count: None)
        return
    # Here and not above: rich.progress takes a tenth of a second to import.
    from rich import progress as bar  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    shown = bar.Progress(
        bar.TextColumn("{task.description}", markup=False),
        bar.BarColumn(bar_width=None),
        bar.DownloadColumn(),
        bar.TransferSpeedColumn(),
        bar.TimeRemainingColumn(compact=True),
        # The terminal wraps what is long: a line end in a checksum's line or in JSON breaks it.
        console=Console(stderr=True, width=shutil.get_terminal_size().columns, soft_wrap=True),
        # Results are printed meanwhile: above the bar on a terminal, into a pipe as they are.
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
        expand=True,
    )
    task = shown.add_task("", total=total_bytes)
    with shown:
        yield Progress(
            lambda label, count: shown.update(task, description=_cut(label), advance=count)
        )


def _cut(label: str) -> str:
    """The end of a label in a fixed width, so that the bar does not jump."""
    if len(label) > _LABEL_WIDTH:
        label = "…" + label[1 - _LABEL_WIDTH :]
    return label.ljust(_LABEL_WIDTH)
