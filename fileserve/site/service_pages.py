"""What the service says of itself: that it lives, that it is ready, and the files of its pages."""

import asyncio
from http import HTTPStatus

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fileserve.delivery.plan import request_fields
from fileserve.http.preconditions import Verdict, evaluate_undated
from fileserve.http.validators import EntityTag
from fileserve.problems import problem, problem_response
from fileserve.site.pages import STATIC_CACHE_CONTROL, STATIC_FILES, STATIC_PREFIX
from storage.errors import StorageError

# Longer than any local disk takes, shorter than the patience of those who ask.
_READY_SECONDS = 3.0
_READABLE = ["GET", "HEAD"]


def add_service_pages(app: FastAPI) -> None:
    """Serve them; app.state has is_draining and the storage."""
    app.add_api_route("/-/health", _health, methods=_READABLE)
    app.add_api_route("/-/ready", _ready, methods=_READABLE)
    app.add_api_route(f"{STATIC_PREFIX}{{file_name}}", _static, methods=_READABLE)


async def _health(request: Request) -> Response:
    """The process answers."""
    response = JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})
    return _under_conditions(request, response)


async def _ready(request: Request) -> Response:
    """New clients are welcome: the root answers, and the service is not about to end."""
    state = request.app.state
    reasons = [] if not state.is_draining else ["The service is stopping."]
    try:
        if not await asyncio.wait_for(state.storage.is_in_place(), _READY_SECONDS):
            reasons.append("The served folder was moved or replaced; restart the service.")
    except (StorageError, TimeoutError):
        reasons.append("The served folder does not answer.")
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    content = {"status": "not ready" if reasons else "ready", "reasons": reasons}
    response = JSONResponse(content, status, headers={"Cache-Control": "no-store"})
    return response if reasons else _under_conditions(request, response)


async def _static(request: Request, file_name: str) -> Response:
    """A style sheet or picture of the service's own pages."""
    file = STATIC_FILES.get(STATIC_PREFIX + file_name)
    if file is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    tag = EntityTag(file.digest, is_weak=False)
    fields = {
        "ETag": str(tag),
        "Cache-Control": STATIC_CACHE_CONTROL,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    }
    response = Response(file.content, media_type=file.media_type, headers=fields)
    return _under_conditions(request, response, tag)


def _under_conditions(
    request: Request, response: Response, tag: EntityTag | None = None
) -> Response:
    """A successful response, or what the request's conditions make of it (RFC 9110, 13.2.1)."""
    match evaluate_undated(request_fields(request.headers.raw), tag):
        case Verdict.FAILED:
            return problem_response(
                request, problem(412, "This is not in the state that was named.")
            )
        case Verdict.NOT_MODIFIED:
            kept = {"etag", "cache-control"} & set(response.headers)
            return Response(
                status_code=304, headers={name: response.headers[name] for name in sorted(kept)}
            )
        case Verdict.PROCEED:
            return response
