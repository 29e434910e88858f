"""A folder as a metalink (RFC 5854): its names, digests and URLs, read by an XML parser."""

import hashlib
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifest_reader import NAMESPACE, A, Asked, answered, files, metalink, small_folder

from fileserve.site.metalink import file_element, tail


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "root")


def test_a_metalink_has_names_sizes_and_urls(root: Path) -> None:
    assert files(metalink(root)) == [
        {"name": "b.bin", "size": "1", "url": "http://files.example/b.bin"},
        {"name": "folder/a.bin", "size": "1", "url": "http://files.example/folder/a.bin"},
        {
            "name": "folder/deep/empty.bin",
            "size": "0",
            "url": "http://files.example/folder/deep/empty.bin",
        },
    ]


def test_names_in_a_metalink_begin_below_its_folder(root: Path) -> None:
    found = files(metalink(root, "/folder/"))
    assert [file["name"] for file in found] == ["a.bin", "deep/empty.bin"]
    assert found[0]["url"] == "http://files.example/folder/a.bin"


def test_a_metalink_has_digests_where_they_are_known(root: Path) -> None:
    asked = Asked(target="/folder/?manifest=sha256")
    answered(root, asked)
    element = metalink(root, known=asked.known)
    found = {file["name"]: file.get("hash") for file in files(element)}
    empty = hashlib.sha256(b"").hexdigest()
    assert found == {"b.bin": None, "folder/a.bin": A, "folder/deep/empty.bin": empty}
    types = {hash_.attrib["type"] for hash_ in element.iter(f"{NAMESPACE}hash")}
    assert types == {"sha-256"}  # RFC 5854 section 4.2.5


def test_a_metalink_is_a_file_to_save(root: Path) -> None:
    fields = answered(root, Asked(target="/folder/?manifest=metalink")).fields
    assert fields["content-type"] == "application/metalink4+xml"  # RFC 5854 section 7.2
    assert fields["content-disposition"] == 'attachment; filename="folder.meta4"'
    root_fields = answered(root, Asked(target="/?manifest=metalink")).fields
    assert root_fields["content-disposition"] == 'attachment; filename="files.meta4"'


BASES = [
    ({"fields": {"host": "a.example:8080"}}, "http://a.example:8080", "host-and-port"),
    ({"fields": {"host": "a"}, "scope": {"scheme": "https"}}, "https://a", "scheme"),
    ({"fields": {"host": "[::1]:81"}}, "http://[::1]:81", "ipv6"),
    ({"public_url": "https://b.example/files"}, "https://b.example/files", "public-url"),
    ({"fields": {}}, "http://192.0.2.1:80", "http-1.0-without-host"),
    ({"fields": {"host": ""}}, "http://192.0.2.1:80", "empty-host"),
    ({"fields": {"host": 'a"><x'}}, "http://192.0.2.1:80", "no-host-at-all"),
    ({"fields": {}, "scope": {"server": ("::1", 80)}}, "http://[::1]:80", "ipv6-without-host"),
]


@pytest.mark.parametrize(("asked", "base"), [row[:2] for row in BASES], ids=[r[2] for r in BASES])
def test_urls_begin_with_what_the_request_came_to(
    root: Path, asked: dict[str, object], base: str
) -> None:
    assert files(metalink(root, **asked))[0]["url"] == f"{base}/b.bin"


def test_urls_are_those_below_a_mounted_application(root: Path) -> None:
    asked = Asked(target="/?manifest=metalink", scope={"root_path": "/files"})
    found = files(ElementTree.fromstring(answered(root, asked).content))
    assert found[0]["url"] == "http://files.example/files/b.bin"


def test_no_metalink_without_a_host(root: Path) -> None:
    on_unix_socket: dict[str, object] = {"server": ("/run/socket", None)}
    asked = Asked(target="/?manifest=metalink", fields={}, scope=on_unix_socket)
    assert answered(root, asked).status == 400


NAMES = [
    ((b"a b.bin",), "a b.bin", "space"),
    ((b"a<b>&\"'.bin",), "a<b>&\"'.bin", "markup"),
    (("ü".encode(), "日本".encode()), "ü/日本", "utf-8"),
    ((b"]]>",), "]]>", "end-of-a-cdata"),
    ((b"-->",), "-->", "end-of-a-comment"),
    ((b"...",), "...", "three-dots"),
    ((b"a:b",), None, "a-drive-on-windows"),
    ((b"12:30",), "12:30", "a-time"),
    ((b"a\\b",), None, "a-folder-on-windows"),
    ((b"..\\x",), None, "up-on-windows"),
    ((b"a\tb",), None, "tab"),
    ((b"a\nb",), None, "line-feed"),
    ((b"\x01",), None, "control"),
    ((b"\x7f",), None, "delete"),
    ((b"\xff",), None, "not-utf-8"),
    ((b"\xed\xa0\x80",), None, "surrogate"),
    (("\uffff".encode(),), None, "no-character"),
]


@pytest.mark.parametrize(("path", "name"), [row[:2] for row in NAMES], ids=[r[2] for r in NAMES])
def test_a_name_comes_through_or_is_left_out(path: tuple[bytes, ...], name: str | None) -> None:
    element = file_element(path, 1, "http://a/?x=1&y=2", None)
    if name is None:
        assert element is None
    else:
        assert element is not None
        parsed = ElementTree.fromstring(element)
        assert parsed.attrib["name"] == name
        assert [child.text for child in parsed] == ["1", "http://a/?x=1&y=2"]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=3))
def test_any_name_comes_through_or_is_left_out(path: list[bytes]) -> None:
    element = file_element(tuple(path), 1, "http://a/", None)
    if element is not None:
        name = ElementTree.fromstring(element).attrib["name"]
        assert name.encode() == b"/".join(path)


def test_names_that_are_left_out_are_counted(tmp_path: Path) -> None:
    for name in (b"a\nb", b"\xff", b"good"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
            pass
    content = answered(tmp_path, Asked(target="/?manifest=metalink")).content
    assert b"<!-- left out, because of characters in their names: 2 -->" in content
    assert [file["name"] for file in files(ElementTree.fromstring(content))] == ["good"]
    assert "<!--" not in tail(0)
