"""The media type of a file by the ending of its name, and whether a browser would run it.

The table is ours, over the few types compiled into Python: what /etc/mime.types of some
machine says must not change what our users get.  Compression is a type here, never a
Content-Encoding: who downloads a .tar.gz wants to have a .tar.gz.
"""

import mimetypes
from collections.abc import Mapping
from types import MappingProxyType

UNKNOWN = "application/octet-stream"
TEXT_CHARSET = "; charset=utf-8"

# One row per type: the type, then the endings.  Where names compete, the one that browsers
# and players act upon stands here rather than the newest registration:
#   .mkv   video/x-matroska; video/matroska (RFC 9559, 2024) is unknown to most players, and
#          Firefox and Android decide by the type, not the content.
#   .m4v   video/mp4: the same container, and a type that no browser refuses.
#   .opus  audio/ogg (RFC 7845 section 9): the file is Ogg; audio/opus is the RTP payload.
#   .ts    video/mp2t: on a server of large files MPEG transport streams, not TypeScript.
#   .xml   application/xml: as text/xml our charset would overrule the file's own declaration.
#   .ass   text/x-ssa: Python's table takes this subtitle format for AAC sound.
_OWN_TYPES = """
video/x-matroska                mkv mk3d
video/mp4                       mp4 m4v mp4v
video/webm                      webm
video/mp2t                      ts m2ts mts m2t
video/ogg                       ogv
video/quicktime                 mov qt
video/x-msvideo                 avi
video/x-ms-wmv                  wmv
video/x-flv                     flv
video/mpeg                      mpg mpeg vob
video/3gpp                      3gp
video/3gpp2                     3g2
video/iso.segment               m4s
audio/x-matroska                mka
audio/mp4                       m4a m4b
audio/aac                       aac
audio/mpeg                      mp3
audio/flac                      flac
audio/ogg                       ogg oga opus spx
audio/webm                      weba
audio/wav                       wav
audio/midi                      mid midi
application/vnd.apple.mpegurl   m3u8
audio/x-mpegurl                 m3u
application/dash+xml            mpd
text/vtt                        vtt
application/x-subrip            srt
text/x-ssa                      ass ssa
image/avif                      avif
image/jxl                       jxl
image/heic                      heic
image/heif                      heif
image/webp                      webp
image/jpeg                      jpg jpeg
image/png                       png apng
image/gif                       gif
image/bmp                       bmp
image/tiff                      tif tiff
image/svg+xml                   svg
image/x-icon                    ico
application/gzip                gz tgz taz svgz
application/zstd                zst tzst
application/x-xz                xz txz
application/x-bzip2             bz2 tbz tbz2
application/x-lzip              lz
application/x-lz4               lz4
application/x-brotli            br
application/x-compress          z
application/x-7z-compressed     7z
application/vnd.rar             rar
application/zip                 zip
application/x-tar               tar
application/x-cpio              cpio
application/vnd.ms-cab-compressed           cab
application/x-iso9660-image     iso
application/x-apple-diskimage   dmg
application/vnd.debian.binary-package       deb
application/x-rpm               rpm
application/vnd.android.package-archive     apk
application/java-archive        jar
application/x-msi               msi
application/octet-stream        exe bin img raw qcow2 vmdk vdi vhd vhdx gguf safetensors
application/wasm                wasm
application/json                json map
application/geo+json            geojson
application/jsonl               jsonl
application/x-ndjson            ndjson
application/yaml                yaml yml
application/toml                toml
application/xml                 xml xsd xsl xslt
application/xhtml+xml           xhtml xht
application/rss+xml             rss
application/atom+xml            atom
application/vnd.apache.parquet  parquet
application/vnd.apache.arrow.file           arrow feather
application/vnd.sqlite3         sqlite sqlite3
application/x-hdf5              h5 hdf5
application/x-bittorrent        torrent
application/metalink+xml        metalink
application/metalink4+xml       meta4
application/pgp-signature       sig
application/pdf                 pdf
application/epub+zip            epub
application/rtf                 rtf
application/vnd.openxmlformats-officedocument.wordprocessingml.document    docx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet          xlsx
application/vnd.openxmlformats-officedocument.presentationml.presentation  pptx
application/vnd.oasis.opendocument.text           odt
application/vnd.oasis.opendocument.spreadsheet    ods
application/vnd.oasis.opendocument.presentation   odp
font/woff                       woff
font/woff2                      woff2
font/ttf                        ttf
font/otf                        otf
text/html                       html htm
text/css                        css
text/javascript                 js mjs cjs
text/csv                        csv
text/tab-separated-values       tsv
text/markdown                   md markdown
text/calendar                   ics
text/plain                      txt text log nfo ini cfg conf asc diff patch srcinfo
text/plain                      md5 sha1 sha256 sha512 md5sum sha1sum sha256sum sha512sum
text/plain                      py sh bash c h cc cpp hpp rs go java rb pl lua sql tex rst me
"""

# What is not called +xml and yet can run in the origin of the page that a browser makes of it.
# Scripts are among them although shown as text, because a worker made from one takes its
# policy from the script's own response.  MHTML is HTML in an envelope.  Not PDF: every
# browser's viewer runs a PDF's scripts outside the site's origin, and Chrome's refuses to show
# one under `Content-Security-Policy: sandbox`.
_ACTIVE_TYPES = frozenset(
    {
        "text/html",
        "text/xml",
        "application/xml",
        "text/xsl",
        "text/javascript",
        "application/javascript",
        "application/x-javascript",
        "text/ecmascript",
        "application/ecmascript",
        "application/x-shockwave-flash",
        "message/rfc822",
        "multipart/related",
        "application/x-mimearchive",
    }
)


def media_type(file_name: bytes) -> str:
    """The Content-Type of a file of this name; text is said to be UTF-8.

    The ending counts in any case of letters.  A name that only begins with dots has none.
    """
    stem, _, ending = file_name.rpartition(b".")
    if not stem.strip(b"."):
        return UNKNOWN
    return _TYPES_BY_ENDING.get(ending.lower(), UNKNOWN)


def is_active(media_type: str) -> bool:
    """Whether a browser that opens this type as a page may run what is in it."""
    essence = media_type.partition(";")[0].strip().lower()
    # Any XML may say that it is XHTML or SVG, or bring a stylesheet that makes it so.
    return essence in _ACTIVE_TYPES or essence.endswith("+xml")


def _types_by_ending() -> Mapping[bytes, str]:
    compiled_in = mimetypes.MimeTypes(filenames=()).types_map[True]
    types = {ending.removeprefix("."): type_ for ending, type_ in compiled_in.items()}
    for row in _OWN_TYPES.split("\n"):
        type_, *endings = row.split() or [""]
        types.update(dict.fromkeys(endings, type_))
    return MappingProxyType(
        {ending.encode("ascii"): _with_charset(type_) for ending, type_ in types.items()}
    )


def _with_charset(media_type: str) -> str:
    return media_type + TEXT_CHARSET if media_type.startswith("text/") else media_type


_TYPES_BY_ENDING = _types_by_ending()
