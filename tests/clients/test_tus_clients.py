"""tus-js-client and tuspy, unmodified, finish their uploads across kills of the server."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.programs import IS_BIG, PATIENCE_SECONDS, finish, not_tested, require, wait_until
from tests.clients.restarted import Restarted, restarted
from tests.known_tokens import token_for
from tests.running_server import running_server

HERE = Path(__file__).parent
SIZE = (1 << 30) if IS_BIG else (48 << 20) + 4711


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file, and its SHA-256."""
    path = tmp_path_factory.mktemp("source") / "source.bin"
    hasher = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, SIZE, 1 << 20):
            piece = os.urandom(min(1 << 20, SIZE - start))
            hasher.update(piece)
            file.write(piece)
    return path, hasher.hexdigest()


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which node finds tus-js-client."""
    require("node", "npm")
    folder = tmp_path_factory.mktemp("node")
    command = [
        "npm",
        "install",
        "--prefix",
        str(folder),
        "--no-audit",
        "--no-fund",
        "tus-js-client",
    ]
    installed = finish(command)
    if installed.returncode:
        not_tested(f"npm could not install tus-js-client: {installed.stderr[-300:]}")
    return folder


def upload_across_kills(place: Restarted, command: list[str], folder: Path) -> None:
    """Runs a client that says where it is and waits: the server is killed while it does."""
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            for line in client.stdout:
                if not line.startswith("at "):
                    assert line == "done\n"
                    break
                place.kill()
                client.stdin.write("\n")
                client.stdin.flush()
                place.start()
            assert client.wait(PATIENCE_SECONDS) == 0
        finally:
            client.kill()


@pytest.mark.parametrize(
    ("parallel", "protocol"),
    [("1", "tus-v1"), ("3", "tus-v1"), ("1", "ietf-draft-05")],
    ids=["pieces", "parts-joined", "by-the-draft-of-the-ietf"],
)
def test_tus_js_client_goes_on_after_kills(
    tmp_path: Path, node_folder: Path, source: tuple[Path, str], parallel: str, protocol: str
) -> None:
    path, sha256 = source
    script = str(HERE / "tus_js_upload.mjs")
    with restarted(tmp_path / "root") as place:
        endpoint = place.url + "-/uploads/"
        command = ["node", script, str(path), endpoint, place.secret, parallel, protocol]
        upload_across_kills(place, command, node_folder)
        assert place.kills >= 2
        assert sha256_of(place.root / "folder" / "from-js.bin") == sha256
        wait_until(lambda: place.staged_bytes() == [], "an empty staging folder")


def test_tuspy_goes_on_after_two_kills(tmp_path: Path, source: tuple[Path, str]) -> None:
    path, sha256 = source
    with restarted(tmp_path / "root") as place:
        script = str(HERE / "tuspy_upload.py")
        command = [sys.executable, script, str(path), place.url + "-/uploads/", place.secret]
        upload_across_kills(place, command, tmp_path)
        assert place.kills == 2
        assert sha256_of(place.root / "folder" / "from-python.bin") == sha256
        wait_until(lambda: place.staged_bytes() == [], "an empty staging folder")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_the_curl_lines_of_the_documentation_upload_a_file(tmp_path: Path) -> None:
    require("curl")
    text = (HERE.parents[1] / "docs" / "resumable-uploads.md").read_text()
    create, append = text.partition("```sh\n")[2].partition("```")[0].split("curl ")[1:]
    root = tmp_path / "root"
    (root / "films").mkdir(parents=True)
    secret = token_for(root)
    with running_server(root, "--writable") as server:

        def answer(line: str) -> str:
            told = line.replace("http://HOST:8000/", server.url).replace("fs_...", secret)
            return finish(["bash", "-c", f"curl -s {told}"]).stdout

        created = answer(create)
        assert "201 Created" in created
        upload_id = created.partition("/-/uploads/")[2].split()[0]
        assert "204 No Content" in answer(append.replace("uploads/ID", f"uploads/{upload_id}"))
    assert (root / "films" / "a.txt").read_text() == "hello world"
