"""`?qr` draws the address that the visitor sees, and nothing that is not an address."""

import re
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
import segno

from tests.fileserve.access.test_gate import ask, site_for


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "films").mkdir(parents=True)
    (folder / "films" / "a b.txt").write_text("a")
    return folder


def dark_cells(picture: bytes) -> set[tuple[int, int]]:
    """Which modules are dark: a line is moves and strokes along rows of modules."""
    tree = ElementTree.fromstring(picture)
    line = next(path.get("d") for path in tree.iter() if path.get("stroke") == "#000")
    cells, x, y = set(), 0.0, 0.0
    for command, numbers in re.findall(r"([Mmh])([-0-9. ]+)", line or ""):
        values = [float(number) for number in numbers.split()]
        if command == "h":
            cells |= {(int(x) + step, int(y)) for step in range(int(values[0]))}
            x += values[0]
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            x, y = values
    return cells


def means(picture: bytes, address: str) -> bool:
    """Whether a picture has exactly the modules of the code of address, in a quiet zone of 4."""
    matrix = segno.make_qr(address, error="l").matrix
    wanted = {(x + 4, y + 4) for y, row in enumerate(matrix) for x, cell in enumerate(row) if cell}
    return dark_cells(picture) == wanted


def get(root: Path, target: str, **settings: object) -> httpx.Response:
    return ask(site_for(root, **settings), "GET", target)


DRAWN = [
    # target                      address that is drawn                    id
    ("/?qr",                      "http://host/",                          "root"),
    ("/films/?qr",                "http://host/films/",                    "folder"),
    ("/films/a%20b.txt?qr",       "http://host/films/a%20b.txt",           "file"),
    ("/films/?qr&sort=size",      "http://host/films/",                    "without-the-query"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "address"), [r[:2] for r in DRAWN], ids=[r[2] for r in DRAWN])
def test_the_address_is_drawn(root: Path, target: str, address: str) -> None:
    answer = get(root, target)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert means(answer.content, address)
    assert not means(answer.content, address + "x")


def test_the_public_address_is_drawn_where_it_is_known(root: Path) -> None:
    answer = get(root, "/films/?qr", public_url="https://files.example/x")
    assert means(answer.content, "https://files.example/x/films/")


def test_head_has_the_length_and_no_picture(root: Path) -> None:
    whole = get(root, "/films/?qr")
    head = ask(site_for(root), "HEAD", "/films/?qr")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.content == b""


def test_what_is_not_there_has_no_code(root: Path) -> None:
    assert get(root, "/films/nothing.txt?qr").status_code == 404


def test_an_address_too_long_for_a_phone_is_refused(root: Path) -> None:
    folder = root
    for _ in range(5):
        folder /= "long" * 60
    folder.mkdir(parents=True)
    answer = get(root, f"/{folder.relative_to(root)}/?qr")
    assert answer.status_code == 400
    assert "too long" in answer.json()["detail"]


def test_the_picture_runs_nothing_and_is_dark_on_white(root: Path) -> None:
    answer = get(root, "/films/?qr")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert b'fill="#fff"' in answer.content
    assert b"<script" not in answer.content
