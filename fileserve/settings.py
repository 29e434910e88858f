"""Every knob of the server: its unit, default, bounds and where its value came from.

The command line beats the environment, the environment beats the configuration file, the file
beats the default.  The environment variable of `port` is FILESERVE_PORT; a list is written there
as JSON or with commas.  The configuration file is TOML with the same names at its top level.
Constructing Settings reads nothing but its arguments; load_settings is what looks around.
"""

import difflib
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

ENVIRONMENT_PREFIX = "FILESERVE_"
CONFIG_FILE_VARIABLE = "FILESERVE_CONFIG"
CONFIG_FILE_NAME = "fileserve.toml"
COMMAND_LINE_SOURCE = "the command line"
ENVIRONMENT_SOURCE = "the environment variable"
DEFAULT_SOURCE = "default"
NOT_SET_SOURCE = "not set"

# A relative path in a file is meant from where the file lies: a service's working folder is "/".
_PATH_SETTINGS = ("root", "tls_certificate", "tls_key")


class SettingsError(Exception):
    """A setting that cannot hold; the message is one sentence for the admin."""


def _split_list(value: object) -> object:
    """The items of a list written as one string: JSON, or separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"begins like a JSON list but is none ({error})") from error
    return [item.strip() for item in value.split(",") if item.strip()]


def _check_origin(origin: str) -> str:
    if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.\-_\[\]:]+", origin):
        raise ValueError("should be '*' or an origin like https://example.org, without a path")
    return origin


def _check_proxy(address: str) -> str:
    if address != "*":
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            raise ValueError("should be an IP address, a network like 10.0.0.0/8, or '*'") from None
    return address


def _refuse_empty(value: object) -> object:
    """An empty path would mean the current folder, and is a script's variable that was not set."""
    if value == "":
        raise ValueError("should not be empty")
    return value


def _check_below_root(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise ValueError("should be a path relative to the root, without '..'")
    return path


_TextList = NoDecode, BeforeValidator(_split_list)
RelativePaths = Annotated[tuple[Annotated[str, AfterValidator(_check_below_root)], ...], *_TextList]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_check_origin)], ...], *_TextList]
Proxies = Annotated[tuple[Annotated[str, AfterValidator(_check_proxy)], ...], *_TextList]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """What one server holds to; immutable, complete and checked."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENVIRONMENT_PREFIX)

    root: Annotated[Path, BeforeValidator(_refuse_empty)] = Field(
        description="The folder that is served, read-only."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65_535, description="TCP port; 0 takes any free one.")
    workers: int = Field(default=1, ge=1, le=256, description="Server processes.")
    symlinks: Literal["beneath", "never"] = Field(
        default="beneath", description="Follow symbolic links that stay beneath the root, or none."
    )
    hidden: bool = Field(default=False, description="Serve and list names that begin with a dot.")
    chunked: RelativePaths = Field(
        default=(), description="Paths below the root that are always read in threads."
    )
    zero_copy: RelativePaths = Field(
        default=(),
        description="Paths below the root that are sent by sendfile whatever their mount.",
    )
    index: bool = Field(
        default=False, description="Answer a folder with its index.html where it has one."
    )
    robots: Literal["allow", "deny"] = Field(
        default="allow", description="Let search engines index what is served, or tell them not to."
    )
    archive_limit_members: int | None = Field(
        default=None, ge=1, description="Most files and folders in one archive."
    )
    archive_limit_bytes: int | None = Field(
        default=None, ge=1, description="Most bytes in one archive."
    )
    follow_idle_seconds: Seconds = Field(
        default=60, description="Seconds without growth after which ?follow ends."
    )
    cache_control: str = Field(
        default="no-cache",
        pattern=r"^[\x21-\x7e][\x20-\x7e]*$",
        description="Cache-Control of files.",
    )
    cors_origins: Origins = Field(
        default=(), description="Origins whose scripts may read files; '*' is every origin."
    )
    header_timeout_seconds: Seconds = Field(
        default=20, description="Seconds in which a request's header block has to arrive."
    )
    idle_timeout_seconds: Seconds = Field(
        default=60, description="Seconds without a byte taken after which a reader is cut."
    )
    keep_alive_seconds: Seconds = Field(
        default=30, description="Seconds a connection may wait for its next request."
    )
    drain_seconds: float = Field(
        default=30,
        ge=0,
        le=86_400,
        description="Seconds that transfers may take to end at shutdown.",
    )
    mount_deadline_seconds: Seconds = Field(
        default=10, description="Seconds a network mount has for one answer."
    )
    mount_threads: int = Field(
        default=8, ge=1, le=256, description="Threads of each network mount."
    )
    max_header_bytes: int = Field(
        default=65_536, ge=1_024, le=1 << 20, description="Longest header block, in bytes."
    )
    max_target_bytes: int = Field(
        default=16_384, ge=256, le=1 << 20, description="Longest request target, in bytes."
    )
    max_connections: int = Field(
        default=10_000, ge=0, description="Connections of one worker at a time; 0 sets no limit."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Form of the log lines."
    )
    access_log: bool = Field(
        default=True, description="Write one line for each transfer that ended."
    )
    trusted_proxies: Proxies = Field(
        default=(), description="Addresses whose X-Forwarded-* fields are believed."
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file with the certificate chain."
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the private key.")
    public_url: str | None = Field(
        default=None,
        description="The address people use, printed in links; the part before the path.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments: load_settings lays the layers, so that it can name them."""
        return (init_settings,)

    @field_validator("public_url")
    @classmethod
    def _strip_public_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
            raise ValueError("should look like https://files.example.org, without '?' or '#'")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _pair_certificate_and_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self


