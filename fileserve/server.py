"""`fileserve serve`: checks what it needs, joins the parts, and serves until it is told to stop."""

import asyncio
import contextlib
import ctypes
import logging
import math
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import uvicorn

from fileserve.announcements import Announcer
from fileserve.app import Site, create_app
from fileserve.delivery.time_limits import Limits
from fileserve.delivery.zerocopy import protocol_class
from fileserve.event_loop import loop_factory
from fileserve.listening import Listeners, open_for_workers
from fileserve.open_files import connection_limit, raise_open_file_limit
from fileserve.operations.logs import log_directly
from fileserve.operations.readiness import ServiceManager
from fileserve.operations.shutdown import (
    DrainingServer,
    Events,
    ExitCode,
    Load,
    StartRefused,
    Urgency,
    leave,
)
from fileserve.operations.worker_process import STOP_NOW_SIGNAL, STOP_SIGNAL
from fileserve.settings import Settings, SettingsError
from fileserve.standard_streams import open_missing_streams
from fileserve.workers import Supervisor
from storage.beneath import Symlinks
from storage.errors import AccessDenied, NameRefused, NotAFolder, NotFound, StorageError
from storage.local import HiddenNames, LocalStorage
from storage.names import Name, parse_os_path

OPERATORS_SIGNALS: Mapping[signal.Signals, Urgency] = {
    signal.SIGTERM: Urgency.DRAIN_OR_NOW,
    signal.SIGINT: Urgency.DRAIN_OR_NOW,
    # A terminal that was closed, or an admin's habit: there is nothing to load again.
    signal.SIGHUP: Urgency.DRAIN,
}
PARENTS_SIGNALS: Mapping[signal.Signals, Urgency] = {
    STOP_SIGNAL: Urgency.DRAIN,
    STOP_NOW_SIGNAL: Urgency.NOW,
}


_M_ARENA_MAX = -8  # malloc.h
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1
_RECEIVED_BYTES = 8 << 20


def serve(settings: Settings) -> int:
    """Serves settings.root; the exit code of a start that was refused or interrupted.

    Once it has served, it does not return: the process ends with its exit code by leave().
    """
    try:
        leave(_serve(settings))
    except StartRefused as refused:
        print(f"fileserve: {refused}", file=sys.stderr)
        return refused.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _serve(settings: Settings) -> ExitCode:
    open_missing_streams()
    share_memory_between_threads()
    if settings.writable:
        keep_memory_of_received_content()
    log_directly(settings.log_format)
    raise_open_file_limit()
    storage = open_storage(settings)
    site = open_site(settings, storage)
    config = uvicorn_config(settings, site)
    listeners = open_for_workers(
        settings.host, settings.port, settings.workers, os.environ, os.getpid()
    )
    manager = ServiceManager.from_environment(os.environ, os.getpid())
    announcer = Announcer(settings, storage, listeners[0], manager)

    def run(
        signals: Mapping[signal.Signals, Urgency], listeners: Listeners, events: Events
    ) -> ExitCode:
        return run_server(
            DrainingServer(
                config,
                drain_seconds=settings.drain_seconds,
                signals=signals,
                events=SiteEvents(site, events),
            ),
            listeners,
            handshake_seconds=settings.header_timeout_seconds,
        )

    if settings.workers == 1:
        return run(OPERATORS_SIGNALS, listeners[0], announcer)
    return Supervisor(
        run_worker=partial(run, PARENTS_SIGNALS),
        listeners=listeners,
        drain_seconds=settings.drain_seconds,
        events=announcer,
    ).run()


def run_server(
    server: DrainingServer, listeners: Listeners, *, handshake_seconds: float
) -> ExitCode:
    """Serves in this process until a signal ends it.  The caller leaves: threads may hang."""
    # Never closed: closing a runner joins the threads of its default executor.
    runner = asyncio.Runner(loop_factory=loop_factory(handshake_seconds))
    try:
        runner.run(server.serve(sockets=list(listeners.sockets)))
    except SystemExit:
        # uvicorn's word for a lifespan that failed; the reason is in the log.
        return ExitCode.FAILED
    if server.first_signal is signal.SIGINT and not server.has_served:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


