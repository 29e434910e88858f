"""The command line: what each command takes, prints and exits with.

What reads settings or runs the server is imported by the command that needs it, so that
`fileserve --help` answers at once.
"""

from fileserve import importing

# isort: split

import contextlib
import io
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from fileserve import adding, console, exits, reports
from fileserve import serve_options as knob
from fileserve.commands import checksums, events, keeping, links, tokens
from storage import errors, library
from storage.additions import Manner
from storage.atomic import Existing
from storage.beneath import Root, Symlinks
from storage.library import Item, Kind, Scope
from storage.names import Name, parse_os_path, printable

if TYPE_CHECKING:
    from fileserve.settings import Settings

importing.is_done()

app = typer.Typer(
    help="A download server for folders of large files, and the commands to look after them.",
    epilog=exits.EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# fmt: off
RootArgument = Annotated[str | None, typer.Argument(
    metavar="ROOT", help="The served folder, as --root.", show_default=False)]
RootOption = Annotated[str | None, typer.Option(
    "--root", metavar="FOLDER", show_default=False,
    help="The served folder; else FILESERVE_ROOT or fileserve.toml tells.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace a file of the same name.")]
Sources = Annotated[list[str], typer.Argument(
    metavar="SOURCE", help="Files and folders; '-' is standard input.")]
ToFolder = Annotated[str, typer.Option(
    "--to", metavar="FOLDER", show_default=False, help="Folder below the root; made if missing.")]
OwnName = Annotated[str | None, typer.Option(
    "--name", metavar="NAME", help="Name of the one SOURCE from now on.", show_default=False)]
Move = Annotated[bool, typer.Option("--move", help="Remove SOURCE once it is added.")]
Link = Annotated[bool, typer.Option("--link", help="Make a hard link: no copy, the same file.")]
Folder = Annotated[str, typer.Argument(
    metavar="FOLDER", help="Folder below the root, or one file.", show_default=False)]
EntryName = Annotated[str, typer.Argument(metavar="NAME", help="Path below the root.")]
EntryNames = Annotated[list[str], typer.Argument(
    metavar="NAME", help="Files and folders below the root.")]
Long = Annotated[bool, typer.Option("--long", "-l", help="Sizes and times, too.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Folders with all they hold.")]
Sort = Annotated[reports.SortKey, typer.Option(
    "--sort", help="By name, the largest or the newest first.")]
Reverse = Annotated[bool, typer.Option("--reverse", help="The other way round.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OldName = Annotated[str, typer.Argument(metavar="OLD", help="Path below the root.")]
NewName = Annotated[str, typer.Argument(metavar="NEW", help="The new path, its name included.")]
# fmt: on


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version  # noqa: PLC0415 - a tenth of the time of --help

        console.say(f"fileserve {version('fileserve')}")
        raise typer.Exit


@app.callback()
def top(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that stand before any command."""


@app.command()
def serve(
    *,
    ctx: typer.Context,
    root: RootArgument = None,
    root_option: RootOption = None,
    symlinks: knob.Symlinks = None,
    hidden: knob.Hidden = None,
    chunked: knob.Chunked = None,
    zero_copy: knob.ZeroCopy = None,
    index: knob.Index = None,
    robots: knob.Robots = None,
    cache_control: knob.CacheControl = None,
    cors_origins: knob.CorsOrigins = None,
    state_dir: knob.StateDir = None,
    catalog: knob.Catalog = None,
    private: knob.Private = None,
    writable: knob.Writable = None,
    upload_limit_bytes: knob.UploadLimit = None,
    upload_quota_bytes: knob.UploadQuota = None,
    upload_keep_free_bytes: knob.UploadKeepFree = None,
    upload_expires_seconds: knob.UploadExpires = None,
    background_checksums: knob.BackgroundChecksums = None,
    checksum_bytes_per_second: knob.ChecksumRate = None,
    digest_limit_bytes: knob.DigestLimit = None,
    host: knob.Host = None,
    port: knob.Port = None,
    workers: knob.Workers = None,
    public_url: knob.PublicUrl = None,
    trusted_proxies: knob.TrustedProxies = None,
    offload: knob.Offload = None,
    tls_certificate: knob.TlsCertificate = None,
    tls_key: knob.TlsKey = None,
    archive_limit_members: knob.ArchiveLimitMembers = None,
    archive_limit_bytes: knob.ArchiveLimitBytes = None,
    follow_idle_seconds: knob.FollowIdle = None,
    max_connections: knob.MaxConnections = None,
    max_header_bytes: knob.MaxHeaderBytes = None,
    max_target_bytes: knob.MaxTargetBytes = None,
    header_timeout_seconds: knob.HeaderTimeout = None,
    idle_timeout_seconds: knob.IdleTimeout = None,
    keep_alive_seconds: knob.KeepAlive = None,
    drain_seconds: knob.Drain = None,
    mount_deadline_seconds: knob.MountDeadline = None,
    mount_threads: knob.MountThreads = None,
    log_format: knob.LogFormat = None,
    access_log: knob.AccessLog = None,
) -> None:
    """Serve a folder until Ctrl-C or SIGTERM; read-only without --writable."""
    given = {name: value for name, value in ctx.params.items() if value not in (None, [], ())}
    given.pop("root_option", None)
    if offload is not None:
        given["offload"] = " ".join(offload)
    settings = _settings({**given, "root": _one_root(root, root_option)})
    from fileserve.server import serve as run_server  # noqa: PLC0415 - half a second

    raise typer.Exit(run_server(settings))


@app.command()
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
    settings = _settings({"root": root})
    with _opened(settings) as top_folder, _ended_like_ctrl_c():
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


@app.command("list")
def list_entries(
    *,
    folder: Folder = ".",
    long: Long = False,
    recursive: Recursive = False,
    sort: Sort = reports.SortKey.NAME,
    reverse: Reverse = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    root: RootOption = None,
) -> None:
    """List what a folder holds for clients; names are paths below the root."""
    form = _form(long, as_json, as_csv)
    settings = _settings({"root": root})
    _end_with_the_pipe()
    with _opened(settings) as top_folder:
        found = _listed(top_folder, settings, folder, Scope.TREE if recursive else Scope.ENTRY)
    items = reports.ordered(found, sort)
    for line in reports.listing_lines(items[::-1] if reverse else items, form):
        console.say(line)


@app.command()
def info(name: EntryName, as_json: AsJson = False, root: RootOption = None) -> None:
    """Show what clients are told about a file: size, type, times, ETag, URL."""
    settings = _settings({"root": root})
    _end_with_the_pipe()
    with _opened(settings) as top_folder:
        item = _served(library.look(top_folder, parse_os_path(name)), settings)
    facts = reports.facts(item, settings)
    if as_json:
        console.say(json.dumps({fact.key: fact.value for fact in facts}, indent=2))
    else:
        for line in console.columns([(fact.label, fact.text) for fact in facts]):
            console.say(line)


@app.command()
def remove(
    names: EntryNames, yes: Yes = False, recursive: Recursive = False, root: RootOption = None
) -> None:
    """Remove files, and folders with --recursive; asks before it does."""
    settings = _settings({"root": root})
    with _opened(settings) as top_folder:
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


@app.command()
def move(old: OldName, new: NewName, replace: Replace = False, root: RootOption = None) -> None:
    """Give a file or folder another name; clients find it there at once."""
    old_name, new_name = parse_os_path(old), parse_os_path(new)
    settings = _settings({"root": root})
    with _opened(settings) as top_folder:
        library.move(top_folder, old_name, new_name, _existing(replace))
        keeping.keep_moved(settings, top_folder, old_name, new_name)
    console.say(f"{old_name.display} is now {new_name.display}")


@app.command()
def doctor(root: RootArgument = None, root_option: RootOption = None) -> None:
    """Check the folder, its mounts and this system; says what to do."""
    settings = _settings({"root": _one_root(root, root_option)})
    from fileserve.doctor import examine  # noqa: PLC0415
    from fileserve.findings import Status  # noqa: PLC0415

    worst = Status.OK
    for finding in examine(settings):
        worst = max(worst, finding.status)
        for line in finding.lines():
            console.say(line)
    if worst is Status.FAIL:
        raise typer.Exit(exits.DOCTOR_FOUND_PROBLEMS)


@app.command()
def config(as_json: AsJson = False, root: RootOption = None) -> None:
    """Show every setting, its value and where it comes from."""
    from fileserve.setting_layers import explain  # noqa: PLC0415

    rows = explain({"root": root})
    _end_with_the_pipe()
    for line in reports.setting_lines(rows, reports.Form.JSON if as_json else reports.Form.LONG):
        console.say(line)


app.command()(checksums.checksum)
app.command()(checksums.verify)
app.add_typer(tokens.app, name="token")
app.add_typer(links.app, name="link")
app.command("events")(events.events)


def main() -> NoReturn:
    """Run the command line; whatever goes wrong becomes one sentence and an exit code."""
    # A name must not fail for the encoding of a terminal.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="fileserve")
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the one place where errors end
        sys.exit(exits.explain(error))
    sys.exit(0)


def _settings(given: Mapping[str, object]) -> "Settings":
    from fileserve.setting_layers import load_settings  # noqa: PLC0415

    return load_settings(given)


def _one_root(argument: str | None, option: str | None) -> str | None:
    if argument is not None and option is not None:
        raise exits.UsageRefused("ROOT and --root are the same; give one of them")
    return option if argument is None else argument


@contextlib.contextmanager
def _opened(settings: "Settings") -> Iterator[Root]:
    with library.opened_root(settings.root, Symlinks(settings.symlinks)) as root:
        yield root


def _listed(root: Root, settings: "Settings", folder: str, scope: Scope) -> list[Item]:
    """What of a folder clients can get; a file stands for itself."""
    top_item = _served(library.look(root, parse_os_path(folder)), settings)
    if top_item.kind is Kind.FILE:
        return [top_item]
    below = library.list_folder(root, top_item.name, scope, lambda error: console.note(str(error)))
    return [item for item in below if _is_served(item, settings)]


def _served(item: Item, settings: "Settings") -> Item:
    if not _is_served(item, settings):
        reason = "is hidden (--hidden)" if item.name.is_hidden else "is no regular file"
        raise errors.NotFound(f"{item.name.display}: {reason}, so it is not served")
    return item


def _is_served(item: Item, settings: "Settings") -> bool:
    is_shown = settings.hidden or not item.name.is_hidden
    return is_shown and item.kind in (Kind.FILE, Kind.FOLDER)


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


def _form(long: bool, as_json: bool, as_csv: bool) -> reports.Form:
    if as_json and as_csv:
        raise exits.UsageRefused("--json and --csv exclude each other")
    if as_json or as_csv:
        return reports.Form.JSON if as_json else reports.Form.CSV
    return reports.Form.LONG if long else reports.Form.NAMES


def _end_with_the_pipe() -> None:
    """End silently when the reader of standard output has seen enough, as ls does."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


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


if __name__ == "__main__":
    main()
