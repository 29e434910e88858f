"""The servers to which files can be uploaded by PUT, each set to be at its best."""

import os
import time
from collections.abc import Sequence

from benchmarks.peers.native import NGINX, nginx_program
from benchmarks.peers.offer import Offer, Peer, python_module
from benchmarks.peers.ours import FILESERVE
from benchmarks.peers.pythonic import COPYPARTY, copyparty_environment
from fileserve.access.tokens import hash_of
from storage.catalog import Catalog
from storage.catalog_records import TokenRecord

# Of a server on loopback that lives for a minute.
SECRET = "fs_" + "B" * 43


def _fileserve(offer: Offer) -> Sequence[str]:
    state = offer.scratch / "state"
    state.mkdir(mode=0o700)
    with Catalog.open(f"sqlite:///{state}/catalog.sqlite") as catalog:
        now = int(time.time())
        catalog.put_token(TokenRecord("bench", hash_of(SECRET.encode()), "write", b"", now))
    return [*FILESERVE.command(offer), "--writable", "--state-dir", f"{state}"]


def _nginx(offer: Offer) -> Sequence[str]:
    # Its temporary files are on the file system of the root, so that it needs only to rename them.
    configuration = f"""
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1; daemon off; pid {offer.scratch}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_max_body_size 0; client_body_buffer_size 1m;
    client_body_temp_path {offer.scratch}/body; proxy_temp_path {offer.scratch}/proxy;
    fastcgi_temp_path {offer.scratch}/fastcgi; uwsgi_temp_path {offer.scratch}/uwsgi;
    scgi_temp_path {offer.scratch}/scgi;
    server {{
        listen 127.0.0.1:{offer.port}; root {offer.root};
        dav_methods PUT DELETE; create_full_put_path on;
    }}
}}
"""
    path = offer.write("nginx.conf", configuration)
    return [nginx_program(), "-c", path, "-e", "stderr", "-p", f"{offer.scratch}"]


def _copyparty(offer: Offer) -> Sequence[str]:
    command = python_module("copyparty", "-i", "127.0.0.1", "-p", f"{offer.port}", "-q")
    command += ["-v", f"{offer.root}::rw", "--no-thumb", "--hist", f"{offer.scratch}/hist"]
    return [*copyparty_environment(offer), *command]


UPLOADERS: dict[str, Peer] = {
    FILESERVE.name: Peer(FILESERVE.name, FILESERVE.title, _fileserve, FILESERVE.missing),
    NGINX.name: Peer(NGINX.name, NGINX.title, _nginx, NGINX.missing),
    COPYPARTY.name: Peer(COPYPARTY.name, COPYPARTY.title, _copyparty, COPYPARTY.missing),
}
