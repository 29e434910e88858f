"""Forms: each file streamed to the disk, under the name that was told, or refused with words."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tus_client import staged
from upload_client import STAGING, ask, full_folder, state

from fileserve.site import forms
from fileserve.site.form_parts import (
    FormParser,
    FormUnreadable,
    PartBegin,
    PartEnd,
    PartPiece,
    boundary_of,
)
from tests.descriptors import nothing_left_open

BOUNDARY = "limit"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return full_folder(tmp_path)


def part(disposition: str, content: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def file(name: str, content: bytes = b"new") -> bytes:
    return part(f'name="files"; filename="{name}"', content)


def disposed(parameters: str) -> bytes:
    return part(f'name="files"; {parameters}', b"new")


def coded(transfer_encoding: str) -> bytes:
    parameters = f'name="files"; filename="c.txt"\r\nContent-Transfer-Encoding: {transfer_encoding}'
    return part(parameters, b"new")


def text(name: str, value: str) -> bytes:
    return part(f'name="{name}"', value.encode())


END = f"--{BOUNDARY}--\r\n".encode()


def post(
    root: Path,
    target: str,
    *parts: bytes,
    accept: str = "*/*",
    path: bytes = b"",
    **settings: object,
) -> httpx.Response:
    fields = {"Content-Type": FORM, "Accept": accept}
    return ask(root, "POST", target, b"".join(parts), fields, path=path, **settings)


# fmt: off
STORED = [
    # parts                                             file              id
    ([file("a.txt")],                                   "a.txt",          "by-its-own-name"),
    ([file("d/e/a.txt")],                               "d/e/a.txt",      "in-folders"),
    ([text("name", "b.txt"), file("a.txt")],            "b.txt",          "by-another-name"),
    ([text("name", "n/b"), file("a.txt")],              "n/b",            "name-in-folder"),
    ([file("100%25.txt")],                              "100%25.txt",     "percent-stays"),
    ([file("a%22b.txt")],                               'a"b.txt',        "quote-escaped"),
    ([file("…ü ;.txt")],                                "…ü ;.txt",       "beyond-ascii"),
    ([text("replace", "yes"), file("old")],             "old",            "replacing"),
    ([file("", b""), file("a.txt")],                    "a.txt",          "one-input-left-empty"),
    ([coded("Binary")],                                 "c.txt",          "coded-as-it-is"),
    # RFC 7578 forbids filename*, .NET sends it nevertheless, beside a name that nobody can read.
    ([disposed("filename*=UTF-8''%e2%82%ac.txt")],      "€.txt",          "extended-alone"),
    ([disposed("filename=\"=?utf-8?B?4oKs?=\"; filename*=utf-8'de'%E2%82%AC.txt")],
                                                        "€.txt",          "extended-wins"),
    ([disposed("filename*=iso-8859-1''%a3.txt")],       "£.txt",          "extended-latin-1"),
    ([disposed("filename=\"x; filename*=utf-8''y\"")],  "x; filename*=utf-8''y", "quoted-is-none"),
]
# fmt: on


@pytest.mark.parametrize(
    ("parts", "name"), [row[:2] for row in STORED], ids=[row[2] for row in STORED]
)
def test_a_file_of_a_form_is_stored(root: Path, parts: list[bytes], name: str) -> None:
    answer = post(root, "/", *parts, END)
    assert answer.status_code == 201
    assert [stored["path"] for stored in answer.json()["files"]] == [f"/{name}"]
    assert (root / name).read_bytes() == b"new"


def test_a_browser_is_sent_to_the_folder(root: Path) -> None:
    answer = post(root, "/full/", file("a"), file("b"), END, accept=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/full/")
    assert answer.headers["content-length"] == "0"
    assert (root / "full" / "a").exists()
    assert (root / "full" / "b").exists()


def test_a_large_file_comes_through_as_it_is(root: Path) -> None:
    # Full of what looks like the end of a part.
    content = f"\r\n--{BOUNDARY[:-1]}\r\n".encode() * 200_000
    assert post(root, "/", file("large", content), END).status_code == 201
    assert (root / "large").read_bytes() == content


# fmt: off
REFUSED = [
    # parts                                     status  id
    ([file("old"), END],                         409, "taken"),
    ([file("../out"), END],                      400, "out"),
    ([file("/absolute"), END],                   400, "absolute"),
    ([file("a/../b"), END],                      400, "up-and-down"),
    ([file(".hidden-new"), END],                 400, "hidden"),
    ([file(f"{STAGING}/x"), END],                400, "staging"),
    ([file("-/x"), END],                         400, "own-pages"),
    ([file("full"), END],                        409, "a-folder"),
    ([file("old/x"), END],                       409, "in-a-file"),
    ([file("out/x"), END],                       409, "out-by-link"),
    ([file("x" * 256), END],                     400, "too-long"),
    ([text("name", "../x"), file("a"), END],     400, "other-name-out"),
    ([END],                                      400, "empty"),
    ([file("", b""), END],                       400, "no-file-chosen"),
    ([file("a")],                                400, "no-end"),
    ([b"nothing of a form"],                     400, "no-form"),
    ([text("x", "y" * 65_537), file("a"), END],  413, "long-field"),
    ([coded("base64"), END],                     400, "coded"),  # RFC 7578, 4.7
]
# fmt: on


@pytest.mark.parametrize(
    ("parts", "status"), [row[:2] for row in REFUSED], ids=[row[2] for row in REFUSED]
)
def test_a_refused_form_says_why(root: Path, parts: list[bytes], status: int) -> None:
    before = state(root)
    answer = post(root, "/", *parts)
    assert answer.status_code == status
    assert state(root) == before
    assert staged(root) == []


def test_files_before_a_refused_one_stay_and_are_told(root: Path) -> None:
    answer = post(root, "/", file("a"), file("old"), file("b"), END)
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("old: There is a file")
    assert "1 before it was stored" in answer.json()["detail"]
    assert (root / "a").exists()
    assert not (root / "b").exists()


def test_a_browser_finds_the_way_back_from_a_refusal(root: Path) -> None:
    response = post(root, "/", file("old"), END, accept=BROWSER, upload_limit_bytes=1_234)
    assert response.status_code == 409
    assert '<a href="">Back to the page</a>' in response.text
    large = post(root, "/", file("a", b"x" * 2_000), END, accept=BROWSER, upload_limit_bytes=1_234)
    assert "<h1>Content Too Large</h1>" in large.text  # RFC 9110 section 15.5.14
    assert "At most 1,234 bytes" in large.text


def test_fields_that_mean_nothing_are_not_kept(root: Path) -> None:
    async def many() -> AsyncIterator[bytes]:
        for number in range(2_000):
            yield text(f"{number}" + "x" * 12_000, "")
        yield file("a") + END

    tracemalloc.start()
    try:
        answer = ask(root, "POST", "/", many(), {"Content-Type": FORM})
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
    assert answer.status_code == 201


def test_a_form_of_tiny_parts_lets_others_have_their_turn() -> None:
    async def wait_beside() -> int:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        turning = asyncio.create_task(turn())
        reading = forms._slices(once(b"x" * 640_000))
        async for piece in reading:
            assert len(piece) <= 65_536
        turning.cancel()
        return turns

    async def once(piece: bytes) -> AsyncIterator[bytes]:
        yield piece

    assert asyncio.run(wait_beside()) >= 9


def test_a_form_has_so_many_files_at_most(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_MAX_FILES", 4)
    answer = post(root, "/", *(file(f"many/{number}") for number in range(5)), END)
    assert answer.status_code == 413
    assert "4 before it were stored" in answer.json()["detail"]


def test_each_file_of_a_form_has_the_limit(root: Path) -> None:
    answer = post(root, "/", file("a", b"x" * 11), file("b", b"x" * 12), END, upload_limit_bytes=11)
    assert answer.status_code == 413
    assert (root / "a").exists()
    assert not (root / "b").exists()


def test_a_form_needs_room_for_all_of_it(root: Path) -> None:
    assert post(root, "/", file("a"), END, upload_keep_free_bytes=1 << 60).status_code == 507


def test_a_form_may_not_leave_what_its_token_is_for(root: Path) -> None:
    assert post(root, "/full/", file("a"), END, path=b"full/inner").status_code == 403


def test_events_are_the_same_however_the_bytes_come() -> None:
    form = text("name", "b") + file("a", b"con\r\ntent") + END

    def events(piece_bytes: int) -> list[object]:
        parser, found = FormParser(BOUNDARY.encode()), list[object]()
        for start in range(0, len(form), piece_bytes):
            for event in parser.feed(form[start : start + piece_bytes]):
                if not isinstance(event, PartPiece):
                    found.append(event)
                elif isinstance(last := found[-1], bytes):
                    found[-1] = last + bytes(event.content)
                else:
                    found.append(bytes(event.content))
        parser.end()
        return found

    name = [PartBegin("name", None), b"b", PartEnd()]
    whole = [*name, PartBegin("files", b"a"), b"con\r\ntent", PartEnd()]
    for piece_bytes in (1, 2, 3, 7, 64, len(form)):
        assert events(piece_bytes) == whole


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=x", b"x"),
        (b'Multipart/Form-Data; charset=utf-8; boundary="x y"', b"x y"),
        (b"multipart/form-data", None),
        (b"multipart/mixed; boundary=x", None),
        (b"application/x-www-form-urlencoded", None),
        (b"", None),
    ],
)
def test_only_a_form_has_a_boundary(content_type: bytes, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


def test_a_boundary_that_is_too_long_is_none() -> None:
    with pytest.raises(FormUnreadable):
        FormParser(b"x" * 10_000)


def test_nothing_is_left_open(root: Path) -> None:
    with nothing_left_open():
        post(root, "/", file("a"), b"--")
