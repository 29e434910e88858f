"""What several commands take, and the settings that hold for them."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from fileserve import exits
from storage.beneath import Root, Symlinks
from storage.library import opened_root

if TYPE_CHECKING:
    from fileserve.settings import Settings

NEVER = "never"

# fmt: off
RootOption = Annotated[str | None, typer.Option(
    "--root", metavar="FOLDER", show_default=False,
    help="The served folder; else FILESERVE_ROOT or fileserve.toml tells.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Folder = Annotated[str, typer.Argument(
    metavar="FOLDER", help="Folder below the root, or one file.", show_default=False)]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Folders with all they hold.")]
# fmt: on


def settings_for(root: str | None) -> "Settings":
    """The settings that hold for a command with this --root; raises SettingsError."""
    return settings_with({"root": root})


def settings_with(given: Mapping[str, object]) -> "Settings":
    """The settings that hold for what the command line says; raises SettingsError."""
    from fileserve.setting_layers import load_settings  # noqa: PLC0415 - --help needs none of it

    return load_settings(given)


@contextlib.contextmanager
def opened_root_of(settings: "Settings") -> Iterator[Root]:
    """The served folder, open for the length of a block; raises StorageError."""
    with opened_root(settings.root, Symlinks(settings.symlinks)) as root:
        yield root


def end_of(expires: str, now: int) -> int | None:
    """When what is made now with --expires ends, in seconds since 1970; None is never.

    Raises UsageRefused.
    """
    from fileserve.quantities import parse_duration  # noqa: PLC0415

    if expires == NEVER:
        return None
    try:
        seconds = parse_duration(expires)
    except ValueError as error:
        raise exits.UsageRefused(f"--expires {expires!r} {error}, or 'never'") from error
    if seconds == 0:
        raise exits.UsageRefused("--expires 0 would be something that nobody can use")
    return now + seconds
