"""fileserve.FileResponse in other people's applications: a drop-in for Starlette's."""

import email.utils
import gzip
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import starlette.responses
from fastapi import FastAPI, Request, Response
from starlette.background import BackgroundTask
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

import fileserve
from fileserve.delivery.time_limits import Limits
from fileserve.delivery.zerocopy import protocol_class
from tests.wire.asgi_server import AppServer, app_server
from tests.wire.raw_http import ConnectionEnded, request

FACTS = bytes(range(200))
LARGE = b"".join(b"%015d\n" % number for number in range(1 << 19))  # 8 MiB
MODIFIED = 784_111_777
FIXDATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("responses")
    for name, content in (("facts.bin", FACTS), ("large.bin", LARGE), ("empty.bin", b"")):
        (folder / name).write_bytes(content)
        os.utime(folder / name, (MODIFIED, MODIFIED))
    (folder / "page.txt").write_bytes(b"text\n" * 1000)
    return folder


def make_app(folder: Path, finished: list[str]) -> FastAPI:
    """A FastAPI application as people write them."""
    app = FastAPI()

    @app.get("/files/{name}")
    @app.head("/files/{name}")
    async def files(name: str) -> Response:
        return fileserve.FileResponse(folder / name)

    @app.get("/cookie")
    async def cookie() -> Response:
        response = fileserve.FileResponse(folder / "facts.bin")
        response.set_cookie("session", "1")
        return response

    for path, make in special_responses(folder, finished).items():
        app.add_api_route(path, make, response_model=None)
    return app


def special_responses(folder: Path, finished: list[str]) -> dict[str, Callable[[], Response]]:
    """What the other addresses of the application answer."""
    ours, theirs = fileserve.FileResponse, starlette.responses.FileResponse
    facts = folder / "facts.bin"
    return {
        "/named": lambda: ours(
            facts,
            media_type="video/mp4",
            filename="film č. 1.mp4",
            headers={"Cache-Control": "max-age=60", "X-Own": "kept"},
            background=BackgroundTask(finished.append, "named"),
        ),
        "/own-validators": lambda: ours(facts, headers={"ETag": '"mine"'}),
        "/not-found-page": lambda: ours(facts, status_code=404),
        "/stat": lambda: ours(facts, stat_result=os.stat(folder / "large.bin")),
        "/missing/ours": lambda: ours(folder / "missing"),
        "/missing/theirs": lambda: theirs(folder / "missing"),
        "/folder/ours": lambda: ours(folder),
        "/folder/theirs": lambda: theirs(folder),
    }


SERVERS: dict[str, str | type] = {
    "ours": protocol_class(Limits()),
    "httptools": "httptools",
    "h11": "h11",
}


@pytest.fixture(scope="module")
def finished() -> list[str]:
    """What background tasks have done."""
    return []


@pytest.fixture(scope="module", params=list(SERVERS))
def server(
    request: pytest.FixtureRequest, folder: Path, finished: list[str]
) -> Iterator[AppServer]:
    with app_server(make_app(folder, finished), SERVERS[request.param]) as server:
        yield server


def test_a_file_comes_whole_with_its_fields(server: AppServer) -> None:
    for name, content in (("facts.bin", FACTS), ("large.bin", LARGE), ("empty.bin", b"")):
        answer = server.get(f"/files/{name}")
        assert (answer.status, answer.content) == (200, content)
        assert answer.field("accept-ranges") == "bytes"
        assert answer.field("content-type") == "application/octet-stream"
        assert answer.field("last-modified") == FIXDATE
        assert answer.field("etag").startswith('"')


RANGES = [
    ("bytes=0-0",      206, FACTS[:1],      "bytes 0-0/200"),
    ("bytes=-1000",    206, FACTS,          "bytes 0-199/200"),   # Starlette 0.47: 416
    ("bytes=190-",     206, FACTS[190:],    "bytes 190-199/200"),
    ("items=0-4",      200, FACTS,          None),                # Starlette 1.10: 400
    ("bytes=5-3",      200, FACTS,          None),
    ("bytes=0-4,300-", 206, FACTS[:5],      "bytes 0-4/200"),     # Starlette 1.10: 416
]  # fmt: skip


@pytest.mark.parametrize(("field_value", "status", "content", "content_range"), RANGES)
def test_ranges(
    server: AppServer, field_value: str, status: int, content: bytes, content_range: str | None
) -> None:
    answer = server.get("/files/facts.bin", f"Range: {field_value}")
    assert (answer.status, answer.content) == (status, content)
    assert answer.head.values("content-range") == ([content_range] if content_range else [])


def test_several_ranges_have_the_length_that_is_announced(server: AppServer) -> None:
    answer = server.get("/files/large.bin", "Range: bytes=0-4,5000000-5999999")
    assert answer.status == 206
    assert LARGE[5_000_000:6_000_000] in answer.content


def test_unsatisfiable_is_416(server: AppServer) -> None:
    answer = server.get("/files/facts.bin", "Range: bytes=200-")
    assert (answer.status, answer.field("content-range")) == (416, "bytes */200")


