"""The sockets that clients connect to: bound here, or handed over by systemd.

A host is an address ("127.0.0.1", "::"), a name ("localhost"), or "unix:/path".  Everything that
can be wrong with it is found before the first line is printed, as one sentence for the admin.
"""

import errno
import os
import socket
import stat
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from enum import Enum

from fileserve.operations.shutdown import ExitCode, StartRefused

UNIX_PREFIX = "unix:"
FIRST_INHERITED_DESCRIPTOR = 3  # sd_listen_fds(3)
BACKLOG = 2048
# A predecessor with a stuck worker frees the port half a second after its SIGTERM.
PREDECESSOR_SECONDS = 1.5


class Owner(Enum):
    """Who made the sockets, and so who may end their listening."""

    OURS = "ours"
    SYSTEMD = "systemd"


class Sharing(Enum):
    """Whether other sockets of this user may listen on the same port (SO_REUSEPORT)."""

    NOTHING = "nothing"
    PORT = "port"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Sockets that listen.  Owned by whoever holds this value; close() ends it."""

    sockets: tuple[socket.socket, ...]
    owner: Owner

    def close(self) -> None:
        """This process listens no longer; the port is free once every process has done so."""
        for listener in self.sockets:
            listener.close()

    def silence(self) -> None:
        """Nobody listens any longer, other processes that hold these sockets included.

        For a port that must be free although a stuck process cannot close its copy.  systemd's
        sockets go on listening: they are not ours, and the next start needs them.
        """
        if self.owner is Owner.SYSTEMD:
            return
        for listener in self.sockets:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is closed here already


def open_listeners(
    host: str, port: int, environment: MutableMapping[str, str], process_id: int
) -> Listeners:
    """Listening sockets: systemd's when it handed some over, else new ones for host and port.

    Takes systemd's variables out of the environment, so that no child takes the sockets for its
    own.  Raises StartRefused.
    """
    count = _inherited_count(environment, process_id)
    if count:
        return Listeners(_inherited_sockets(count), Owner.SYSTEMD)
    if host.startswith(UNIX_PREFIX):
        return Listeners((_listen_on_path(host.removeprefix(UNIX_PREFIX)),), Owner.OURS)
    return Listeners(_listen_on_host(host, port), Owner.OURS)


def open_for_workers(
    host: str, port: int, worker_count: int, environment: MutableMapping[str, str], process_id: int
) -> list[Listeners]:
    """As open_listeners, once for each worker: sockets of its own where that is possible.

    Workers that share a socket race for each connection, and the one that is awake wins: of eight
    connections opened at once, one of two workers took all eight in five runs of eight (two
    cores, 2026-11).  With SO_REUSEPORT the kernel deals them out.  What it deals to a worker that
    crashes waits in the socket for its successor, since the parent keeps it open.
    """
    shared = open_listeners(host, port, environment, process_id)
    is_internet = all(s.family != socket.AF_UNIX for s in shared.sockets)
    if worker_count == 1 or shared.owner is Owner.SYSTEMD or not is_internet:
        return [shared] * worker_count
    # That could be opened without SO_REUSEPORT, so the port is not another server's; with it,
    # two servers of one user would share the port unasked.
    places = [(s.family, s.getsockname()[:2]) for s in shared.sockets]
    shared.close()
    try:
        return [_reopen(places) for _ in range(worker_count)]
    except OSError as error:
        raise _refusal(error, f"{host} port {port}") from error


def _reopen(places: Sequence[tuple[socket.AddressFamily, tuple[str, int]]]) -> Listeners:
    sockets = tuple(
        _listen_on_address(family, address, port, Sharing.PORT)
        for family, (address, port) in places
    )
    return Listeners(sockets, Owner.OURS)


def _inherited_count(environment: MutableMapping[str, str], process_id: int) -> int:
    """How many sockets systemd meant for this process; 0 without socket activation."""
    meant_for = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if meant_for != str(process_id) or not (count.isascii() and count.isdigit()):
        return 0
    return int(count)


def _inherited_sockets(count: int) -> tuple[socket.socket, ...]:
    sockets = []
    for descriptor in range(FIRST_INHERITED_DESCRIPTOR, FIRST_INHERITED_DESCRIPTOR + count):
        try:
            listener = socket.socket(fileno=descriptor)
        except OSError as error:
            raise StartRefused(
                ExitCode.WRONG_SETTING,
                f"LISTEN_FDS promises descriptor {descriptor}, which is no socket.",
            ) from error
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.close()
            raise StartRefused(
                ExitCode.WRONG_SETTING,
                f"The inherited socket {descriptor} does not listen; the socket unit should say "
                "ListenStream= and Accept=no.",
            )
        listener.set_inheritable(False)
        listener.setblocking(False)
        sockets.append(listener)
    return tuple(sockets)


def _listen_on_host(host: str, port: int) -> tuple[socket.socket, ...]:
    """One socket for each address of host, all on the same port (also for port 0)."""
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            bound_port = sockets[0].getsockname()[1] if sockets else port
            if listener := _listen_unless_missing(family, address, bound_port, sockets):
                sockets.append(listener)
    except StartRefused:
        for listener in sockets:
            listener.close()
        raise
    return tuple(sockets)


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise StartRefused(
            ExitCode.WRONG_SETTING,
            f"The host {host!r} is no address of this machine; use an address, 127.0.0.1, or ::.",
        ) from error
    # A dict keeps the order and drops what the resolver says twice.
    return list(dict.fromkeys((family, str(sockaddr[0])) for family, _, _, _, sockaddr in found))


def _listen_unless_missing(
    family: socket.AddressFamily, address: str, port: int, others: list[socket.socket]
) -> socket.socket | None:
    """The listening socket, or None when the address is not there but another one is."""
    try:
        return _listen_after_predecessor(family, address, port)
    except OSError as error:
        absent = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
        if absent and others:
            return None  # "localhost" names ::1 also where IPv6 is off
        raise _refusal(error, f"{address} port {port}") from error


def _listen_after_predecessor(
    family: socket.AddressFamily, address: str, port: int
) -> socket.socket:
    """A listening socket; waits a moment for a server that is told to end just now."""
    patience_ends = time.monotonic() + PREDECESSOR_SECONDS
    while True:
        try:
            return _listen_on_address(family, address, port, Sharing.NOTHING)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > patience_ends:
                raise
        time.sleep(0.05)


def _listen_on_address(
    family: socket.AddressFamily, address: str, port: int, sharing: Sharing
) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # A restart must not wait for the TIME_WAIT of the last run's connections.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sharing is Sharing.PORT:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            dual_stack = address == "::"
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual_stack))
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _listen_on_path(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _remove_stale_socket(path)
        listener.bind(path)
        # As open as 127.0.0.1 is; who should be kept out is kept out by the folder.
        os.chmod(path, 0o666)  # noqa: S103
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _refusal(error, f"{UNIX_PREFIX}{path}") from error
    return listener


def _remove_stale_socket(path: str) -> None:
    """Removes a socket that nobody listens on, as a killed server leaves it; nothing else."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def _refusal(error: OSError, place: str) -> StartRefused:
    match error.errno:
        case errno.EADDRINUSE:
            return StartRefused(
                ExitCode.ADDRESS_IN_USE,
                f"{place} is in use by another program; stop it or choose another --port.",
            )
        case errno.EACCES | errno.EPERM:
            return StartRefused(
                ExitCode.NOT_PERMITTED,
                f"Not permitted to listen on {place}; ports below 1024 and protected folders "
                "need a privilege, or socket activation.",
            )
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return StartRefused(
                ExitCode.WRONG_SETTING,
                f"This machine has no address {place}; see `ip address` for those it has.",
            )
        case errno.ENOENT | errno.ENOTDIR:
            return StartRefused(
                ExitCode.NOT_FOUND, f"{place} cannot be made: its folder does not exist."
            )
    return StartRefused(ExitCode.FAILED, f"Cannot listen on {place}: {error.strerror or error}.")
