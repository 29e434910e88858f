"""`fileserve token`: makes, lists and revokes the tokens that let programs and people in."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fileserve import console, exits
from fileserve.commands.options import (
    NEVER,
    AsJson,
    RootOption,
    end_of,
    opened_root_of,
    settings_for,
)
from storage import errors, library
from storage.catalog_records import TokenRecord
from storage.names import Name, parse_served_path, printable

if TYPE_CHECKING:
    from fileserve.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens.")

# fmt: off
TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Who or what will use it.")]
KnownName = Annotated[str, typer.Argument(
    metavar="NAME", help="As 'fileserve token list' shows it.")]
ScopeOption = Annotated[Literal["read", "write", "admin"], typer.Option(
    "--scope", help="What its holder may; each scope includes the ones before.")]
PathOption = Annotated[str, typer.Option(
    "--path", metavar="PATH", help="Only at and below this path.")]
Expires = Annotated[str, typer.Option(
    "--expires", metavar="TIME", help="Ends after 30d, 12h, 2w; or 'never'.")]
# fmt: on


@app.command()
def create(
    *,
    name: TokenName,
    scope: ScopeOption = "read",
    path: PathOption = ".",
    expires: Expires = NEVER,
    root: RootOption = None,
) -> None:
    """Make a token and print its secret, this once: only a hash of it is kept."""
    from fileserve.access.tokens import hash_of, is_token_name, new_secret  # noqa: PLC0415

    if is_token_name(name) is None:
        raise exits.UsageRefused(
            f"{name!r} is no name for a token: 1 to 64 letters, digits and ._@+- that begin with "
            "a letter or digit"
        )
    place = _place(path)
    now, secret = int(time.time()), new_secret()
    hashed, below = hash_of(secret.encode("ascii")), place.path
    record = TokenRecord(name, hashed, scope, below, now, end_of(expires, now))
    settings = settings_for(root)
    _look_at(place, settings)
    _put(settings, record)
    console.say(secret)
    console.note(f"token {name} may {_in_words(record)}; its secret is shown this once")
    if not (settings.private or settings.writable):
        console.note("a server asks for it with --private (to read) or --writable (to write)")


@app.command("list")
def list_tokens(*, as_json: AsJson = False, root: RootOption = None) -> None:
    """List all tokens, without their secrets."""
    from fileserve.commands.catalogs import existing_catalog  # noqa: PLC0415

    with existing_catalog(settings_for(root)) as catalog:
        records = [] if catalog is None else catalog.tokens()
    if as_json:
        console.say(json.dumps([_members(record) for record in records], indent=2))
    elif records:
        head = ("NAME", "SCOPE", "PATH", "CREATED", "LAST USED", "STATE")
        for line in console.columns([head, *map(_row, records)]):
            console.say(line)
    else:
        console.note("there are no tokens; 'fileserve token create NAME' makes one")


@app.command()
def revoke(*, name: KnownName, root: RootOption = None) -> None:
    """End a token for good, and the sessions begun with it."""
    from fileserve.commands.catalogs import opened_catalog  # noqa: PLC0415

    now = int(time.time())
    with opened_catalog(settings_for(root)) as catalog:
        catalog.revoke_token(name, now)
        catalog.note_event(now, console.person(), "token revoked", detail=name)
    console.say(f"revoked {name}; running servers know it within two seconds")


@app.command("end-logins")
def end_logins(*, root: RootOption = None) -> None:
    """End all logins of browsers; the tokens they began with go on."""
    from fileserve.access import keys  # noqa: PLC0415
    from fileserve.commands.catalogs import note_if_there  # noqa: PLC0415
    from fileserve.state import made_state_folder  # noqa: PLC0415

    settings = settings_for(root)
    folder = made_state_folder(settings)
    old = keys.read_keys(folder).all_for(keys.Purpose.SESSION)
    keys.rotate_key(folder, keys.Purpose.SESSION)
    for key_id in old:
        keys.remove_key(folder, keys.Purpose.SESSION, key_id)
    console.say("all logins have ended; running servers know it within two seconds")
    note_if_there(settings, "logins ended", "")


def _place(path: str) -> Name:
    try:
        return parse_served_path(path)
    except errors.NameRefused as refused:
        raise exits.UsageRefused(f"--path {path!r}: {refused}") from refused


def _look_at(place: Name, settings: "Settings") -> None:
    """Raises StorageError without a served folder; a path that is not there may come later."""
    with opened_root_of(settings) as top_folder:
        try:
            library.look(top_folder, place)
        except errors.NotFound:
            console.note(f"there is nothing at {place.display} yet")


def _put(settings: "Settings", record: TokenRecord) -> None:
    from fileserve.commands.catalogs import opened_catalog  # noqa: PLC0415

    with opened_catalog(settings) as catalog:
        catalog.put_token(record)
        detail = f"{record.name}, {record.scope}"
        now, who = record.created_at, console.person()
        catalog.note_event(now, who, "token created", record.path, detail)


def _in_words(record: TokenRecord) -> str:
    deeds = {"read": "read", "write": "read and write", "admin": "read, write and administer"}
    place = f"at and below {printable(record.path)}" if record.path else "everything"
    until = (
        f" until {console.local_second(record.expires_at)}" if record.expires_at is not None else ""
    )
    return f"{deeds[record.scope]} {place}{until}"


def _row(record: TokenRecord) -> tuple[str, ...]:
    return (
        record.name,
        record.scope,
        printable(record.path) or "/",
        console.local_second(record.created_at),
        "never" if record.last_used_at is None else console.local_second(record.last_used_at),
        _state(record),
    )


def _state(record: TokenRecord) -> str:
    if record.revoked_at is not None:
        return f"revoked {console.local_second(record.revoked_at)}"
    if record.expires_at is None:
        return "valid"
    word = "expired" if record.expires_at <= time.time() else "valid until"
    return f"{word} {console.local_second(record.expires_at)}"


def _members(record: TokenRecord) -> dict[str, str | None]:
    return {
        "name": record.name,
        "scope": record.scope,
        "path": printable(record.path) or "/",
        "created": console.utc_second(record.created_at),
        "expires": console.utc_second(record.expires_at),
        "revoked": console.utc_second(record.revoked_at),
        "last_used": console.utc_second(record.last_used_at),
    }
