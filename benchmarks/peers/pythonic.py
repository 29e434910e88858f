"""The servers from PyPI, installed by the extra `bench`; none of them writes an access log."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers.offer import Ability, Offer, Peer, python_module

_STARLETTE_APPLICATION = "benchmarks.apps.starlette_app:app"


def _missing(module: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if importlib.util.find_spec(module):
            return None
        return f"{module} is not installed (pip install '.[bench]')"

    return missing


def _with_root(offer: Offer, command: Sequence[str]) -> list[str]:
    return ["env", f"BENCH_ROOT={offer.root}", *command]


def _starlette(offer: Offer) -> Sequence[str]:
    command = python_module("uvicorn", _STARLETTE_APPLICATION, "--port", f"{offer.port}")
    command += ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off"]
    command += ["--no-access-log", "--log-level", "warning", "--workers", f"{offer.workers}"]
    if offer.certificate:
        command += ["--ssl-certfile", f"{offer.certificate.chain}"]
        command += ["--ssl-keyfile", f"{offer.certificate.key}"]
    return _with_root(offer, command)


def _aiohttp(offer: Offer) -> Sequence[str]:
    command = python_module("benchmarks.apps.aiohttp_app", f"{offer.root}", f"{offer.port}")
    if offer.certificate:
        command += [f"{offer.certificate.chain}", f"{offer.certificate.key}"]
    return command


def _granian(offer: Offer) -> Sequence[str]:
    program = Path(sys.executable).with_name("granian")
    command = [os.fspath(program) if program.exists() else shutil.which("granian") or "granian"]
    command += ["--interface", "asgi", "--host", "127.0.0.1", "--port", f"{offer.port}"]
    command += ["--workers", f"{offer.workers}", "--no-log", "--http", "1", "--no-ws"]
    return _with_root(offer, [*command, _STARLETTE_APPLICATION])


def _copyparty(offer: Offer) -> Sequence[str]:
    command = python_module("copyparty", "-i", "127.0.0.1", "-p", f"{offer.port}", "-q", "-nw")
    # Read-only for everybody, no thumbnails, no state outside the scratch folder.
    command += ["-v", f"{offer.root}::r", "--no-thumb", "--hist", f"{offer.scratch}/hist"]
    command += ["-nc", "8192"]
    return [*copyparty_environment(offer), *command]


def copyparty_environment(offer: Offer) -> list[str]:
    """The beginning of a command that keeps its state in the scratch folder."""
    names = ("HOME", "XDG_CONFIG_HOME", "TMPDIR")
    return ["env", *(f"{name}={offer.scratch}" for name in names)]


STARLETTE = Peer(
    "starlette",
    "Starlette FileResponse on uvicorn",
    _starlette,
    _missing("uvicorn"),
    frozenset({Ability.TLS, Ability.WORKERS}),
)
AIOHTTP = Peer(
    "aiohttp", "aiohttp", _aiohttp, _missing("aiohttp"), frozenset({Ability.LISTING, Ability.TLS})
)
GRANIAN = Peer(
    "granian",
    "Starlette FileResponse on Granian",
    _granian,
    _missing("granian"),
    frozenset({Ability.WORKERS}),
)
COPYPARTY = Peer(
    "copyparty", "copyparty", _copyparty, _missing("copyparty"), frozenset({Ability.LISTING})
)
