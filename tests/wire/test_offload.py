"""Files that the server in front sends, with the configurations of docs/nginx.md."""

import contextlib
import http.client
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from running_server import RunningServer, free_port, running_server

from fileserve.access.keys import Purpose, signing_key
from fileserve.access.links import Link, signed_path
from fileserve.settings import Settings
from fileserve.state import made_state_folder
from tests.known_tokens import token_for
from tests.wire.fronts import (
    SOON_SECONDS,
    documented,
    nginx,
    nginx_command,
    program,
    proxy,
    put,
)

CONTENT = bytes(range(256)) * 1024
PAGE = b"<script>alert(1)</script>"
LOCATION = "/-/offload"
# name of the file, its address
NAMES = [
    (b"plain.bin", "/plain.bin"),
    (b"a %2F;?#+.bin", "/a%20%252F%3B%3F%23+.bin"),
    (b"dots...bin", "/dots...bin"),
    (b"&'\"<>\\.bin", "/%26%27%22%3C%3E%5C.bin"),
    ("gr\u00fc\u00dfe \u65e5\u672c.bin".encode(), "/gr%C3%BC%C3%9Fe%20%E6%97%A5%E6%9C%AC.bin"),
    (b"not-utf-8-\xff\xfe.bin", "/not-utf-8-%FF%FE.bin"),
    (b"line\nbreak\r.bin", "/line%0Abreak%0D.bin"),
    (b"sub/deep/in.bin", "/sub/deep/in.bin"),
    (b"x (deleted)", "/x%20%28deleted%29"),
    (b"through-link.bin", "/through-link.bin"),
    (b"x" * 255, "/" + "x" * 255),
]
# Names that lighttpd would not find by what it is told: fileserve sends these files itself.
TOLD_TO_NOBODY = {b"x (deleted)"}
NOT_FOR_LIGHTTPD = {*TOLD_TO_NOBODY, b"not-utf-8-\xff\xfe.bin", b"line\nbreak\r.bin"}
NEVER_SERVED = ["/out.bin", "/.hidden.bin", "/pipe", "/nothing", f"{LOCATION}/plain.bin"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, read whole."""

    status: int
    fields: http.client.HTTPMessage
    content: bytes


def ask(port: int, target: str, method: str = "GET", **fields: str) -> Reply:
    """One request on a connection of its own; the names of fields have underscores."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON_SECONDS)
    with contextlib.closing(client):
        client.request(method, target, headers=named)
        response = client.getresponse()
        return Reply(response.status, response.headers, response.read())


@dataclass(frozen=True, slots=True)
class Front:
    """A server in front of ours."""

    port: int
    server: RunningServer
    root: Path

    def ask(self, target: str, method: str = "GET", **fields: str) -> Reply:
        return ask(self.port, target, method, **fields)

    def bytes_we_sent(self, target: str) -> int:
        """What fileserve itself sent for the first request for target."""
        line = self.server.output.wait_for(f" {target} ")
        return int(line.split()[-3])


def make_root(folder: Path) -> Path:
    root = folder / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    for name, _ in NAMES:
        if name != b"through-link.bin":
            (root / os.fsdecode(name)).write_bytes(CONTENT)
    (root / "through-link.bin").symlink_to("sub/deep/in.bin")
    (root / "page.html").write_bytes(PAGE)
    (root / "empty.bin").write_bytes(b"")
    (root / ".hidden.bin").write_bytes(CONTENT)
    (folder / "secret.bin").write_bytes(b"secret")
    (root / "out.bin").symlink_to("../secret.bin")
    os.mkfifo(root / "pipe")
    return root


def location(root: Path) -> str:
    return put(documented("nginx", place=1), ("/srv/files", str(root)))


def offloading_nginx(folder: Path, server: RunningServer, root: Path, port: int) -> list[str]:
    return nginx_command(folder, server, port, more=location(root))


def offloading_lighttpd(folder: Path, server: RunningServer, root: Path, port: int) -> list[str]:
    site = put(
        documented("lighttpd", page="nginx"),
        ('"port" => 8000', f'"port" => {server.port}'),
        ("/srv/files", str(root)),
    )
    (folder / "lighttpd.conf").write_text(
        f'server.document-root = "{folder}/nothing"\nserver.bind = "127.0.0.1"\n'
        f"server.port = {port}\n{site}"
    )
    return [program("lighttpd"), "-D", "-f", str(folder / "lighttpd.conf")]


@contextlib.contextmanager
def front(
    folder: Path,
    offload: str,
    command: Callable[[Path, RunningServer, Path, int], list[str]],
    *options: str,
) -> Iterator[Front]:
    root, port = make_root(folder), free_port()
    told = {"FILESERVE_OFFLOAD": offload.format(root=root)}
    with (
        running_server(root, "--trusted-proxy", "127.0.0.1", *options, env=told) as server,
        proxy(command(folder, server, root, port), folder, port),
    ):
        yield Front(port, server, root)


@pytest.fixture(scope="module")
def behind_nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    options = ("--robots", "deny", "--cors-origin", "https://player.example")
    with front(folder, f"x-accel {LOCATION}", offloading_nginx, *options) as running:
        yield running


@pytest.fixture(scope="module")
def behind_lighttpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("lighttpd")
    with front(folder, "x-sendfile {root}", offloading_lighttpd) as running:
        yield running


@pytest.mark.parametrize(("name", "target"), NAMES, ids=[target[1:20] for _, target in NAMES])
def test_nginx_sends_every_name(behind_nginx: Front, name: bytes, target: str) -> None:
    reply = behind_nginx.ask(target)
    assert (reply.status, reply.content) == (200, CONTENT)
    ours = len(CONTENT) if name in TOLD_TO_NOBODY else 0
    assert behind_nginx.bytes_we_sent(target) == ours


@pytest.mark.parametrize(("name", "target"), NAMES, ids=[target[1:20] for _, target in NAMES])
def test_lighttpd_sends_every_name_that_it_can(
    behind_lighttpd: Front, name: bytes, target: str
) -> None:
    ours = len(CONTENT) if name in NOT_FOR_LIGHTTPD else 0
    # lighttpd refuses some addresses itself; fileserve has to be asked behind its back.
    port = behind_lighttpd.server.port if ours else behind_lighttpd.port
    reply = ask(port, target)
    assert (reply.status, reply.content) == (200, CONTENT)
    assert behind_lighttpd.bytes_we_sent(target) == ours


@pytest.fixture(params=["nginx", "lighttpd"])
def behind_either(request: pytest.FixtureRequest) -> Front:
    running: Front = request.getfixturevalue(f"behind_{request.param}")
    return running


@pytest.mark.parametrize("target", NEVER_SERVED)
def test_what_fileserve_would_not_send_nobody_sends(behind_either: Front, target: str) -> None:
    reply = behind_either.ask(target)
    assert reply.status == 404
    assert CONTENT not in reply.content
    assert b"secret" not in reply.content


def test_conditions_and_ranges_are_judged_by_the_one_who_sends(behind_either: Front) -> None:
    behind, size = behind_either, len(CONTENT)
    tag = behind.ask("/plain.bin").fields["ETag"]
    part = behind.ask("/plain.bin", Range="bytes=-5", If_Range=tag)
    assert (part.status, part.content) == (206, CONTENT[-5:])
    assert part.fields["Content-Range"] == f"bytes {size - 5}-{size - 1}/{size}"
    assert behind.ask("/plain.bin", Range="bytes=0-0", If_Range='"other"').content == CONTENT
    assert behind.ask("/plain.bin", If_None_Match=tag).status == 304
    assert behind.ask("/plain.bin", Range=f"bytes={size}-").status == 416
    head = behind.ask("/plain.bin", "HEAD")
    assert (head.status, head.content, head.fields["ETag"]) == (200, b"", tag)
    assert head.fields["Content-Length"] == str(size)


def test_nothing_is_told_of_the_disk(behind_either: Front) -> None:
    for target in ("/plain.bin", "/page.html", "/empty.bin", "/nothing", "/"):
        reply = behind_either.ask(target)
        assert reply.fields["X-Accel-Redirect"] is None
        assert reply.fields["X-Sendfile"] is None
        assert str(behind_either.root).encode() not in reply.content


def test_an_empty_file_is_empty(behind_either: Front) -> None:
    reply = behind_either.ask("/empty.bin")
    assert (reply.status, reply.content, reply.fields["Content-Length"]) == (200, b"", "0")


def test_a_page_keeps_its_sandbox(behind_either: Front) -> None:
    reply = behind_either.ask("/page.html?download")
    assert (reply.status, reply.content) == (200, PAGE)
    assert reply.fields["Content-Security-Policy"] == "sandbox"
    assert reply.fields["X-Content-Type-Options"] == "nosniff"
    assert reply.fields["Content-Type"] == "text/html; charset=utf-8"
    assert reply.fields["Content-Disposition"] == 'attachment; filename="page.html"'
    assert reply.fields["Cache-Control"] == "no-cache"


def test_scripts_and_search_engines_are_told_what_they_may(behind_nginx: Front) -> None:
    reply = behind_nginx.ask("/plain.bin", Origin="https://player.example")
    assert reply.fields["Access-Control-Allow-Origin"] == "https://player.example"
    assert "Content-Range" in reply.fields["Access-Control-Expose-Headers"]
    assert reply.fields["Vary"] == "Origin"
    assert reply.fields["X-Robots-Tag"] == "noindex, nofollow"


def test_what_is_made_on_the_way_is_still_ours(behind_nginx: Front) -> None:
    assert b"plain.bin" in behind_nginx.ask("/?format=json").content
    assert behind_nginx.ask("/sub/?archive=zip").content.startswith(b"PK")
    assert b"<title>" in behind_nginx.ask("/page.html?view", Accept="text/html").content


def test_a_private_file_needs_its_token(tmp_path: Path) -> None:
    # front() makes the same folder.
    secret = token_for(tmp_path / "root", "read", "sub")
    bearer = f"Bearer {secret}"
    with front(tmp_path, f"x-accel {LOCATION}", offloading_nginx, "--private") as running:
        assert running.ask("/sub/deep/in.bin").status == 401
        assert running.ask("/sub/deep/in.bin", Authorization="Bearer fs_wrong").status == 401
        # Without a token nginx must not be a way around, whatever it is asked for.
        assert running.ask(f"{LOCATION}/sub/deep/in.bin").status == 404
        assert running.ask("/plain.bin", Authorization=bearer).status == 403
        reply = running.ask("/sub/deep/in.bin", Authorization=bearer)
        assert (reply.status, reply.content) == (200, CONTENT)
        assert running.ask("/sub/deep/in.bin", Range="bytes=0-1").status == 401


def test_a_link_opens_its_file_and_one_that_is_counted_is_sent_here(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path / "root")
    key = signing_key(made_state_folder(settings), Purpose.LINK)
    plain = Link("plain1", (b"sub",), is_folder=True)
    counted = Link("counted1", (b"plain.bin",), is_folder=False, downloads=1)
    free, paid = (signed_path(link, key.key_id, key.secret) for link in (plain, counted))
    with front(tmp_path, f"x-accel {LOCATION}", offloading_nginx, "--private") as running:
        reply = running.ask(f"{free}deep/in.bin")
        assert (reply.status, reply.content) == (200, CONTENT)
        assert running.bytes_we_sent("/-/s/plain1/sub/deep/in.bin") == 0
        assert reply.fields["Referrer-Policy"] in {"no-referrer", "same-origin"}
        assert running.ask(f"{free[:-8]}tampered/deep/in.bin").status == 403
        assert running.ask(paid).content == CONTENT
        assert running.bytes_we_sent("/-/s/counted1/plain.bin") == len(CONTENT)
        assert running.ask(paid, User_Agent="somebody else").status == 410


def test_nginx_refuses_a_symlink_that_came_meanwhile(tmp_path: Path) -> None:
    """The documented location alone: the answer that names the file is made here."""
    root, port = make_root(tmp_path), free_port()
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        answering = threading.Thread(target=_name_the_files, args=(upstream,), daemon=True)
        answering.start()
        there = f"proxy_pass http://127.0.0.1:{upstream.getsockname()[1]};"
        site = (
            f"server {{ listen 127.0.0.1:{port};\nlocation / {{ {there} }}\n{location(root)} }}\n"
        )
        with proxy(nginx(tmp_path, site), tmp_path, port):
            statuses = [
                ask(port, f"/{name}").status
                for name in ("plain.bin", "out.bin", "through-link.bin")
            ]
            _ask_to_stop(upstream)
            answering.join(SOON_SECONDS)
    assert statuses == [200, 403, 403]


def _name_the_files(upstream: socket.socket) -> None:
    """Answer each request with X-Accel-Redirect to the same path below the location."""
    while True:
        connection, _ = upstream.accept()
        with connection:
            target = connection.recv(65536).split(b" ")[1:2]
            if not target:
                return
            connection.sendall(
                b"HTTP/1.0 200 OK\r\nX-Accel-Redirect: %s%s\r\n\r\n"
                % (LOCATION.encode(), target[0])
            )


def _ask_to_stop(upstream: socket.socket) -> None:
    socket.create_connection(upstream.getsockname()).close()


def test_nginx_logs_links_without_their_signature(tmp_path: Path) -> None:
    log, port = tmp_path / "files.log", free_port()
    settings = put(documented("nginx", place=2), ("/var/log/nginx/files.log", str(log)))
    site = f"server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}\n"
    signed = ("/-/s/1.k1.terms.SIGNED/a.mkv?view", "//%2d/%73/1.k1.terms.SIGNED/a.mkv")
    targets = (*signed, "/films/s/a.mkv?q=1", "/-/s/1.k1.terms.SIGNED")
    with proxy(nginx(tmp_path, site, settings), tmp_path, port):
        statuses = [ask(port, target).status for target in targets]
    assert statuses == [204] * 4
    written = [line.split('"')[1] for line in log.read_text().splitlines()]
    assert written == [
        "GET /-/s/-/a.mkv",
        "GET //%2d/%73/-/a.mkv",
        "GET /films/s/a.mkv?q=1",
        "GET /-/s/-",
    ]
