"""The templates of the pages, and the static files they name, each at an address of its content.

An address holds a hash of the file, so it may be cached for ever: a new version of the service
writes new addresses into its pages.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

STATIC_PREFIX = "/-/static/"
STATIC_CACHE_CONTROL = "public, max-age=31536000, immutable"
# Nothing of foreign hosts, nothing inline.  A frame is for PDF alone, in the browser's own viewer.
PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    b"media-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)

_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HASH_DIGITS = 12
# How a script or style sheet names its neighbour; the neighbour's address has its hash.
_NEIGHBOUR = re.compile(rb"(?<=[\"(]\./)[a-z_]+\.(?:js|svg)(?=[\")])")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file under /-/static/; url is its path, with the digest of content in it."""

    url: str
    digest: str
    media_type: str
    content: bytes


def _load(name: str) -> StaticFile:
    """The file of that name in static/; what it names there is named by its address."""
    raw = (files(__name__) / "static" / name).read_bytes()
    content = _NEIGHBOUR.sub(_address_of_neighbour, raw)
    stem, _, extension = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
    return StaticFile(
        f"{STATIC_PREFIX}{stem}.{digest}.{extension}", digest, _MEDIA_TYPES[extension], content
    )


def _address_of_neighbour(found: re.Match[bytes]) -> bytes:
    url = _load(found[0].decode("ascii")).url
    return url.removeprefix(STATIC_PREFIX).encode("ascii")


_NAMES = (
    *("page.css", "upload.css", "icon.svg", "get.svg"),
    *(f"{family}.svg" for family in ("folder", "link", "video", "audio", "image")),
    *(f"{family}.svg" for family in ("text", "pdf", "archive", "file")),
    *("listing.js", "view.js", "menu.js", "commands.js", "positions.js", "shortcuts.js"),
    *("sorting.js", "sizes.js", "requests.js", "tus.js", "unfinished.js", "dropped.js"),
    *("upload.js", "upload_rows.js", "manage.js", "following.js", "clipboard.js"),
)
_LOADED = {name: _load(name) for name in _NAMES}
STATIC_FILES: Mapping[str, StaticFile] = {file.url: file for file in _LOADED.values()}

_environment = Environment(
    loader=PackageLoader(__name__, ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.globals.update(urls={name: file.url for name, file in _LOADED.items()})


def template(name: str) -> Template:
    """The template of that file name in this folder; everything put into it is escaped."""
    return _environment.get_template(name)
