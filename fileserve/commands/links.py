"""`fileserve link`: makes signed links, lists and revokes them, renews the key that signs them."""

import re
import secrets
import sys
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from fileserve import console, exits
from fileserve.commands import link_reports
from fileserve.commands.options import AsJson, RootOption, end_of, opened_root_of, settings_for
from storage import errors, library
from storage.library import Kind
from storage.names import parse_served_path

if TYPE_CHECKING:
    # What Typer calls click; for the type checker alone, so that its place may change.
    from typer._click.core import Context

    from fileserve.access.links import Link
    from fileserve.settings import Settings

_ID_BYTES = 6
_LINK_ID = re.compile(r"[0-9a-z]{4,32}")
_TOKEN_IN_URL = re.compile(r"/-/s/([^/\s]+)")


class _LinkGroup(TyperGroup):
    """`fileserve link PATH` is `fileserve link create PATH`: what is no command is a path."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["create", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_LinkGroup,
    no_args_is_help=True,
    help="Make links that open one file or folder to whoever has them: fileserve link PATH; "
    "its options are those of create.",
)

# fmt: off
PathArgument = Annotated[str, typer.Argument(
    metavar="PATH", help="File or folder below the root; './list' for one of a command's name.")]
Expires = Annotated[str, typer.Option(
    "--expires", metavar="TIME", help="Ends after 30m, 12h, 7d, 2w; or 'never'.")]
Downloads = Annotated[int | None, typer.Option(
    "--downloads", metavar="NUMBER", min=1, show_default=False,
    help="Good for so many deliveries; resuming, seeking, many connections are one. \\[any]")]
Rate = Annotated[str | None, typer.Option(
    "--rate", metavar="BYTES", show_default=False,
    help="No faster than this in a second, like 10M, for each client. \\[no limit]")]
BindIp = Annotated[bool, typer.Option(
    "--bind-ip", help="Only for the network address that uses it first.")]
Address = Annotated[str | None, typer.Option(
    "--address", metavar="ADDRESS", show_default=False, help="Only for this IP address.")]
Attachment = Annotated[bool, typer.Option(
    "--attachment", help="Browsers save the file instead of showing it.")]
Qr = Annotated[bool | None, typer.Option(
    "--qr/--no-qr", show_default="on a terminal", help="Print it as a QR code, too.")]
LinkId = Annotated[str, typer.Argument(metavar="ID", help="The link's id, or the link itself.")]
ForgetOld = Annotated[bool, typer.Option(
    "--forget-old", help="Forget the old keys: every link made until now ends.")]
# fmt: on


@app.command()
def create(
    *,
    path: PathArgument,
    expires: Expires = "7d",
    downloads: Downloads = None,
    rate: Rate = None,
    bind_ip: BindIp = False,
    address: Address = None,
    attachment: Attachment = False,
    qr: Qr = None,
    as_json: AsJson = False,
    root: RootOption = None,
) -> None:
    """Make a link to a file, or to a folder with everything below it."""
    from fileserve.access.links import Link, signed_path  # noqa: PLC0415

    if bind_ip and address is not None:
        raise exits.UsageRefused("--bind-ip and --address exclude each other")
    settings, now = settings_for(root), int(time.time())
    segments, kind = _target(settings, path)
    link = Link(
        link_id=secrets.token_hex(_ID_BYTES),
        segments=segments,
        is_folder=kind is Kind.FOLDER,
        expires_at=end_of(expires, now),
        downloads=downloads,
        rate=_rate(rate),
        address=_address(address),
        is_attachment=attachment,
        is_bound_to_first=bind_ip,
    )
    key_id, secret = _signing_key(settings)
    _remember(settings, link, key_id, now)
    made = link_reports.Made(link, _base_url(settings), signed_path(link, key_id, secret))
    is_drawn = (sys.stdout.isatty() and not as_json) if qr is None else qr
    console.say(link_reports.made_json(made) if as_json else link_reports.made_line(made))
    if is_drawn and made.is_whole:
        console.say(link_reports.drawn(made.url))


@app.command("list")
def list_links(*, as_json: AsJson = False, root: RootOption = None) -> None:
    """List the links that were made here: what they open, how often they were used."""
    from fileserve.commands.catalogs import existing_catalog  # noqa: PLC0415

    with existing_catalog(settings_for(root)) as catalog:
        records = [] if catalog is None else catalog.links()
        used = [] if catalog is None else [catalog.deliveries(each.link_id) for each in records]
    form = link_reports.list_json if as_json else link_reports.list_lines
    for line in form([*zip(records, used, strict=True)], time.time()):
        console.say(line)


@app.command()
def revoke(*, link_id: LinkId, root: RootOption = None) -> None:
    """End a link now; also one that another program has made."""
    from fileserve.commands.catalogs import opened_catalog  # noqa: PLC0415

    found, now = _link_id(link_id), int(time.time())
    with opened_catalog(settings_for(root)) as catalog:
        is_known = any(record.link_id == found for record in catalog.links())
        catalog.revoke_link(found, now)
        catalog.note_event(now, console.person(), "link revoked", detail=found)
    console.say(f"revoked {found}")
    if not is_known:
        console.note("no link of this id was made here; another program's will not open any more")


@app.command("rotate-key")
def rotate(*, forget_old: ForgetOld = False, root: RootOption = None) -> None:
    """Sign with a new key from now on; links made before go on, but with --forget-old."""
    from fileserve.access import keys  # noqa: PLC0415
    from fileserve.commands.catalogs import note_if_there  # noqa: PLC0415
    from fileserve.state import made_state_folder  # noqa: PLC0415

    settings = settings_for(root)
    folder = made_state_folder(settings)
    new = keys.rotate_key(folder, keys.Purpose.LINK)
    old = [key_id for key_id in keys.read_keys(folder).all_for(keys.Purpose.LINK)
           if key_id != new.key_id]  # fmt: skip
    console.say(f"key {new.key_id} signs new links")
    for key_id in old:
        if forget_old:
            keys.remove_key(folder, keys.Purpose.LINK, key_id)
        console.say(f"key {key_id} {'is forgotten' if forget_old else 'goes on for old ones'}")
    detail = f"{new.key_id}, {'old ones forgotten' if forget_old else 'old go on'}"
    note_if_there(settings, "link key new", detail)


def _base_url(settings: "Settings") -> str:
    from fileserve.reports import base_url  # noqa: PLC0415

    return base_url(settings)


def _target(settings: "Settings", path: str) -> tuple[tuple[bytes, ...], Kind]:
    """What PATH means; raises NotFound for what clients could not get anyway."""
    name = parse_served_path(path)
    with opened_root_of(settings) as root:
        item = library.look(root, name)
    is_shown = settings.hidden or not name.is_hidden
    if not is_shown or item.kind not in (Kind.FILE, Kind.FOLDER):
        raise errors.NotFound(f"{name.display}: is not served, so a link would open nothing")
    return name.segments, item.kind


def _signing_key(settings: "Settings") -> tuple[str, bytes]:
    from fileserve.access.keys import Purpose, signing_key  # noqa: PLC0415
    from fileserve.state import made_state_folder  # noqa: PLC0415

    key = signing_key(made_state_folder(settings), Purpose.LINK)
    return key.key_id, key.secret


def _remember(settings: "Settings", link: "Link", key_id: str, now: int) -> None:
    """Write the link down; one that cannot be listed works all the same, so that is a remark."""
    from fileserve.commands.catalogs import opened_catalog  # noqa: PLC0415

    record = link_reports.record_of(link, key_id, now)
    try:
        with opened_catalog(settings) as catalog:
            catalog.put_link(record)
            catalog.note_event(now, console.person(), "link created", record.path, link.link_id)
    except errors.CatalogUnavailable as error:
        console.note(f"{error}; the link works, but 'fileserve link list' will not show it")


def _rate(rate: str | None) -> int | None:
    from fileserve.quantities import parse_bytes  # noqa: PLC0415

    if rate is None:
        return None
    try:
        parsed = parse_bytes(rate)
    except ValueError as error:
        raise exits.UsageRefused(f"--rate {rate!r} {error}") from error
    if parsed < 1:
        raise exits.UsageRefused("--rate 0 would send nothing at all")
    return parsed


def _address(address: str | None) -> str | None:
    if address is None:
        return None
    try:
        return str(ip_address(address))
    except ValueError as error:
        raise exits.UsageRefused(f"--address {address!r} is no IP address") from error


def _link_id(text: str) -> str:
    """The id that an admin means by an id, or by a whole link."""
    from fileserve.access.links import parse_token  # noqa: PLC0415

    in_url = _TOKEN_IN_URL.search(text)
    token = parse_token(in_url[1]) if in_url else None
    found = text if token is None else token.link_id
    if _LINK_ID.fullmatch(found) is None:
        raise exits.UsageRefused(f"{text!r} is neither the id of a link nor a link")
    return found
