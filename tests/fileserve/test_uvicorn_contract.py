"""What we use of uvicorn that it does not promise: the first test to fail when it changes.

The names that our files touch are read from their source, so that this list cannot fall behind.
"""

import ast
import asyncio
import contextlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from fileserve.delivery import sweeper, zerocopy
from fileserve.delivery.time_limits import Limits
from fileserve.operations import shutdown
from tests.running_server import started
from tests.wire.asgi_server import app_server
from tests.wire.raw_http import connect, request

BLAME = f"uvicorn {uvicorn.__version__} broke what fileserve needs of it:"

# name -> what must be there after Config(...).load()
CONFIG: dict[str, type | tuple[type, ...]] = {
    "loaded": bool,
    "load": object,
    "loaded_app": object,
    "root_path": str,
    "limit_concurrency": (int, type(None)),
    "encoded_headers": list,
    "date_header": bool,
}
SERVER_STATE: dict[str, type] = {
    "total_requests": int,
    "connections": set,
    "tasks": set,
    "default_headers": list,
}
SERVER: dict[str, type] = {
    "config": uvicorn.Config,
    "server_state": ServerState,
    "should_exit": bool,
    "force_exit": bool,
}
# Set by serve() and startup().
SERVER_WHEN_RUNNING = {"lifespan", "servers"}
OVERRIDDEN: dict[str, list[str]] = {
    "capture_signals": ["self"],
    "handle_exit": ["self", "sig", "frame"],
    "startup": ["self", "sockets"],
    "on_tick": ["self", "counter"],
    "shutdown": ["self", "sockets"],
}
PROTOCOL_ARGUMENTS = {"config", "server_state", "app_state", "_loop"}


def names_after(owners: Iterable[str], source_of: ModuleType | type) -> set[str]:
    """Every name that follows one of owners and a dot in the source of a module or class."""
    tree = ast.parse(inspect.getsource(source_of))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and _last_name(node.value) in owners
    }


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("never called")


@pytest.mark.parametrize("module", [zerocopy, sweeper, shutdown])
def test_the_lists_name_all_that_our_files_touch(module: ModuleType) -> None:
    assert names_after(["config", "_config"], module) <= CONFIG.keys()
    assert names_after(["server_state", "_server_state"], module) <= SERVER_STATE.keys()


def test_the_lists_name_all_that_our_server_touches() -> None:
    ours = vars(shutdown.DrainingServer).keys() | {"_drain_seconds", "_signals", "_events"}
    ours = ours | {"_loop", "_last_heartbeat", "first_signal", "has_served"}
    touched = names_after(["self"], shutdown.DrainingServer) - ours
    touched = {name for name in touched if not hasattr(shutdown.DrainingServer, name)}
    assert touched <= SERVER.keys() | SERVER_WHEN_RUNNING


def test_the_configuration_has_our_names() -> None:
    config = uvicorn.Config(application, log_config=None)
    assert config.loaded is False, f"{BLAME} Config.loaded"
    config.load()
    for name, kind in CONFIG.items():
        assert hasattr(config, name), f"{BLAME} Config.{name} is gone"
        assert isinstance(getattr(config, name), kind), f"{BLAME} Config.{name} is no {kind}"
    assert config.loaded is True, f"{BLAME} Config.loaded"


def test_configured_fields_are_pairs_of_bytes() -> None:
    config = uvicorn.Config(application, log_config=None, headers=[("server", "fileserve")])
    config.load()
    assert (b"server", b"fileserve") in config.encoded_headers, f"{BLAME} Config.encoded_headers"


def test_the_state_has_our_names() -> None:
    state = ServerState()
    for name, kind in SERVER_STATE.items():
        assert isinstance(getattr(state, name, None), kind), f"{BLAME} ServerState.{name}"


def test_the_state_can_be_referred_to_weakly() -> None:
    # The sweeper of a server is kept as long as its state.
    loop = asyncio.new_event_loop()
    with contextlib.closing(loop):
        state = ServerState()
        assert sweeper.sweeper_of(state, loop) is sweeper.sweeper_of(state, loop), BLAME


