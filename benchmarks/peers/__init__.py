"""The servers of the bench, in the order of the tables."""

from benchmarks.peers.native import CADDY, H2O, LIGHTTPD, NGINX
from benchmarks.peers.offer import Peer
from benchmarks.peers.ours import FILESERVE
from benchmarks.peers.pythonic import AIOHTTP, COPYPARTY, GRANIAN, STARLETTE

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        FILESERVE,
        NGINX,
        LIGHTTPD,
        H2O,
        CADDY,
        STARLETTE,
        AIOHTTP,
        GRANIAN,
        COPYPARTY,
    )
}
# Those that the figures to reach compare with.
MEASURES: tuple[str, ...] = (FILESERVE.name, NGINX.name, LIGHTTPD.name, STARLETTE.name)
# Those with which the scenarios are made that take long.
COMPANY: tuple[str, ...] = (FILESERVE.name, NGINX.name, STARLETTE.name)