class SiteEvents:
    """Passes events on, and lets the site know of them in between."""

    def __init__(self, site: Site, events: Events) -> None:
        self._site = site
        self.ready = events.ready
        self.alive = events.alive
        self.drained = events.drained
        self._closed = events.closed

    def closed(self, load: Load) -> None:
        self._site.state.is_draining = True
        self._site.files.extras.stopping.set()
        self._closed(load)


def share_memory_between_threads() -> None:
    """Let glibc keep two arenas instead of one for each reading thread (mallopt(3)).

    Chunks freed in one arena are of no use to the others: 225 MB stayed resident after many
    downloads over TLS that were broken off.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def keep_memory_of_received_content() -> None:
    """Let glibc keep what received content was in, up to 8 MiB, instead of giving it back.

    Each piece of an upload would be mapped, filled with zeros by the kernel and unmapped again:
    1.26 s of CPU for a GiB instead of 0.30 (2026-11).
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        for threshold in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            ctypes.CDLL(None).mallopt(threshold, _RECEIVED_BYTES)


def open_site(settings: Settings, storage: LocalStorage) -> Site:
    """The application for storage; raises StartRefused for a root that it cannot serve."""
    try:
        return create_app(settings, storage)
    except SettingsError as error:
        raise StartRefused(ExitCode.WRONG_SETTING, str(error)) from error


def uvicorn_config(settings: Settings, site: Site) -> uvicorn.Config:
    """uvicorn, told to leave sockets, logs and the wire to us; loaded, so that forks share it.

    Raises StartRefused when the TLS files do not hold.
    """
    config = uvicorn.Config(
        site,
        http=protocol_class(wire_limits(settings)),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        server_header=False,
        headers=[("server", "fileserve")],
        limit_concurrency=connection_limit(settings.max_connections),
        timeout_keep_alive=math.ceil(settings.keep_alive_seconds),
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise _tls_refusal(settings, error) from error
    return config


def wire_limits(settings: Settings) -> Limits:
    return Limits(
        header_timeout_seconds=settings.header_timeout_seconds,
        idle_timeout_seconds=settings.idle_timeout_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        max_header_bytes=settings.max_header_bytes,
        max_target_bytes=settings.max_target_bytes,
    )


def _tls_refusal(settings: Settings, error: OSError) -> StartRefused:
    files = f"{settings.tls_certificate} and {settings.tls_key}"
    match error:
        case FileNotFoundError():
            return StartRefused(ExitCode.NOT_FOUND, f"Of the TLS files {files} one is missing.")
        case PermissionError():
            return StartRefused(
                ExitCode.NOT_PERMITTED, f"The TLS files {files} may not be read by this user."
            )
    return StartRefused(
        ExitCode.WRONG_SETTING,
        f"{files} are not a PEM certificate chain and its private key ({error.strerror or error}).",
    )


def open_storage(settings: Settings) -> LocalStorage:
    """The root as settings describe it; raises StartRefused with the reason."""
    try:
        return LocalStorage(
            settings.root,
            symlinks=Symlinks(settings.symlinks),
            hidden=HiddenNames.SHOW if settings.hidden else HiddenNames.REFUSE,
            chunked=_names(settings.chunked),
            zero_copy=_names(settings.zero_copy),
            deadline_seconds=settings.mount_deadline_seconds,
            pool_threads=settings.mount_threads,
        )
    except NameRefused as error:
        raise StartRefused(ExitCode.WRONG_SETTING, str(error)) from error
    except (NotFound, NotAFolder) as error:
        raise StartRefused(ExitCode.NOT_FOUND, str(error)) from error
    except AccessDenied as error:
        raise StartRefused(ExitCode.NOT_PERMITTED, str(error)) from error
    except StorageError as error:
        raise StartRefused(ExitCode.FAILED, str(error)) from error


def _names(paths: Sequence[str]) -> tuple[Name, ...]:
    return tuple(parse_os_path(path) for path in paths)