def test_conditions(server: AppServer) -> None:
    tag = server.head("/files/facts.bin").field("etag")
    assert server.get("/files/facts.bin", f"If-None-Match: {tag}").status == 304
    assert server.get("/files/facts.bin", 'If-None-Match: "other"').status == 200
    assert server.get("/files/facts.bin", f"If-Modified-Since: {FIXDATE}").status == 304
    assert server.get("/files/facts.bin", 'If-Match: "other"').status == 412
    stale = server.get("/files/facts.bin", "Range: bytes=0-0", 'If-Range: "other"')
    assert (stale.status, stale.content) == (200, FACTS)


def test_head_is_the_get_without_content(server: AppServer) -> None:
    head, get = server.head("/files/facts.bin").head, server.get("/files/facts.bin").head
    assert {key for key, _ in head.fields} == {key for key, _ in get.fields}
    assert head.field("content-length") == "200"


def test_what_the_application_says_is_kept(server: AppServer, finished: list[str]) -> None:
    finished.clear()
    answer = server.get("/named")
    assert answer.field("content-type") == "video/mp4"
    assert answer.field("cache-control") == "max-age=60"
    assert answer.field("x-own") == "kept"
    assert answer.field("content-disposition").startswith("attachment; filename*=utf-8''film%20")
    with server.connect() as client:  # the next answer comes only after the task of the last
        client.ask(request("/named"))
        client.ask(request("/files/empty.bin"))
    assert finished
    assert set(finished) == {"named"}


def test_validators_of_the_application_replace_ours(server: AppServer) -> None:
    assert server.get("/own-validators").field("etag") == '"mine"'
    assert server.get("/own-validators", 'If-None-Match: "mine"').status == 304
    assert server.get("/own-validators", "Range: bytes=0-1", 'If-Range: "mine"').status == 206


def test_another_status_is_always_whole(server: AppServer) -> None:
    for fields in ([], ["Range: bytes=0-0"], ["If-None-Match: *"]):
        answer = server.get("/not-found-page", *fields)
        assert (answer.status, answer.content) == (404, FACTS)


def test_a_stale_stat_is_not_believed(server: AppServer) -> None:
    assert server.get("/stat").content == FACTS


def test_a_cookie_goes_with_it(server: AppServer) -> None:
    answer = server.get("/cookie", "Range: bytes=0-0")
    assert answer.status == 206
    assert answer.field("set-cookie").startswith("session=1")


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_what_is_no_file_ends_as_with_starlette(server: AppServer, what: str) -> None:
    assert server.get(f"/{what}/ours").status == server.get(f"/{what}/theirs").status == 500


def test_last_modified_is_what_starlette_says(folder: Path) -> None:
    theirs = email.utils.formatdate(os.stat(folder / "facts.bin").st_mtime, usegmt=True)
    assert theirs == FIXDATE


def test_it_is_a_starlette_file_response() -> None:
    assert issubclass(fileserve.FileResponse, starlette.responses.FileResponse)


# Middleware stands between the response and the server and knows only what it knows.

Next = Callable[[Request], Awaitable[Response]]


def wrapped_app(folder: Path, wrapping: str) -> FastAPI:
    app = make_app(folder, [])
    if wrapping == "gzip":
        app.add_middleware(GZipMiddleware)
    elif wrapping == "cors":
        app.add_middleware(CORSMiddleware, allow_origins=["*"])
    else:

        @app.middleware("http")
        async def add_field(request: Request, call_next: Next) -> Response:
            response = await call_next(request)
            response.headers["X-Middleware"] = "was here"
            return response

    return app


@pytest.mark.parametrize("http", list(SERVERS))
@pytest.mark.parametrize("wrapping", ["cors", "decorator", "gzip"])
def test_it_comes_whole_through_middleware(folder: Path, wrapping: str, http: str) -> None:
    with app_server(wrapped_app(folder, wrapping), SERVERS[http]) as server:
        answer = server.get("/files/large.bin", "Origin: http://a.example")
        assert (answer.status, answer.content) == (200, LARGE)
        assert server.get("/files/facts.bin", "Range: bytes=1-2").content == FACTS[1:3]
        if wrapping == "decorator":
            assert answer.field("x-middleware") == "was here"
        if wrapping == "gzip":
            compressed = server.get("/files/page.txt", "Accept-Encoding: gzip")
            assert gzip.decompress(compressed.content) == b"text\n" * 1000


def test_a_file_that_shrinks_is_never_complete(server: AppServer, folder: Path) -> None:
    path = folder / "shrinking.bin"
    path.write_bytes(LARGE * 2)
    with server.connect() as client:
        client.send(request("/files/shrinking.bin"))
        length = int(client.read_head().field("content-length"))
        client.read_exactly(1000)
        os.truncate(path, 0)
        with pytest.raises(ConnectionEnded):
            client.read_exactly(length - 1000)


def test_importing_the_package_imports_no_framework() -> None:
    program = "import sys, fileserve; print('starlette' in sys.modules, 'uvicorn' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert printed.stdout == b"False False\n"
    with pytest.raises(AttributeError, match="no attribute 'FileRespons'"):
        getattr(fileserve, "FileRespons")  # noqa: B009 - as a typing mistake at run time
