"""What a request of a resumable upload by the IETF's draft is answered with (pure)."""

from dataclasses import dataclass, replace

from starlette.types import Send

from fileserve.http.resumption import (
    COMPLETED_UPLOAD,
    INCONSISTENT_LENGTH,
    MISMATCHING_OFFSET,
)
from fileserve.problems import Field, Problem, problem
from fileserve.site.change_requests import send_json, send_nothing

COMPLETE: Field = (b"upload-complete", b"?1")
INCOMPLETE: Field = (b"upload-complete", b"?0")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; members: what it tells to programs, None is no content."""

    status: int
    fields: tuple[Field, ...] = ()
    members: dict[str, str | int] | None = None

    async def send(self, send: Send) -> None:
        """Send it as the whole response."""
        if self.members is None:
            await send_nothing(send, self.status, self.fields)
        else:
            await send_json(send, self.status, self.members, self.fields)


def offset_field(offset: int) -> Field:
    """How many bytes of an upload there are."""
    return (b"upload-offset", b"%d" % offset)


def wrong_offset(provided: int, expected: int) -> Problem:
    """The refusal of bytes that belong elsewhere ("Mismatching Offset")."""
    refusal = problem(
        409, f"The upload goes on at byte {expected}.", offset_field(expected), INCOMPLETE
    )
    members = (("expected-offset", expected), ("provided-offset", provided))
    return replace(refusal, kind=MISMATCHING_OFFSET, members=members)


def already_complete() -> Problem:
    """The refusal to complete an upload once more ("Completed Upload")."""
    return replace(problem(400, "The upload is complete.", COMPLETE), kind=COMPLETED_UPLOAD)


def inconsistent_length(detail: str) -> Problem:
    """The refusal of what has another length than was told ("Inconsistent Length")."""
    return replace(problem(400, detail), kind=INCONSISTENT_LENGTH)
