"""`fileserve add`, `remove` and `move`: what they take, print and exit with."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Annotated, NoReturn

import typer

from fileserve import adding, console, exits, reports
from fileserve.commands import keeping
from fileserve.commands.options import Recursive, RootOption, opened_root_of, settings_for
from storage import errors, library
from storage.additions import Manner
from storage.atomic import Existing
from storage.beneath import Root
from storage.library import Item, Kind, Scope
from storage.names import Name, parse_os_path, printable

# fmt: off
Replace = Annotated[bool, typer.Option("--replace", help="Replace a file of the same name.")]
Sources = Annotated[list[str], typer.Argument(
    metavar="SOURCE", help="Files and folders; '-' is standard input.")]
ToFolder = Annotated[str, typer.Option(
    "--to", metavar="FOLDER", show_default=False, help="Folder below the root; made if missing.")]
OwnName = Annotated[str | None, typer.Option(
    "--name", metavar="NAME", help="Name of the one SOURCE from now on.", show_default=False)]
Move = Annotated[bool, typer.Option("--move", help="Remove SOURCE once it is added.")]
Link = Annotated[bool, typer.Option("--link", help="Make a hard link: no copy, the same file.")]
EntryNames = Annotated[list[str], typer.Argument(
    metavar="NAME", help="Files and folders below the root.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OldName = Annotated[str, typer.Argument(metavar="OLD", help="Path below the root.")]
NewName = Annotated[str, typer.Argument(metavar="NEW", help="The new path, its name included.")]
# fmt: on


def add(
    *,
    sources: Sources,
    to: ToFolder = ".",
    name: OwnName = None,
    replace: Replace = False,
    move: Move = False,
    link: Link = False,
    root: RootOption = None,
) -> None:
    """Add files and folders: each whole and durable, all of them or none."""
    order = adding.Order(sources, parse_os_path(to), name, _manner(move, link), _existing(replace))
    settings = settings_for(root)
    with opened_root_of(settings) as top_folder, _ended_like_ctrl_c():
        try:
            added = adding.carry_out(order, top_folder)
        except KeyboardInterrupt:
            console.note("interrupted, nothing was added")
            raise
        keeping.keep_added(settings, top_folder, added.files)
    for file, digests in added.files:
        console.say(f"{file.display}, {console.human_size(digests.length)}")
        console.say(f"  SHA-256 {digests.sha256_hex}")
    for path in added.skipped:
        console.note(f"skipped {printable(path)}: symbolic links and special files are not copied")
    if added.skipped:
        raise typer.Exit(exits.FAILED)


def remove(
    names: EntryNames, yes: Yes = False, recursive: Recursive = False, root: RootOption = None
) -> None:
    """Remove files, and folders with --recursive; asks before it does."""
    settings = settings_for(root)
    with opened_root_of(settings) as top_folder:
        items = [library.look_at_entry(top_folder, parse_os_path(name)) for name in names]
        for item in items:
            if item.kind is Kind.FOLDER and not recursive:
                raise errors.IsFolder(f"{item.name.display}: is a folder; add --recursive")
        if not yes and not _is_confirmed(top_folder, items):
            console.note("nothing was removed")
            raise typer.Exit(exits.FAILED)
        removed: list[Name] = []
        try:
            for item in items:
                library.remove(top_folder, item.name, Scope.TREE if recursive else Scope.ENTRY)
                removed.append(item.name)
                console.say(f"removed {reports.shown(item)}")
        finally:
            keeping.forget_removed(settings, removed)


def move(old: OldName, new: NewName, replace: Replace = False, root: RootOption = None) -> None:
    """Give a file or folder another name; clients find it there at once."""
    old_name, new_name = parse_os_path(old), parse_os_path(new)
    settings = settings_for(root)
    with opened_root_of(settings) as top_folder:
        library.move(top_folder, old_name, new_name, _existing(replace))
        keeping.keep_moved(settings, top_folder, old_name, new_name)
    console.say(f"{old_name.display} is now {new_name.display}")


def _is_confirmed(root: Root, items: list[Item]) -> bool:
    if not console.is_interactive():
        raise exits.UsageRefused("nobody to ask: this is no terminal; add --yes")
    what = ", ".join(_described(root, item) for item in items)
    return console.ask(f"Remove {what} for good?").is_yes


def _described(root: Root, item: Item) -> str:
    if item.kind is not Kind.FOLDER:
        return f"{item.name.display} ({console.human_size(item.size)})"
    below = [*library.list_folder(root, item.name, Scope.TREE, lambda error: None)]
    size = console.human_size(sum(each.size for each in below if each.kind is Kind.FILE))
    return f"{item.name.display}/ with the {len(below)} entries in it ({size})"


def _manner(move: bool, link: bool) -> Manner:
    if move and link:
        raise exits.UsageRefused("--move and --link exclude each other")
    if link:
        return Manner.LINK
    return Manner.MOVE if move else Manner.COPY


def _existing(replace: bool) -> Existing:
    return Existing.REPLACE if replace else Existing.REFUSE


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Inside, SIGTERM and a closed terminal clean up as Ctrl-C does."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
