"""The servers written in C and Go, each from its Debian package, each set to be at its best.

None of them writes an access log: they are measured without what they can leave out.
"""

import os
import shutil
from collections.abc import Callable, Sequence

from benchmarks.peers.offer import Ability, Offer, Peer

_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")


def _program(name: str) -> str | None:
    """Debian keeps servers where a user's PATH does not look."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SYSTEM_FOLDERS))


def _missing(name: str, package: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        return None if _program(name) else f"{name} is not installed (apt-get install {package})"

    return missing


def nginx_program() -> str:
    """What starts nginx."""
    return _program("nginx") or "nginx"


def _nginx(offer: Offer) -> Sequence[str]:
    tls = ""
    if offer.certificate:
        tls = f"ssl_certificate {offer.certificate.chain}; "
        tls += f"ssl_certificate_key {offer.certificate.key};"
    # tcp_nopush costs small ranges 40 ms each; open_file_cache saves it the open of each request.
    configuration = f"""
{"user root;" if os.geteuid() == 0 else ""}
worker_processes {offer.workers}; daemon off; pid {offer.scratch}/nginx.pid; error_log stderr crit;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off; sendfile on; tcp_nopush off; tcp_nodelay on;
    keepalive_requests 1000000000; open_file_cache max=1000 inactive=60s;
    client_body_temp_path {offer.scratch}/body; proxy_temp_path {offer.scratch}/proxy;
    fastcgi_temp_path {offer.scratch}/fastcgi; uwsgi_temp_path {offer.scratch}/uwsgi;
    scgi_temp_path {offer.scratch}/scgi;
    server {{
        listen 127.0.0.1:{offer.port} {"ssl" if tls else ""} reuseport; {tls}
        root {offer.root}; autoindex on;
    }}
}}
"""
    path = offer.write("nginx.conf", configuration)
    return [nginx_program(), "-c", path, "-e", "stderr", "-p", f"{offer.scratch}"]


def _lighttpd(offer: Offer) -> Sequence[str]:
    tls = ""
    if offer.certificate:
        tls = f"""
server.modules += ("mod_openssl")
ssl.engine = "enable"
ssl.pemfile = "{offer.certificate.chain}"
ssl.privkey = "{offer.certificate.key}"
"""
    configuration = f"""
server.modules = ("mod_dirlisting")
server.bind = "127.0.0.1"
server.port = {offer.port}
server.document-root = "{offer.root}"
server.max-worker = {offer.workers if offer.workers > 1 else 0}
server.max-fds = 16384
server.max-connections = 8192
server.max-keep-alive-requests = 1000000000
server.network-backend = "sendfile"
dir-listing.activate = "enable"
{tls}
"""
    path = offer.write("lighttpd.conf", configuration)
    return [_program("lighttpd") or "lighttpd", "-D", "-f", path]


def _h2o(offer: Offer) -> Sequence[str]:
    configuration = f"""
{"user: root" if os.geteuid() == 0 else ""}
num-threads: {offer.workers}
max-connections: 8192
listen:
  host: 127.0.0.1
  port: {offer.port}
hosts:
  default:
    paths:
      "/":
        file.dir: {offer.root}
        file.dirlisting: on
"""
    return [_program("h2o") or "h2o", "-c", offer.write("h2o.conf", configuration)]


def _caddy(offer: Offer) -> Sequence[str]:
    configuration = f"""
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{offer.port} {{
    bind 127.0.0.1
    root * {offer.root}
    file_server browse
}}
"""
    path = offer.write("Caddyfile", configuration)
    # It keeps its state where XDG says: in our scratch folder, not in the user's home.
    homes = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    state = [f"{name}={offer.scratch}" for name in homes]
    caddy = [_program("caddy") or "caddy", "run", "--config", path, "--adapter", "caddyfile"]
    return ["env", *state, *caddy]


NGINX = Peer(
    "nginx",
    "nginx",
    _nginx,
    _missing("nginx", "nginx-light"),
    frozenset({Ability.LISTING, Ability.TLS, Ability.WORKERS}),
)
LIGHTTPD = Peer(
    "lighttpd",
    "lighttpd",
    _lighttpd,
    _missing("lighttpd", "lighttpd lighttpd-mod-openssl"),
    frozenset({Ability.LISTING, Ability.TLS, Ability.WORKERS}),
)
H2O = Peer(
    "h2o", "h2o", _h2o, _missing("h2o", "h2o"), frozenset({Ability.LISTING, Ability.WORKERS})
)
CADDY = Peer("caddy", "Caddy", _caddy, _missing("caddy", "caddy"), frozenset({Ability.LISTING}))
