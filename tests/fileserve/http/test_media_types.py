"""What the endings of names mean, on any machine."""

import mimetypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.http.media_types import is_active, media_type

OCTETS = "application/octet-stream"

TYPES = [
    # file name              media type
    (b"film.mkv",            "video/x-matroska"),
    (b"film.mp4",            "video/mp4"),
    (b"film.m4v",            "video/mp4"),
    (b"film.webm",           "video/webm"),
    (b"film.mov",            "video/quicktime"),
    (b"live.ts",             "video/mp2t"),
    (b"live.m3u8",           "application/vnd.apple.mpegurl"),
    (b"live.mpd",            "application/dash+xml"),
    (b"film.vtt",            "text/vtt; charset=utf-8"),
    (b"film.srt",            "application/x-subrip"),
    (b"film.ass",            "text/x-ssa; charset=utf-8"),
    (b"song.flac",           "audio/flac"),
    (b"song.opus",           "audio/ogg"),                   # RFC 7845 section 9
    (b"song.mp3",            "audio/mpeg"),
    (b"song.m4a",            "audio/mp4"),
    (b"song.wav",            "audio/wav"),
    (b"a.avif",              "image/avif"),
    (b"a.jxl",               "image/jxl"),
    (b"a.heic",              "image/heic"),
    (b"a.webp",              "image/webp"),
    (b"a.jpg",               "image/jpeg"),
    (b"a.png",               "image/png"),
    (b"a.svg",               "image/svg+xml"),
    # compression is the type, never an encoding
    (b"a.gz",                "application/gzip"),
    (b"a.tar.gz",            "application/gzip"),
    (b"a.tgz",               "application/gzip"),
    (b"a.html.gz",           "application/gzip"),
    (b"a.svgz",              "application/gzip"),
    (b"a.zst",               "application/zstd"),
    (b"a.tar.zst",           "application/zstd"),
    (b"a.tar.xz",            "application/x-xz"),
    (b"a.txz",               "application/x-xz"),
    (b"a.tar.bz2",           "application/x-bzip2"),
    (b"a.tar",               "application/x-tar"),
    (b"a.zip",               "application/zip"),
    (b"a.7z",                "application/x-7z-compressed"),
    (b"a.iso",               "application/x-iso9660-image"),
    (b"a.deb",               "application/vnd.debian.binary-package"),
    (b"a.apk",               "application/vnd.android.package-archive"),
    (b"a.torrent",           "application/x-bittorrent"),
    (b"a.metalink",          "application/metalink+xml"),
    (b"a.meta4",             "application/metalink4+xml"),   # RFC 5854
    (b"a.pdf",               "application/pdf"),
    (b"a.epub",              "application/epub+zip"),
    (b"a.wasm",              "application/wasm"),
    (b"a.json",              "application/json"),
    (b"a.jsonl",             "application/jsonl"),
    (b"a.ndjson",            "application/x-ndjson"),
    (b"a.parquet",           "application/vnd.apache.parquet"),
    (b"a.xml",               "application/xml"),
    (b"a.js",                "text/javascript; charset=utf-8"),   # RFC 9239
    (b"a.mjs",               "text/javascript; charset=utf-8"),
    (b"a.html",              "text/html; charset=utf-8"),
    (b"a.css",               "text/css; charset=utf-8"),
    (b"a.csv",               "text/csv; charset=utf-8"),
    (b"a.md",                "text/markdown; charset=utf-8"),
    (b"a.txt",               "text/plain; charset=utf-8"),
    (b"a.log",               "text/plain; charset=utf-8"),
    (b"a.sha256",            "text/plain; charset=utf-8"),
    (b"a.bin",               OCTETS),
    # how the ending is found
    (b"FILM.MKV",            "video/x-matroska"),
    (b"a.Tar.Gz",            "application/gzip"),
    (b"\xff\xfe.mkv",        "video/x-matroska"),
    (b"a b\n.mkv",           "video/x-matroska"),
    (b".hidden.mkv",         "video/x-matroska"),
    (b".mkv",                OCTETS),
    (b"..mkv",               OCTETS),
    (b"mkv",                 OCTETS),
    (b"a.",                  OCTETS),
    (b"a.mkv ",              OCTETS),
    (b"a.\xff",              OCTETS),
    (b"a.unheard-of",        OCTETS),
    (b"",                    OCTETS),
    (b".",                   OCTETS),
]  # fmt: skip


@pytest.mark.parametrize(("file_name", "expected"), TYPES, ids=[repr(row[0]) for row in TYPES])
def test_a_name_has_a_media_type(file_name: bytes, expected: str) -> None:
    assert media_type(file_name) == expected


def test_the_machines_own_table_changes_nothing() -> None:
    mimetypes.add_type("application/x-of-this-machine", ".txt")
    try:
        assert media_type(b"a.txt") == "text/plain; charset=utf-8"
    finally:
        mimetypes.init()


@given(st.binary(max_size=255))
def test_any_bytes_have_a_type_that_can_be_sent(file_name: bytes) -> None:
    answer = media_type(file_name)
    assert answer.isascii()
    assert answer.isprintable()
    assert answer.count("/") == 1


ACTIVE = [
    # media type                          active
    ("text/html",                         True),
    ("text/html; charset=utf-8",          True),
    ("TEXT/HTML ;charset=utf-8",          True),
    ("application/xhtml+xml",             True),
    ("image/svg+xml",                     True),
    ("application/xml",                   True),
    ("text/xml; charset=utf-8",           True),
    ("application/rss+xml",               True),
    ("text/javascript; charset=utf-8",    True),
    ("application/javascript",            True),
    ("message/rfc822",                    True),
    ("application/pdf",                   False),
    ("text/plain; charset=utf-8",         False),
    ("text/css",                          False),
    ("text/csv",                          False),
    ("image/png",                         False),
    ("video/mp4",                         False),
    ("application/json",                  False),
    (OCTETS,                              False),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "active"), ACTIVE, ids=[row[0] for row in ACTIVE])
def test_what_a_browser_would_run_is_active(type_: str, active: bool) -> None:
    assert is_active(type_) is active


@pytest.mark.parametrize("ending", [b"html", b"htm", b"xhtml", b"svg", b"xml", b"js", b"mhtml"])
def test_names_of_active_content_have_active_types(ending: bytes) -> None:
    assert is_active(media_type(b"a." + ending))
