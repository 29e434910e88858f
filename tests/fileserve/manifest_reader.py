"""A client of `?manifest`, without a server between them, and a folder for it."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from recording_send import RecordingSend, http_scope, no_more_request
from starlette.types import Scope

from fileserve.operations.catalog_desk import CatalogDesk, Presence
from fileserve.site.known_sums import KnownSums
from fileserve.site.manifests import ManifestSources, send_manifest
from storage.known_digests import KnownDigests
from storage.local import HiddenNames, LocalStorage
from storage.names import parse_request_path

CONTROL = [
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"access-control-allow-origin", b"*"),
]
NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"
A, B = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()


@dataclass
class Asked:
    """How a manifest is asked for, and by what it is answered."""

    method: str = "GET"
    target: str = "/?manifest=sha256"
    public_url: str | None = None
    fields: dict[str, str] = field(default_factory=lambda: {"host": "files.example"})
    scope: dict[str, object] = field(default_factory=dict)
    known: KnownDigests = field(default_factory=KnownDigests)
    hidden: HiddenNames = HiddenNames.REFUSE
    kind: type[LocalStorage] = LocalStorage
    sign_of_life_seconds: float = 15.0
    send: RecordingSend = field(default_factory=RecordingSend)


def answered(root: Path, asked: Asked) -> RecordingSend:
    async def run() -> None:
        storage = asked.kind(root, hidden=asked.hidden)
        sums = KnownSums(CatalogDesk(None, Presence.LOOKED_FOR), asked.known)
        sources = ManifestSources(storage, sums, asked.public_url, asked.sign_of_life_seconds)
        scope: Scope = {**http_scope(asked.method, asked.target, **asked.fields), **asked.scope}
        name = parse_request_path(scope["raw_path"]).name
        form = scope["query_string"].decode().removeprefix("manifest=")
        try:
            await send_manifest(scope, no_more_request, asked.send, sources, name, form, CONTROL)
        finally:
            await storage.close()

    asyncio.run(run())
    return asked.send


def sums(root: Path, target: str = "/") -> bytes:
    return answered(root, Asked(target=f"{target}?manifest=sha256")).content


def metalink(root: Path, target: str = "/", **asked: object) -> ElementTree.Element:
    content = answered(root, Asked(target=f"{target}?manifest=metalink", **asked)).content
    return ElementTree.fromstring(content)


def files(element: ElementTree.Element) -> list[dict[str, str]]:
    """Name, and the text of each child, of every file."""
    return [
        {"name": file.attrib["name"]}
        | {child.tag.removeprefix(NAMESPACE): child.text or "" for child in file}
        for file in element.iter(f"{NAMESPACE}file")
    ]


def small_folder(folder: Path) -> Path:
    """folder, with /b.bin /folder/a.bin /folder/deep/empty.bin in it"""
    (folder / "folder" / "deep").mkdir(parents=True)
    (folder / "b.bin").write_bytes(b"b")
    (folder / "folder" / "a.bin").write_bytes(b"a")
    (folder / "folder" / "deep" / "empty.bin").write_bytes(b"")
    return folder