@dataclass(frozen=True, slots=True)
class ExplainedSetting:
    """One row of `fileserve config`: what holds and where it came from."""

    name: str
    value: object
    source: str


@dataclass(frozen=True, slots=True)
class _Layer:
    """Values from one place; source names that place."""

    values: Mapping[str, object]
    source: str

    def source_of(self, name: str) -> str:
        if self.source == ENVIRONMENT_SOURCE:
            return f"{self.source} {ENVIRONMENT_PREFIX}{name.upper()}"
        return self.source


def load_settings(overrides: Mapping[str, object], config_file: Path | None = None) -> Settings:
    """The settings that hold for the command line's overrides and everything around it.

    An override of None is one that was not given.  config_file is the file to read in place of
    the search.  Raises SettingsError for the first setting that cannot hold.
    """
    return _validate(_layers(overrides, config_file))


def explain(
    overrides: Mapping[str, object], config_file: Path | None = None
) -> list[ExplainedSetting]:
    """Every setting with its value and source, also while root is not set (then None).

    Raises SettingsError like load_settings for anything else.
    """
    layers = _layers(overrides, config_file)
    stand_in = _Layer({"root": Path(os.curdir)}, NOT_SET_SOURCE)
    settings = _validate([*layers, stand_in])
    rows = []
    for name in Settings.model_fields:
        source = _source_of(name, [*layers, stand_in])
        value = None if source == NOT_SET_SOURCE else getattr(settings, name)
        rows.append(ExplainedSetting(name, value, source))
    return rows


def find_config_file() -> Path | None:
    """The configuration file that holds: FILESERVE_CONFIG, or the first that is there.

    Raises SettingsError when FILESERVE_CONFIG names a file that is not there, and for whatever
    else than a file has the name of one.
    """
    if named := os.environ.get(CONFIG_FILE_VARIABLE):
        if not Path(named).is_file():
            raise SettingsError(
                f"{CONFIG_FILE_VARIABLE} names {named}, which is no file; correct or unset it."
            )
        return Path(named)
    user_folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    places = (Path(), user_folder / "fileserve", Path("/etc/fileserve"))
    files = (place / CONFIG_FILE_NAME for place in places)
    found = next((file for file in files if os.path.lexists(file)), None)
    if found is not None and not found.is_file():
        # Passed over in silence, what it was meant to set would not hold.
        raise SettingsError(f"{found} is no regular file; replace or rename it.")
    return found


def _layers(overrides: Mapping[str, object], config_file: Path | None) -> list[_Layer]:
    """The layers that say something, strongest first."""
    given = {name: value for name, value in overrides.items() if value is not None}
    environment = EnvSettingsSource(Settings, env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True)
    layers = [
        _Layer(given, COMMAND_LINE_SOURCE),
        _Layer(environment(), ENVIRONMENT_SOURCE),
    ]
    path = config_file or find_config_file()
    if path is not None:
        layers.append(_Layer(_read_config_file(path), str(path)))
    return layers


def _read_config_file(path: Path) -> dict[str, object]:
    """The file's settings, its relative paths made absolute; raises SettingsError."""
    try:
        values: dict[str, object] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(
            f"The configuration file {path} cannot be read ({error.strerror}); "
            "correct its path or permissions."
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"The configuration file {path} is not TOML ({error}); correct it."
        ) from error
    for key in values:
        if key not in Settings.model_fields:
            raise SettingsError(f"{path} sets {key!r}, which is no setting; {_remedy(key)}.")
    for name in _PATH_SETTINGS:
        if isinstance(written := values.get(name), str) and written:
            values[name] = path.absolute().parent / Path(written).expanduser()
    return values


def _remedy(key: str) -> str:
    near = difflib.get_close_matches(key.replace("-", "_").lower(), Settings.model_fields, n=1)
    return f"perhaps {near[0]!r} is meant" if near else "remove it"


def _validate(layers: list[_Layer]) -> Settings:
    merged: dict[str, object] = {}
    for layer in reversed(layers):
        merged.update(layer.values)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_sentence(error.errors()[0], layers)) from error


def _source_of(name: str, layers: list[_Layer]) -> str:
    return next((x.source_of(name) for x in layers if name in x.values), DEFAULT_SOURCE)


def _sentence(error: ErrorDetails, layers: list[_Layer]) -> str:
    """What is wrong with which setting, where it came from, and what to do."""
    reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not error["loc"]:
        pair = ("tls_certificate", "tls_key")
        name = next(x for x in pair if _source_of(x, layers) != DEFAULT_SOURCE)
        return f"{name} is set alone (from {_source_of(name, layers)}) but {reason}; set both."
    name = str(error["loc"][0])
    variable = ENVIRONMENT_PREFIX + name.upper()
    if error["type"] == "missing":
        return (
            f"{name} is not set; give it on the command line, in {variable}, "
            f"or in {CONFIG_FILE_NAME}."
        )
    if name not in Settings.model_fields:
        return f"{name!r} from {_source_of(name, layers)} is no setting; {_remedy(name)}."
    source = _source_of(name, layers)
    return f"{name} is {error['input']!r} (from {source}) but {reason}; correct it there."
