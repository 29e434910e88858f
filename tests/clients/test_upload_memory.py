"""Large files come in without staying in the server's memory."""

import json
import time
from pathlib import Path

import pytest

from tests.clients.access_log import errors_in
from tests.clients.programs import IS_BIG, PATIENCE_SECONDS, finish, require
from tests.clients.samples import MIB, sha256_of, write_sparse
from tests.known_tokens import token_for
from tests.running_server import running_server

SIZE = (5120 if IS_BIG else 512) * MIB
LIMIT = 120 * MIB

SENDINGS = [
    # curl's words; FILE stands for the file to send
    pytest.param(("-F", "file=@FILE;filename=film.iso"), id="form"),
    pytest.param(("-T", "FILE", "URLfilm.iso"), id="put"),
]


@pytest.mark.parametrize("words", SENDINGS)
def test_an_upload_of_any_size_needs_less_than_120_mib(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    require("curl")
    root, source = tmp_path / "root", tmp_path / "source.iso"
    root.mkdir()
    write_sparse(source, SIZE)
    secret = token_for(root, "write")
    # As users run it: development mode (-X dev) needs more memory.
    with running_server(root, "--writable", python_flags=()) as server:
        told = [word.replace("FILE", str(source)).replace("URL", server.url) for word in words]
        address = [] if "URL" in words[-1] else [server.url]
        authorization = ["-H", f"Authorization: Bearer {secret}"]
        command = ["curl", "-sS", "--fail-with-body", "-m", f"{20 * PATIENCE_SECONDS:g}"]
        began = time.monotonic()
        sent = finish([*command, *authorization, *told, *address])
        seconds = time.monotonic() - began
        peak = server.peak_resident_bytes()
        print(f"{SIZE} bytes as a {words[0]}: {peak / MIB:.1f} MiB at most, {seconds:.1f} s")
        assert sent.returncode == 0, sent.stderr
        assert errors_in(server) == []
    answer = json.loads(sent.stdout)
    stored = answer["files"][0] if "files" in answer else answer
    assert (stored["size"], stored["sha256"]) == (SIZE, sha256_of(source))
    assert (root / "film.iso").stat().st_size == SIZE
    assert peak < LIMIT
