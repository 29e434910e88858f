"""What a run was made on, and with which versions."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.client import Client
from benchmarks.peers.offer import Peer
from benchmarks.processes import Cores

_NATIVE = {"nginx": ["nginx", "-v"], "lighttpd": ["lighttpd", "-v"], "h2o": ["h2o", "--version"]}
_NATIVE["caddy"] = ["caddy", "version"]
_MODULES = {
    "fileserve": ("fileserve", "uvicorn", "uvloop"),
    "starlette": ("starlette", "uvicorn", "uvloop"),
    "aiohttp": ("aiohttp",),
    "granian": ("granian", "starlette"),
    "copyparty": ("copyparty",),
}
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def facts(peers: Sequence[Peer], cores: Cores, client: Client) -> dict[str, str]:
    """Words for the head of the table; nothing that names the machine or its user."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "Python": platform.python_version(),
        "cores": f"server on {_numbers(cores.server)}, client on {_numbers(cores.client)}",
        "client": client.description,
        "load average before the run (1, 5, 15 minutes)": load,
        "versions": "; ".join(_version(peer.name) for peer in peers),
    }


def _numbers(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(name: str) -> str:
    if name in _MODULES:
        return " ".join(f"{module} {_module_version(module)}" for module in _MODULES[name])
    return f"{name} {_program_version(_NATIVE[name])}"


def _module_version(module: str) -> str:
    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return "(from its source)"


def _program_version(command: Sequence[str]) -> str:
    program = shutil.which(command[0], path=_PATH)
    if program is None:
        return "missing"
    done = subprocess.run([program, *command[1:]], check=False, capture_output=True, text=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "of an unknown version"
