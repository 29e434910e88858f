"""The templates of the pages, and the static files they name, each at an address of its content.

An address holds a hash of the file, so it may be cached for ever: a new version of the service
writes new addresses into its pages.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

STATIC_PREFIX = "/-/static/"
STATIC_CACHE_CONTROL = "public, max-age=31536000, immutable"
_MEDIA_TYPES = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file under /-/static/; url is its path, with the hash of content in it."""

    url: str
    media_type: str
    content: bytes


def _load(name: str) -> StaticFile:
    content = (files(__name__) / "static" / name).read_bytes()
    stem, _, extension = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
    return StaticFile(
        f"{STATIC_PREFIX}{stem}.{digest}.{extension}", _MEDIA_TYPES[extension], content
    )


STYLE = _load("page.css")
ICON = _load("icon.svg")
STATIC_FILES: Mapping[str, StaticFile] = {file.url: file for file in (STYLE, ICON)}

_environment = Environment(
    loader=PackageLoader(__name__, ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.globals.update(style_url=STYLE.url, icon_url=ICON.url)


def template(name: str) -> Template:
    """The template of that file name in this folder; everything put into it is escaped."""
    return _environment.get_template(name)
