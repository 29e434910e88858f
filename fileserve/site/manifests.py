"""Answers `?manifest=` of a folder and `?checksum` of a file: what it takes to verify them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.problems import Field, problem
from fileserve.site import metalink
from fileserve.site.addresses import base_url
from fileserve.site.known_sums import KnownSums
from fileserve.site.manifest_forms import (
    FileSha256Form,
    ManifestForm,
    MetalinkForm,
    Pieces,
    Sha256Form,
    TreeFile,
    tree_files,
)
from fileserve.site.unvalidated import is_settled, refuse
from fileserve.site.vigil import Vigil, vigil_over
from storage.blob import Blob
from storage.checksums import FileState
from storage.errors import NotAFolder, StorageError
from storage.local import EntryKind, LocalStorage
from storage.names import Name
from storage.trees import TreeEntry


@dataclass(frozen=True, slots=True)
class ManifestSources:
    """What manifests are made with.

    public_url: the address people use, without a slash at its end; None: what the request says.
    sign_of_life_seconds: a proxy takes a server for dead that says nothing for a minute.
    """

    storage: LocalStorage
    sums: KnownSums
    public_url: str | None = None
    sign_of_life_seconds: float = 15.0


def manifest_links() -> tuple[Field, ...]:
    """The Link fields of a folder's listing: where its manifests are (RFC 8288, RFC 6249)."""
    kinds = (("metalink", metalink.MEDIA_TYPE), ("sha256", "text/plain"))
    return tuple(
        (b"link", f'<?manifest={form}>; rel=describedby; type="{kind}"'.encode("ascii"))
        for form, kind in kinds
    )


async def send_manifest(  # noqa: PLR0917 - three of them are ASGI's own
    scope: Scope,
    receive: Receive,
    send: Send,
    sources: ManifestSources,
    name: Name,
    form: str,
    fields: Sequence[Field] = (),
) -> None:
    """Answer GET or HEAD of `?manifest=FORM` on the folder name.

    Raises StorageError before the head, and TransferCut after it.
    """
    manifest = _manifest(form, sources, scope)
    if isinstance(manifest, str):
        await refuse(scope, send, problem(400, manifest), fields)
        return
    described = [*manifest.fields(name), *fields]
    if scope["method"] == "HEAD":
        # Whether there is such a folder, and no look at what is in it.
        if (await sources.storage.look(name)).kind is not EntryKind.FOLDER:
            raise NotAFolder(f"{name.display}: is a file, not a folder")
        if not await is_settled(scope, send, fields):
            await _send_head(send, described)
            await Pieces(send).finish()
        return
    async with aclosing(sources.storage.walk(name)) as batches, vigil_over(receive) as vigil:
        # Before the head, because this is where a folder turns out to be unreadable.
        first = await anext(batches)
        if await is_settled(scope, send, fields):
            return
        await _send_head(send, described)
        await _send_files(send, manifest, name, first, batches, vigil)


async def send_checksum(  # noqa: PLR0917 - three of them are ASGI's own
    scope: Scope,
    receive: Receive,
    send: Send,
    sources: ManifestSources,
    name: Name,
    blob: Blob,
    fields: Sequence[Field] = (),
) -> None:
    """Answer GET or HEAD of `?checksum` on the file name: one line for `sha256sum -c`.

    blob is the file, open, and stays the caller's.  Raises as send_manifest does.
    """
    if await is_settled(scope, send, fields):
        return
    form = FileSha256Form(sources.storage, sources.sums, sources.sign_of_life_seconds)
    await _send_head(send, [*form.fields(name), *fields])
    pieces = Pieces(send)
    if scope["method"] == "HEAD":
        await pieces.finish()
        return
    file = TreeFile((name.last,), name, FileState(blob.device, blob.fingerprint))
    await pieces.begin()
    async with vigil_over(receive) as vigil:
        try:
            await form.add(file, pieces, vigil)
        except StorageError as error:
            raise TransferCut(EndCause.UNAVAILABLE, str(error)) from error
    await pieces.finish()


async def _send_head(send: Send, fields: Sequence[Field]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(fields)})


async def _send_files(  # noqa: PLR0917 - a walk is a first batch and the others
    send: Send,
    manifest: ManifestForm,
    folder: Name,
    first: list[TreeEntry],
    batches: AsyncIterator[list[TreeEntry]],
    vigil: Vigil,
) -> None:
    pieces = Pieces(send)
    await pieces.begin()
    await pieces.add(manifest.head())
    batch: list[TreeEntry] | None = first
    try:
        while batch is not None:
            for file in tree_files(folder, batch):
                await manifest.add(file, pieces, vigil)
                vigil.check()
            await pieces.flush()
            batch = await anext(batches, None)
    except StorageError as error:
        raise TransferCut(EndCause.UNAVAILABLE, str(error)) from error
    await pieces.add(manifest.tail())
    await pieces.finish()


def _manifest(form: str, sources: ManifestSources, scope: Scope) -> ManifestForm | str:
    """The manifest that is asked for, or why there is none."""
    if form == "sha256":
        return Sha256Form(sources.storage, sources.sums, sources.sign_of_life_seconds)
    if form != "metalink":
        return "A manifest is 'sha256' or 'metalink'."
    base = base_url(scope, sources.public_url)
    if base is None:
        return "The request does not say which host it is for."
    return MetalinkForm(sources.sums, base)
