"""The proxy configurations of docs/, as they stand there, in front of the real server."""

import contextlib
import hashlib
import http.client
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from running_server import RunningServer, free_port, running_server

from tests.known_tokens import token_for
from tests.wire.fronts import SOON_SECONDS, caddy_command, nginx_command, proxy

FILE_BYTES = (24 << 20) + 1
STRANGE_NAME = b"a %2F;?#+\xff.bin"
STRANGE_PATH = "/a%20%252F%3B%3F%23+%FF.bin"


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

        assert " 127.0.0.1 GET /a" in server.output.wait_for(f" 416 bytes={FILE_BYTES}- ")


@pytest.mark.parametrize("make_command", [nginx_command, caddy_command], ids=["nginx", "caddy"])
def test_documented_proxy_passes_uploads_of_any_size(
    tmp_path: Path, make_command: Callable[[Path, RunningServer, int], list[str]]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    content = os.urandom(FILE_BYTES)
    authorization = {"Authorization": f"Bearer {token_for(root, 'write')}"}
    port = free_port()
    with (
        running_server(root, "--writable", "--trusted-proxy", "127.0.0.1") as server,
        proxy(make_command(tmp_path, server, port), tmp_path, port),
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, SOON_SECONDS)) as client,
    ):
        for target in ("/new/one.bin", "/new/two.bin"):
            client.request("PUT", target, content, authorization)
            response = client.getresponse()
            response.read()
            assert response.status == 201
            assert (root / target[1:]).read_bytes() == content
        destination = {"Destination": f"http://127.0.0.1:{port}/three.bin"}
        client.request("MOVE", "/new/two.bin", headers={**authorization, **destination})
        assert client.getresponse().status == 201
        assert (root / "three.bin").read_bytes() == content
