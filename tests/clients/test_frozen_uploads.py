"""A network mount freezes below a writable root, and only uploads to that mount notice."""

import base64
import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.programs import wait_until
from tests.frozen_mount import FrozenMount, frozen_mount
from tests.known_tokens import token_for
from tests.running_server import RunningServer, running_server
from tests.wire.raw_http import connect

MIB = 1 << 20
OPTIONS = ("--writable", "--drain-seconds", "1")
# What waited for the mount would wait for longer than any client here.
NEVER = (*OPTIONS, "--mount-deadline-seconds", "3600")
# What the server allows each call that writes is twelve times as much: six seconds, in which a
# busy machine begins an upload before the freeze.
SOON = (*OPTIONS, "--mount-deadline-seconds", "0.5")
PATIENCE_SECONDS = 120.0
# More than there are threads that write to the root's own disk.
CROWD = 12


@dataclass(frozen=True, slots=True)
class Site:
    """A root with a mount in it, `films/nas`, and who may write there."""

    root: Path
    mount: FrozenMount
    secret: str

    def ask(self, server: RunningServer, method: str, path: str, *, to: str = "") -> int:
        """The status of a request; of a PUT the content is five bytes."""
        client = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE_SECONDS)
        fields = {"Authorization": f"Bearer {self.secret}"}
        fields |= {"Destination": to} if to else {}
        try:
            client.request(method, path, b"hello" if method == "PUT" else None, fields)
            return client.getresponse().status
        finally:
            client.close()

    def head(self, method: str, target: str, *fields: str) -> bytes:
        mine = ("Host: a", f"Authorization: Bearer {self.secret}", "Tus-Resumable: 1.0.0")
        lines = (f"{method} {target} HTTP/1.1", *mine, *fields)
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "root"
    (root / "films").mkdir(parents=True)
    with frozen_mount(root / "films" / "nas") as mount:
        yield Site(root, mount, token_for(root))


def test_the_files_of_a_quota_are_counted_beside_a_frozen_mount(site: Site) -> None:
    with running_server(site.root, *NEVER, "--upload-quota", "1M") as server:
        site.mount.freeze()
        try:
            assert site.ask(server, "PUT", "/a") == 201
        finally:
            site.mount.thaw()


def test_a_folder_with_a_frozen_mount_in_it_is_refused_without_a_look(site: Site) -> None:
    with running_server(site.root, *NEVER) as server:
        site.mount.freeze()
        try:
            with ThreadPoolExecutor(CROWD) as threads:
                moving = [
                    threads.submit(site.ask, server, "MOVE", "/films", to=f"/{number}/films")
                    for number in range(CROWD)
                ]
                assert site.ask(server, "PUT", "/a") == 201
                assert {move.result() for move in moving} == {403}
        finally:
            site.mount.thaw()


def test_a_mount_that_freezes_under_an_upload_is_told_to_its_client(site: Site) -> None:
    with running_server(site.root, *SOON) as server, connect(server) as client:
        name = base64.b64encode(b"films/nas/film").decode()
        about = (f"Upload-Length: {4 * MIB}", f"Upload-Metadata: filename {name}")
        created = client.ask(site.head("POST", "/-/uploads/", *about), "POST")
        address = created.field("location")
        content = ("Content-Type: application/offset+octet-stream", f"Content-Length: {4 * MIB}")
        client.send(site.head("PATCH", address, "Upload-Offset: 0", *content))
        client.send(bytes(2 * MIB))
        staged = site.mount.source / ".fileserve-uploads" / address.rpartition("/")[2]
        wait_until(lambda: staged.stat().st_size > 0, "the first bytes")
        site.mount.freeze()
        try:
            client.send(bytes(2 * MIB))
            # Several calls are waited for, one after the other.
            client._socket.settimeout(PATIENCE_SECONDS)
            assert client.answer().status == 503
        finally:
            site.mount.thaw()
