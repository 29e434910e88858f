"""The options of `fileserve serve`: one for each setting, by the setting's own name.

Defaults are repeated here as text, since importing the settings would double the time of --help;
tests/cli/test_options.py compares them with fileserve.settings.
"""

from typing import Annotated, TypeAlias

import typer
from typer.models import OptionInfo

_FOLDER = "What is served"
_NETWORK = "Network"
_TRUST = "Who may"
_UPLOADS = "Uploads"
_CHECKSUMS = "Checksums"
_LIMITS = "Limits"
_RECORDS = "Logs"


def _knob(panel: str, metavar: str | None, default: str, text: str, *names: str) -> OptionInfo:
    option: OptionInfo = typer.Option(
        *names,
        metavar=metavar,
        help=f"{text} \\[{default}]" if default else text,
        rich_help_panel=panel,
        show_default=False,
    )
    return option


def _seconds(default: str, text: str) -> OptionInfo:
    return _knob(_LIMITS, "SECONDS", default, text)


# fmt: off
Text: TypeAlias = str | None
Number: TypeAlias = int | None
Seconds: TypeAlias = float | None
Switch: TypeAlias = bool | None
Texts: TypeAlias = list[str] | None

Symlinks = Annotated[Text, _knob(
    _FOLDER, "beneath|never", "beneath", "Follow symlinks that stay in the folder, or none.")]
Hidden = Annotated[Switch, _knob(
    _FOLDER, None, "", "Serve and list names that begin with a dot.")]
Chunked = Annotated[Texts, _knob(
    _FOLDER, "PATH", "", "Read this path in threads always; may be repeated.")]
ZeroCopy = Annotated[Texts, _knob(
    _FOLDER, "PATH", "", "Send this path by sendfile whatever its mount; may be repeated.")]
Index = Annotated[Switch, _knob(
    _FOLDER, None, "", "Answer a folder with its index.html where it has one.")]
Robots = Annotated[Text, _knob(
    _FOLDER, "allow|deny", "allow", "Let search engines index it, or tell them not to.")]
CacheControl = Annotated[Text, _knob(
    _FOLDER, "TEXT", "no-cache", "Cache-Control of files.")]
CorsOrigins = Annotated[Texts, _knob(
    _FOLDER, "ORIGIN", "", "Let scripts of this origin (or '*') read; may be repeated.",
    "--cors-origin")]

StateDir = Annotated[Text, _knob(
    _FOLDER, "FOLDER", "", "Keep checksums, tokens and counts here; one of the user's by default.")]
Catalog = Annotated[Text, _knob(
    _FOLDER, "URL", "", "Keep them in this database: postgresql://..., for several machines.")]

Private = Annotated[Switch, _knob(
    _TRUST, None, "", "Ask for a token or a link to read, too.")]
Writable = Annotated[Switch, _knob(
    _TRUST, None, "", "Let holders of a write token upload, move and delete.")]

UploadLimit = Annotated[Text, _knob(
    _UPLOADS, "BYTES", "", "Largest file that may be uploaded; none by default.",
    "--upload-limit")]
UploadQuota = Annotated[Text, _knob(
    _UPLOADS, "BYTES", "", "Most bytes that all files may have together; none by default.",
    "--upload-quota")]
UploadKeepFree = Annotated[Text, _knob(
    _UPLOADS, "BYTES", "64MiB", "Leave so much of the file system free.",
    "--upload-keep-free")]
UploadExpires = Annotated[Text, _knob(
    _UPLOADS, "TIME", "7d", "Forget an upload that nobody goes on with for so long.",
    "--upload-expires")]

BackgroundChecksums = Annotated[Switch, _knob(
    _CHECKSUMS, None, "", "Compute missing checksums while serving, at low priority.",
    "--background-checksums/--no-background")]
ChecksumRate = Annotated[Text, _knob(
    _CHECKSUMS, "BYTES", "50M", "Read so much in a second for them.", "--checksum-rate")]
DigestLimit = Annotated[Text, _knob(
    _CHECKSUMS, "BYTES", "256MiB", "Largest file that is hashed because a request asks.",
    "--digest-limit")]

Offload = Annotated[tuple[str, str] | None, _knob(
    _NETWORK, "KIND PREFIX", "",
    "Let the server in front send files: x-accel LOCATION or x-sendfile FOLDER.")]
Host = Annotated[Text, _knob(
    _NETWORK, "ADDRESS", "127.0.0.1", "Listen here; 0.0.0.0 or :: for everybody.")]
Port = Annotated[Number, _knob(
    _NETWORK, "PORT", "8000", "TCP port; 0 takes any free one.")]
Workers = Annotated[Number, _knob(
    _NETWORK, "NUMBER", "1", "Server processes.")]
PublicUrl = Annotated[Text, _knob(
    _NETWORK, "URL", "", "The address people use, where a proxy is in front.")]
TrustedProxies = Annotated[Texts, _knob(
    _NETWORK, "ADDRESS", "", "Believe X-Forwarded-* from here; may be repeated.",
    "--trusted-proxy")]
TlsCertificate = Annotated[Text, _knob(
    _NETWORK, "FILE", "", "PEM file with the certificate chain.")]
TlsKey = Annotated[Text, _knob(
    _NETWORK, "FILE", "", "PEM file with the private key.")]

ArchiveLimitMembers = Annotated[Number, _knob(
    _LIMITS, "NUMBER", "", "Most files and folders in one archive; none by default.")]
ArchiveLimitBytes = Annotated[Number, _knob(
    _LIMITS, "BYTES", "", "Most bytes in one archive; none by default.")]
FollowIdle = Annotated[Seconds, _knob(
    _LIMITS, "SECONDS", "60", "End ?follow after so long without growth.", "--follow-idle")]
MaxConnections = Annotated[Number, _knob(
    _LIMITS, "NUMBER", "10000", "Connections of one worker at a time; 0 sets no limit.")]
MaxHeaderBytes = Annotated[Number, _knob(
    _LIMITS, "BYTES", "65536", "Longest header block of a request.")]
MaxTargetBytes = Annotated[Number, _knob(
    _LIMITS, "BYTES", "16384", "Longest target of a request.")]
HeaderTimeout = Annotated[Seconds, _seconds("20", "For a request's header block to arrive.")]
IdleTimeout = Annotated[Seconds, _seconds("60", "Cut a reader that takes nothing for so long.")]
KeepAlive = Annotated[Seconds, _seconds("30", "A connection may wait for its next request.")]
Drain = Annotated[Seconds, _seconds("30", "Transfers may take to finish at the end.")]
MountDeadline = Annotated[Seconds, _seconds("10", "A network mount has for an answer.")]
MountThreads = Annotated[Number, _knob(
    _LIMITS, "NUMBER", "8", "Threads of each network mount.")]

LogFormat = Annotated[Text, _knob(
    _RECORDS, "text|json", "text", "Form of the log lines.")]
AccessLog = Annotated[Switch, _knob(
    _RECORDS, None, "access-log", "Write a line for each transfer that ended.")]
# fmt: on
