"""Judges the conditions of a request for what exists but has neither entity tag nor date."""

from collections.abc import Sequence
from dataclasses import replace

from starlette.types import Scope, Send

from fileserve.delivery.plan import request_fields
from fileserve.http.preconditions import Verdict, evaluate_undated
from fileserve.problems import Field, Problem, problem, send_problem

# What a refusal has by itself.
_OF_EVERY_REFUSAL = (b"cache-control", b"x-content-type-options")


async def is_settled(scope: Scope, send: Send, fields: Sequence[Field]) -> bool:
    """Whether the request's conditions were answered, with 304 or 412: nothing else follows."""
    match evaluate_undated(request_fields(scope["headers"]), None):
        case Verdict.FAILED:
            await refuse(scope, send, problem(412, "It has no entity tag to match."), fields)
        case Verdict.NOT_MODIFIED:
            head = {"type": "http.response.start", "status": 304, "headers": list(fields)}
            await send(head)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        case Verdict.PROCEED:
            return False
    return True


async def refuse(scope: Scope, send: Send, refusal: Problem, fields: Sequence[Field]) -> None:
    """Send refusal with those fields of every answer that it does not have by itself."""
    others = (field for field in fields if field[0] not in _OF_EVERY_REFUSAL)
    await send_problem(scope, send, replace(refusal, fields=(*refusal.fields, *others)))
