"""The work behind `fileserve add`: sources get their names, and are added under a progress bar."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fileserve.exits import UsageRefused
from fileserve.progress import copy_progress
from storage.additions import Addition, Manner, Survey, survey
from storage.atomic import Existing
from storage.beneath import Root
from storage.copying import COPY_CHUNK_BYTES
from storage.digests import Digests
from storage.errors import AlreadyExists
from storage.names import Name, printable

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be added, where and how; name is what the one source is to be called."""

    sources: Sequence[str]
    folder: Name
    name: str | None
    manner: Manner
    existing: Existing


@dataclass(frozen=True, slots=True)
class Added:
    """What was added; skipped are the paths in folders that are never copied."""

    files: Sequence[tuple[Name, Digests]]
    skipped: Sequence[bytes]


def carry_out(order: Order, root: Root) -> Added:
    """Add everything, or nothing: raises StorageError, UsageRefused, KeyboardInterrupt."""
    if order.name is not None and len(order.sources) > 1:
        raise UsageRefused("--name goes with one SOURCE; these are several")
    if STANDARD_INPUT in order.sources:
        return _add_standard_input(order, root)
    plans = [survey(os.fsencode(source), _target(order, source)) for source in order.sources]
    return _add_surveyed(plans, order, root)


def _add_surveyed(plans: Sequence[Survey], order: Order, root: Root) -> Added:
    files = [file for plan in plans for file in plan.files]
    if len({file.name for file in files}) < len(files):
        raise AlreadyExists("two of these files would get the same name; add them one by one")
    added = []
    with (
        copy_progress(sum(plan.size for plan in plans)) as progress,
        Addition(root, order.manner, order.existing, progress.watcher) as addition,
    ):
        for plan in plans:
            addition.prepare(plan)
        for file in files:
            progress.label(file.name.display)
            added.append((file.name, addition.add_file(file)))
    return Added(added, [path for plan in plans for path in plan.skipped])


def _add_standard_input(order: Order, root: Root) -> Added:
    if len(order.sources) > 1:
        raise UsageRefused("'-' (standard input) is added alone")
    if order.name is None:
        raise UsageRefused("'-' (standard input) has no name of its own; add --name NAME")
    if order.manner is not Manner.COPY:
        raise UsageRefused("standard input can be neither moved nor linked")
    name = order.folder.child(os.fsencode(order.name))
    with (
        copy_progress(None) as progress,
        Addition(root, Manner.COPY, order.existing, progress.watcher) as addition,
    ):
        progress.label(name.display)
        pieces = iter(lambda: sys.stdin.buffer.read(COPY_CHUNK_BYTES), b"")
        return Added([(name, addition.add_stream(name, pieces))], [])


def _target(order: Order, source: str) -> Name:
    own_name = os.path.basename(os.path.abspath(source)) if order.name is None else order.name
    segment = os.fsencode(own_name)
    if not segment:
        raise UsageRefused(f"{printable(os.fsencode(source))}: has no name; add --name NAME")
    return order.folder.child(segment)
