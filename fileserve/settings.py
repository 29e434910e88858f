"""Every knob of the server: its unit, default and bounds.

Constructing Settings reads nothing but its arguments; setting_layers.load_settings is what looks
around.
"""

import ipaddress
import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from fileserve.quantities import parse_bytes, parse_duration

ENVIRONMENT_PREFIX = "FILESERVE_"


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


def _check_catalog(url: str) -> str:
    if not re.match(r"(sqlite|postgresql(\+psycopg)?):", url):
        raise ValueError(
            "should be a URL like postgresql://user@host/name or sqlite:////folder/file"
        )
    return url


def _check_offload(value: str) -> str:
    if not re.fullmatch(r"(x-accel|x-sendfile) /[\x21-\x7e]*", value):
        raise ValueError("should be 'x-accel /LOCATION' or 'x-sendfile /FOLDER'")
    return value


def without_password(url: str) -> str:
    """A database URL as people may see it, in whatever form the password was written."""
    hidden = re.sub(r"(://[^/@:]*:).*@", r"\1***@", url, flags=re.DOTALL)
    return re.sub(r"([?&]password=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)


def _parse_bytes(value: object) -> object:
    return parse_bytes(value) if isinstance(value, str) else value


def _parse_duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


_TextList = NoDecode, BeforeValidator(_split_list)
RelativePaths = Annotated[tuple[Annotated[str, AfterValidator(_check_below_root)], ...], *_TextList]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_check_origin)], ...], *_TextList]
Proxies = Annotated[tuple[Annotated[str, AfterValidator(_check_proxy)], ...], *_TextList]
Bytes = Annotated[int, BeforeValidator(_parse_bytes)]
Duration = Annotated[int, BeforeValidator(_parse_duration)]
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

    state_dir: Annotated[Path, BeforeValidator(_refuse_empty)] | None = Field(
        default=None,
        description="Folder for what is known beyond the files; by default one of the user's.",
    )
    catalog: Annotated[str, AfterValidator(_check_catalog)] | None = Field(
        default=None,
        description="Database URL of the catalog; by default SQLite in the state folder.",
    )
    private: bool = Field(default=False, description="Ask for a token or a link to read, too.")
    writable: bool = Field(
        default=False, description="Let holders of a write token upload, move and delete."
    )
    upload_limit_bytes: Bytes | None = Field(
        default=None, ge=1, description="Largest file that may be uploaded."
    )
    upload_quota_bytes: Bytes | None = Field(
        default=None, ge=1, description="Most bytes that all files of the folder may have together."
    )
    upload_keep_free_bytes: Bytes = Field(
        default=1 << 26, ge=0, description="Bytes that uploads leave free on the file system."
    )
    upload_expires_seconds: Duration = Field(
        default=7 * 86_400,
        ge=60,
        le=366 * 86_400,
        description="Seconds after which an upload that nobody goes on with is forgotten.",
    )
    background_checksums: bool = Field(
        default=False, description="Compute missing checksums while serving, at low priority."
    )
    checksum_bytes_per_second: Bytes = Field(
        default=50_000_000, ge=1 << 16, description="How fast background checksums read."
    )
    digest_limit_bytes: Bytes = Field(
        default=1 << 28,
        ge=0,
        description="Largest file whose SHA-256 is computed because a request asks for it.",
    )
    offload: Annotated[str, AfterValidator(_check_offload)] | None = Field(
        default=None,
        description="Let the server in front send files: 'x-accel PREFIX' or 'x-sendfile FOLDER'.",
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
