"""The command line: what each command takes, prints and exits with.

What reads settings or runs the server is imported by the command that needs it, so that
`fileserve --help` answers at once.
"""

from fileserve import importing

# isort: split

import io
import json
import signal
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from fileserve import console, exits, reports
from fileserve import serve_options as knob
from fileserve.commands import checksums, contents, events, links, tokens
from fileserve.commands.options import (
    AsJson,
    Folder,
    Recursive,
    RootOption,
    opened_root_of,
    settings_for,
    settings_with,
)
from storage import errors, library
from storage.beneath import Root
from storage.library import Item, Kind, Scope
from storage.names import parse_os_path

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
EntryName = Annotated[str, typer.Argument(metavar="NAME", help="Path below the root.")]
Long = Annotated[bool, typer.Option("--long", "-l", help="Sizes and times, too.")]
Sort = Annotated[reports.SortKey, typer.Option(
    "--sort", help="By name, the largest or the newest first.")]
Reverse = Annotated[bool, typer.Option("--reverse", help="The other way round.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]
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
    settings = settings_with({**given, "root": _one_root(root, root_option)})
    from fileserve.server import serve as run_server  # noqa: PLC0415 - half a second

    raise typer.Exit(run_server(settings))


app.command()(contents.add)


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
    settings = settings_for(root)
    _end_with_the_pipe()
    with opened_root_of(settings) as top_folder:
        found = _listed(top_folder, settings, folder, Scope.TREE if recursive else Scope.ENTRY)
    items = reports.ordered(found, sort)
    for line in reports.listing_lines(items[::-1] if reverse else items, form):
        console.say(line)


@app.command()
def info(name: EntryName, as_json: AsJson = False, root: RootOption = None) -> None:
    """Show what clients are told about a file: size, type, times, ETag, URL."""
    settings = settings_for(root)
    _end_with_the_pipe()
    with opened_root_of(settings) as top_folder:
        item = _served(library.look(top_folder, parse_os_path(name)), settings)
    facts = reports.facts(item, settings)
    if as_json:
        console.say(json.dumps({fact.key: fact.value for fact in facts}, indent=2))
    else:
        for line in console.columns([(fact.label, fact.text) for fact in facts]):
            console.say(line)


app.command()(contents.remove)
app.command()(contents.move)


@app.command()
def doctor(root: RootArgument = None, root_option: RootOption = None) -> None:
    """Check the folder, its mounts and this system; says what to do."""
    settings = settings_for(_one_root(root, root_option))
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


def _one_root(argument: str | None, option: str | None) -> str | None:
    if argument is not None and option is not None:
        raise exits.UsageRefused("ROOT and --root are the same; give one of them")
    return option if argument is None else argument


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


def _form(long: bool, as_json: bool, as_csv: bool) -> reports.Form:
    if as_json and as_csv:
        raise exits.UsageRefused("--json and --csv exclude each other")
    if as_json or as_csv:
        return reports.Form.JSON if as_json else reports.Form.CSV
    return reports.Form.LONG if long else reports.Form.NAMES


def _end_with_the_pipe() -> None:
    """End silently when the reader of standard output has seen enough, as ls does."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


if __name__ == "__main__":
    main()
