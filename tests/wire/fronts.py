"""Other servers in front of ours: started with the configurations of docs/, ended by their pid."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_server import REPOSITORY, RunningServer

SOON_SECONDS = 30.0


def documented(name: str, page: str = "", place: int = 0) -> str:
    """The configuration in docs/page.md that is marked as name's, the place-th one."""
    text = (REPOSITORY / "docs" / f"{page or name}.md").read_text()
    return re.findall(rf"```{name}\n(.*?)```", text, re.DOTALL)[place]


def put(text: str, *replacements: tuple[str, str]) -> str:
    """text with each first one replaced by its second; fails where one is not in it."""
    for old, new in replacements:
        assert old in text, f"the documentation does not say {old!r} any more"
        text = text.replace(old, new)
    return text


def nginx_command(folder: Path, server: RunningServer, port: int, *, more: str = "") -> list[str]:
    """The nginx of docs/nginx.md on port, with more locations; its files are made in folder."""
    site = put(
        documented("nginx"),
        ("server 127.0.0.1:8000;", f"server {server.host}:{server.port};"),
        ("listen 80;", f"listen 127.0.0.1:{port};\n{more}"),
    )
    return nginx(folder, site)


def nginx(folder: Path, site: str, settings: str = "access_log off;") -> list[str]:
    """The command of an nginx for site, which goes inside http { ... }."""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\n{settings}\n{temporary}{site}}}\n"
    )
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy_command(folder: Path, server: RunningServer, port: int) -> list[str]:
    """The Caddy of docs/caddy.md on port."""
    site = put(
        documented("caddy"),
        ("127.0.0.1:8000", f"{server.host}:{server.port}"),
        ("files.example.org {", f"http://127.0.0.1:{port} {{"),
    )
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{site}")
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile")]


def program(name: str) -> str:
    """Where a server is installed; skips the test loudly where it is not, and fails it in CI."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        sentence = f"NOT TESTED: install {name}"
        if os.environ.get("CI", "") not in ("", "0", "false"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return found


@contextlib.contextmanager
def proxy(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """The running server of command, answering at port."""
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
