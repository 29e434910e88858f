"""The examples of docs/links.md, run as they stand there, make links that the server takes."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from fileserve.access.keys import Purpose, signing_key
from fileserve.access.links import Link, signed_path
from tests.clients.downloads import get
from tests.clients.programs import PATIENCE_SECONDS, require
from tests.running_server import REPOSITORY, running_server

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENT = (REPOSITORY / "docs" / "links.md").read_text("utf-8")
CONTENT = b"what the link is for"


def example(language: str, sign: str) -> str:
    """The block of that language that has sign in it."""
    (found,) = [
        text for kind, text in _BLOCK.findall(DOCUMENT) if kind == language and sign in text
    ]
    return str(found)


PROGRAMS = [
    # command                     language  sign         programs
    (("sh", "-c"),                "sh",     "openssl",   ("openssl", "base64")),
    (("node", "-e"),              "js",     "createHmac", ("node",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "language", "sign", "programs"), PROGRAMS, ids=["shell", "javascript"]
)
def test_an_example_makes_a_link_that_opens(
    tmp_path: Path,
    command: tuple[str, ...],
    language: str,
    sign: str,
    programs: tuple[str, ...],
) -> None:
    require(*programs)
    root, state = tmp_path / "root", tmp_path / "state"
    (root / "films").mkdir(parents=True)
    (root / "films" / "a b.mkv").write_bytes(CONTENT)
    state.mkdir()
    key = signing_key(state, Purpose.LINK)
    settings = {"FILESERVE_STATE_DIR": str(state), "FILESERVE_PRIVATE": "true"}
    with running_server(root, env=settings) as server:
        variables = {"BASE": "", "KEY": key.secret.hex(), "KEY_ID": key.key_id}
        made = subprocess.run(
            [*command, example(language, sign)],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        ).stdout.strip()
        assert get(server, made).content == CONTENT
        assert get(server, made.replace("/films/", "/film/")).status == 403
        assert get(server, "/films/a%20b.mkv").status == 401


def test_the_worked_example_is_what_the_code_signs() -> None:
    secret = bytes(range(32))
    assert secret.hex() in DOCUMENT
    link = Link("4f2a9c", (b"films",), is_folder=True)
    assert f"`BASE{signed_path(link, '3f9a1c02', secret)}`" in DOCUMENT
