"""Answers /FOLDER/?archive=zip and =tar: a whole folder that downloads like one file."""

import time
from weakref import WeakKeyDictionary

from starlette.types import Receive, Scope, Send

from fileserve.delivery.body import Stretch, body_of
from fileserve.delivery.plan import (
    Field,
    Plan,
    Representation,
    describe,
    make_plan,
    request_fields,
)
from fileserve.delivery.responses import new_boundary
from fileserve.delivery.transfer import transfer
from fileserve.http.disposition import Disposition, content_disposition
from fileserve.http.validators import EntityTag, Validators, last_modified, parse_entity_tag
from fileserve.problems import problem
from fileserve.site.archive_body import ArchiveBody
from fileserve.site.archive_plans import (
    FORMS,
    ArchiveLimits,
    ArchivePlan,
    ArchiveTooLarge,
    Planner,
)
from fileserve.site.archive_sums import ArchiveSums
from fileserve.site.unvalidated import refuse
from fileserve.site.vigil import vigil_over
from storage.errors import NotAFolder
from storage.local import LocalStorage
from storage.names import Name

__all__ = ["ArchiveLimits", "send_archive"]


class _Desk:
    """What all archives of one storage share."""

    def __init__(self) -> None:
        self.planner = Planner()
        self.sums = ArchiveSums()


# A desk knows no storage, so it goes with it.
_desks: WeakKeyDictionary[LocalStorage, _Desk] = WeakKeyDictionary()


async def send_archive(  # noqa: PLR0917 - three of them are ASGI's own
    scope: Scope,
    receive: Receive,
    send: Send,
    storage: LocalStorage,
    name: Name,
    form: str,
    limits: ArchiveLimits,
    fields: tuple[Field, ...],
) -> None:
    """Answer GET or HEAD of the folder name as an archive, fields among those of every answer.

    Raises StorageErrors before the head was sent and TransferCut after it.
    """
    refusal = problem(400, "An archive is 'zip' or 'tar': ask for ?archive=zip or ?archive=tar.")
    if form in FORMS:
        desk = _desk_of(storage)
        try:
            # Planning, and reading for sums, may take minutes: not for a client that has gone.
            async with vigil_over(receive) as vigil:
                laid_out = await vigil.over(desk.planner.plan(storage, name, FORMS[form], limits))
                plan = _plan(scope, laid_out, ArchiveBody(storage, laid_out, desk.sums), fields)
                await vigil.over(transfer(plan, scope, receive, send))
            return
        except ArchiveTooLarge as error:
            # 413 is about the content of a request; this one is understood and not granted.
            refusal = problem(403, str(error))
        except NotAFolder:
            refusal = problem(404, "This is a file, not a folder: only folders become archives.")
    await refuse(scope, send, refusal, fields)


def _desk_of(storage: LocalStorage) -> _Desk:
    desk = _desks.get(storage)
    if desk is None:
        desk = _desks[storage] = _Desk()
    return desk


def _plan(
    scope: Scope, laid_out: ArchivePlan, body: ArchiveBody, control: tuple[Field, ...]
) -> Plan:
    now = time.time()
    asked = _trustworthy(request_fields(scope["headers"]))
    named = content_disposition(Disposition.ATTACHMENT, laid_out.file_name)
    validators = Validators(
        EntityTag(laid_out.opaque_tag, is_weak=False),
        last_modified(laid_out.table.newest_ns, now),
    )
    metadata = ((b"content-disposition", named.encode("latin-1")),)
    representation = Representation(
        body_of([Stretch(body, 0, laid_out.layout.length)]),
        describe(validators, laid_out.form.media_type, metadata, control),
    )
    boundary = new_boundary() if "," in asked.get("range", "") else ""
    return make_plan(scope["method"], asked, representation, now=now, boundary=boundary)


def _trustworthy(asked: dict[str, str]) -> dict[str, str]:
    """The request fields, without a Range that only a date guards.

    The newest date of a folder stays as it is when an older file changes: no date is a strong
    validator of an archive (RFC 9110 section 8.8.2.2), so If-Range with one has to fail, and
    If-Unmodified-Since, where it counts, proves nothing of a part.
    """
    if_range = asked.get("if-range")
    is_dated = if_range is not None and parse_entity_tag(if_range) is None
    if not is_dated and ("if-unmodified-since" not in asked or "if-match" in asked):
        return asked
    return {name: value for name, value in asked.items() if name != "range"}
