"""`fileserve checksum` and `fileserve verify`: what they take, print and exit with."""

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from fileserve import console, exits
from fileserve.commands.options import AsJson, Folder, RootOption, opened_root_of, settings_for
from storage.errors import StorageError
from storage.names import Name, parse_served_path, printable

if TYPE_CHECKING:
    from fileserve.checking import Check
    from storage.catalog import Catalog
    from storage.catalog_records import FileDigest
    from storage.served_files import Files

# fmt: off
Names = Annotated[list[str] | None, typer.Argument(
    metavar="NAME", help="Files and folders below the root.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All files below the root, as without NAMEs.")]
Again = Annotated[bool, typer.Option("--again", help="Read files with known checksums, too.")]
ForgetMissing = Annotated[bool, typer.Option("--forget-missing", help=(
    "Forget what is missing once it was told: it was removed on purpose."))]
# fmt: on


def checksum(
    *,
    names: Names = None,
    everything: All = False,
    again: Again = False,
    as_json: AsJson = False,
    root: RootOption = None,
) -> None:
    """Compute and keep the checksums that are missing; prints them as `sha256sum -c` reads them."""
    if names and everything:
        raise exits.UsageRefused("--all and NAMEs exclude each other")
    with _opened(root) as (files, catalog, refusals):
        from fileserve.checking import Known, compute  # noqa: PLC0415 - --help needs none of it

        known = Known.COUNTS_NOT if again else Known.COUNTS
        records = (
            record
            for name in ([parse_served_path(name) for name in names] if names else [Name(())])
            for record in compute(files, catalog, name, known)
        )
        if as_json:
            _say_json_lines(_digest_members(record) for record in records)
        else:
            for record in records:
                _say_sum(record.path, record.sha256)
    if refusals:
        raise typer.Exit(exits.FAILED)


def verify(
    *,
    folder: Folder = ".",
    forget_missing: ForgetMissing = False,
    as_json: AsJson = False,
    root: RootOption = None,
) -> None:
    """Read files again and tell which are damaged, changed, missing or new."""
    counts: Counter[str] = Counter()
    gone: list[bytes] = []
    with _opened(root) as (files, catalog, refusals):
        from fileserve import checking  # noqa: PLC0415

        def told() -> "Iterator[Check]":
            for check in checking.verify(files, catalog, parse_served_path(folder)):
                counts[check.finding.value] += 1
                if check.finding.value == "missing":
                    gone.append(check.path)
                if check.finding.value != "intact":
                    yield check

        if as_json:
            _say_json_lines(_check_members(check) for check in told())
        else:
            for check in told():
                cells = (f"{check.finding.value:10}", printable(check.path), check.detail)
                console.say("  ".join(filter(None, cells)))
        if forget_missing:
            catalog.forget_digests(gone)
    note = console.note if as_json else console.say
    note(_summary(counts))
    raise typer.Exit(exits.of_verification(counts, len(refusals)))


@contextlib.contextmanager
def _opened(root: str | None) -> "Iterator[tuple[Files, Catalog, list[StorageError]]]":
    """The files and the catalog; each file that cannot be read is noted, and put into the list."""
    from fileserve.commands.catalogs import opened_catalog  # noqa: PLC0415
    from storage.served_files import Files  # noqa: PLC0415

    settings = settings_for(root)
    refusals: list[StorageError] = []

    def refused(error: StorageError) -> None:
        refusals.append(error)
        console.note(str(error))

    with (
        opened_root_of(settings) as top,
        opened_catalog(settings) as catalog,
    ):
        yield Files(top, settings.hidden, refused), catalog, refusals


def _say_sum(path: bytes, sha256: bytes) -> None:
    from fileserve.site.sha256sums import sum_line  # noqa: PLC0415

    line = sum_line(tuple(path.split(b"/")), sha256)
    if sys.stdout.isatty():
        console.say(printable(line.removesuffix(b"\n")))
    else:
        # Exactly the name, whatever bytes it is made of.
        sys.stdout.flush()
        sys.stdout.buffer.write(line)


def _say_json_lines(rows: Iterable[Mapping[str, object]]) -> None:
    """A list of objects, one a line, as they come."""
    before = "["
    for row in rows:
        # ASCII: so no control character of a name reaches a terminal.
        console.say(before + json.dumps(row))
        before = ","
    console.say("[]" if before == "[" else "]")


def _digest_members(record: "FileDigest") -> Mapping[str, object]:
    return {
        **_name_members(record.path),
        "size": record.size,
        "sha256": record.sha256.hex(),
        "crc32": f"{record.crc32:08x}",
    }


def _check_members(check: "Check") -> Mapping[str, object]:
    damaged = [{"start": start, "stop": stop} for start, stop in check.damaged]
    found = {"finding": check.finding.value, "detail": check.detail, "damaged": damaged}
    return {**_name_members(check.path), **found}


def _name_members(path: bytes) -> Mapping[str, object]:
    """name is exact where it is UTF-8; url_path is exact in any case."""
    return {
        "name": path.decode("utf-8", "replace"),
        "url_path": Name(tuple(path.split(b"/"))).url_path,
    }


def _summary(counts: Mapping[str, int]) -> str:
    told = [f"{count:,} {finding}" for finding, count in sorted(counts.items())]
    return ", ".join(told) or "no files"
