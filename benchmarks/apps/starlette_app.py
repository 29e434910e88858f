"""A folder by Starlette's FileResponse, as its documentation does it; BENCH_ROOT is the folder."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

_ROOT = os.environ["BENCH_ROOT"]


async def send_file(request: Request) -> FileResponse:
    """The file of that path; who asks is trusted, which saves it the guard that we have."""
    return FileResponse(os.path.join(_ROOT, request.path_params["path"]))


app = Starlette(routes=[Route("/{path:path}", send_file)])