def test_the_server_has_our_names() -> None:
    server = uvicorn.Server(uvicorn.Config(application, log_config=None))
    for name, kind in SERVER.items():
        assert isinstance(getattr(server, name, None), kind), f"{BLAME} Server.{name}"


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_our_server_overrides_is_there(name: str) -> None:
    theirs = getattr(uvicorn.Server, name, None)
    assert theirs is not None, f"{BLAME} Server.{name} is gone, so ours is never called"
    parameters = list(inspect.signature(theirs).parameters)
    assert parameters == OVERRIDDEN[name], f"{BLAME} Server.{name} takes other arguments"


def test_the_running_server_has_its_parts() -> None:
    source = inspect.getsource(uvicorn.Server)
    for name in SERVER_WHEN_RUNNING:
        assert f"self.{name}" in source, f"{BLAME} Server.{name} is never set"


def test_a_protocol_is_made_of_our_arguments() -> None:
    seen: list[set[str]] = []

    class Recording(zerocopy.protocol_class(Limits())):  # type: ignore[misc]
        def __init__(self, *positional: object, **named: object) -> None:
            assert positional == (), f"{BLAME} a protocol gets arguments by position"
            seen.append(set(named))
            super().__init__(**named)

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with app_server(answer, Recording) as server:
        assert server.get("/").status == 204
    assert seen
    assert seen[0] == PROTOCOL_ARGUMENTS, f"{BLAME} a protocol gets {seen[0]}"


def test_uvicorn_still_has_what_our_shutdown_replaces() -> None:
    server = uvicorn.Server
    assert list(inspect.signature(server.startup).parameters) == ["self", "sockets"]
    assert list(inspect.signature(server.shutdown).parameters) == ["self", "sockets"]
    assert list(inspect.signature(server.on_tick).parameters) == ["self", "counter"]
    assert list(inspect.signature(server.handle_exit).parameters) == ["self", "sig", "frame"]
    source = inspect.getsource(server)
    for call in (
        "with self.capture_signals():",
        "await self.startup(sockets=sockets)",
        "if not self.should_exit:\n            await self.main_loop()",
        "await self.shutdown(sockets=sockets)",
        "await self.on_tick(counter)",
        "self.servers.append(server)",
    ):
        assert call in source, f"uvicorn.Server does no more: {call}"


def test_uvicorn_still_has_the_state_that_our_shutdown_reads() -> None:
    async def nothing(scope: object, receive: object, send: object) -> None: ...

    server = uvicorn.Server(uvicorn.Config(nothing, log_config=None))
    assert (server.should_exit, server.force_exit, server.started) == (False, False, False)
    state = ServerState()
    assert (state.connections, state.tasks) == (set(), set())
    assert inspect.iscoroutinefunction(LifespanOn.shutdown)


STARLETTE_PROGRAM = """
import socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route
from fileserve.delivery.zerocopy import ZeroCopyProtocol

def file(request):
    return FileResponse(sys.argv[1])

app = Starlette(routes=[Route("/", file)])
listening = socket.create_server(("127.0.0.1", 0))
print("port", listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, http=ZeroCopyProtocol, loop=sys.argv[2], limit_max_requests=1)
uvicorn.Server(config).run(sockets=[listening])
"""


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_starlettes_own_file_response_becomes_zero_copy(tmp_path: Path, loop: str) -> None:
    """What http=ZeroCopyProtocol gives to an application that knows nothing of it."""
    content = bytes(range(256)) * 4096  # 1 MiB
    (tmp_path / "file.bin").write_bytes(content)
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=sendfile", "-o", str(trace)]
    command += [sys.executable, "-c", STARLETTE_PROGRAM, str(tmp_path / "file.bin"), loop]
    with started(command) as server:
        try:
            port = int(server.output.wait_for("port ").split()[1])
        except AssertionError:
            if "ermitted" in server.output.text():
                pytest.skip("strace may not trace here")
            raise
        with connect(Address("127.0.0.1", port)) as client:
            answer = client.ask(request("/", ["Connection: close"]))
        assert (answer.status, answer.content) == (200, content)
        # limit_max_requests counts ServerState.total_requests, which is ours to count up.
        server.wait()
    calls = re.findall(r"sendfile.*= ([0-9]+)$", trace.read_text(), re.MULTILINE)
    assert sum(map(int, calls)) == len(content)
