"""The proxy configurations of docs/, as they stand there, in front of the real server."""

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running_server import REPOSITORY, RunningServer, running_server

SOON_SECONDS = 30.0
FILE_BYTES = (24 << 20) + 1
STRANGE_NAME = b"a %2F;?#+\xff.bin"
STRANGE_PATH = "/a%20%252F%3B%3F%23+%FF.bin"


def documented(name: str) -> str:
    """The configuration in docs/name.md."""
    text = (REPOSITORY / "docs" / f"{name}.md").read_text()
    block = re.search(rf"```{name}\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return block[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def put(text: str, *replacements: tuple[str, str]) -> str:
    for old, new in replacements:
        assert old in text, f"the documentation does not say {old!r} any more"
        text = text.replace(old, new)
    return text


def nginx_command(folder: Path, server: RunningServer, port: int) -> list[str]:
    site = put(
        documented("nginx"),
        ("server 127.0.0.1:8000;", f"server {server.host}:{server.port};"),
        ("listen 80;", f"listen 127.0.0.1:{port};"),
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n"
    )
    return [_program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy_command(folder: Path, server: RunningServer, port: int) -> list[str]:
    site = put(
        documented("caddy"),
        ("127.0.0.1:8000", f"{server.host}:{server.port}"),
        ("files.example.org {", f"http://127.0.0.1:{port} {{"),
    )
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{site}")
    return [_program("caddy"), "run", "--config", str(folder / "Caddyfile")]


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def proxy(command: list[str], folder: Path, port: int) -> Iterator[None]:
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, **home})
    try:
        deadline = time.monotonic() + SOON_SECONDS
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, f"{command[0]} ended"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(SOON_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.parametrize("make_command", [nginx_command, caddy_command], ids=["nginx", "caddy"])
def test_documented_proxy_passes_files_ranges_conditions_and_the_client_on(
    tmp_path: Path, make_command: Callable[[Path, RunningServer, int], list[str]]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    content = os.urandom(FILE_BYTES)
    (root / os.fsdecode(STRANGE_NAME)).write_bytes(content)
    port = free_port()
    with (
        running_server(root, "--trusted-proxy", "127.0.0.1") as server,
        proxy(make_command(tmp_path, server, port), tmp_path, port),
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, SOON_SECONDS)) as client,
    ):

        def ask(**fields: str) -> tuple[int, http.client.HTTPMessage, bytes]:
            named = {name.replace("_", "-"): value for name, value in fields.items()}
            client.request("GET", STRANGE_PATH, headers=named)
            response = client.getresponse()
            return response.status, response.headers, response.read()

        status, fields, body = ask(Accept_Encoding="gzip")
        assert status == 200
        assert hashlib.sha256(body).digest() == hashlib.sha256(content).digest()
        etag = fields["ETag"]
        assert etag.startswith('"')
        assert fields["Content-Length"] == str(FILE_BYTES)

        status, fields, body = ask(Range="bytes=-5", If_Range=etag)
        assert (status, body) == (206, content[-5:])
        assert fields["Content-Range"] == f"bytes {FILE_BYTES - 5}-{FILE_BYTES - 1}/{FILE_BYTES}"

        assert ask(Range="bytes=0-0", If_Range='"other"')[0] == 200
        assert ask(If_None_Match=etag)[0] == 304
        assert ask(Range=f"bytes={FILE_BYTES}-")[0] == 416
        assert ask(Range="bytes=0-0,9-9")[1]["Content-Type"].startswith("multipart/byteranges")

        log = server.output.wait_for("416")
        assert " 127.0.0.1 GET /a" in log
