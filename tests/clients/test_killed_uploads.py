"""Uploads by PUT, form and tus while the server is killed at random moments: nothing is lost."""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from tests.clients.programs import IS_BIG, wait_until
from tests.clients.restarted import Restarted, restarted
from tests.fileserve.tus_client import metadata_of

T = TypeVar("T")
UPLOADS = 1000 if IS_BIG else 60
KILLS = 40 if IS_BIG else 3
CREWS = 4
_PIECE_BYTES = 64 << 10
_BOUNDARY = "what-no-file-has-in-it"
_TUS = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True)
class Plan:
    """One upload: number tells the way it goes; the content is that of the number, too."""

    number: int

    @property
    def name(self) -> str:
        return f"folder-{self.number % 7}/file-{self.number}.bin"

    def content(self) -> bytes:
        numbers = random.Random(self.number)
        return numbers.randbytes(numbers.choice([0, 1, 5_000, 300_000, 1_000_000, 3_000_000]))


@dataclass
class Tally:
    """What was acknowledged, by name; attempts that a kill ended."""

    acknowledged: set[str] = field(default_factory=set)
    broken: int = 0
    failures: list[str] = field(default_factory=list)


class Crew(threading.Thread):
    """Sends every nth upload until each is acknowledged."""

    def __init__(self, place: Restarted, plans: list[Plan], tally: Tally) -> None:
        super().__init__()
        self._place = place
        self._plans = plans
        self._tally = tally
        self._http = httpx.Client(base_url=place.url, headers=place.fields, timeout=60)

    def run(self) -> None:
        ways = [self._put, self._form, self._tus]
        with self._http:
            for plan in self._plans:
                try:
                    ways[plan.number % 3](plan, plan.content())
                except (AssertionError, httpx.HTTPError, KeyError) as error:
                    self._tally.failures.append(f"{plan.name}: {error!r}")
                    return
                self._tally.acknowledged.add(plan.name)

    def _put(self, plan: Plan, content: bytes) -> None:
        fields = {"If-None-Match": "*", "Content-Length": str(len(content))}
        answer = self._until_answered(
            lambda: self._http.put(plan.name, content=slowly(content), headers=fields)
        )
        # 412: the one before was complete, only its answer was lost.
        assert answer.status_code in (201, 412), answer.text

    def _form(self, plan: Plan, content: bytes) -> None:
        folder, _, filename = plan.name.rpartition("/")
        head = (
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=file; "
            f'filename="{filename}"\r\n\r\n'
        )
        whole = head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
        fields = {
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
            "Content-Length": str(len(whole)),
        }
        answer = self._until_answered(
            lambda: self._http.post(f"{folder}/", content=slowly(whole), headers=fields)
        )
        assert answer.status_code in (200, 201, 303, 409), answer.text

    def _tus(self, plan: Plan, content: bytes) -> None:
        metadata = metadata_of(filename=plan.name)
        fields = {**_TUS, "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
        created = self._until_answered(lambda: self._http.post("-/uploads/", headers=fields))
        if created.status_code == 409 and not content:
            return  # an empty file is complete when it is created, and the answer was lost
        assert created.status_code == 201, created.text
        upload, offset = created.headers["location"], 0
        while offset < len(content):
            offset = self._until_answered(lambda: self._next_piece(upload, content))

    def _next_piece(self, upload: str, content: bytes) -> int:
        head = self._http.head(upload, headers=_TUS)
        if head.status_code == 423:  # the one before is not noticed to be gone
            return 0
        assert head.status_code == 200, head.status_code
        offset = int(head.headers["upload-offset"])
        piece = content[offset : offset + 700_000]
        fields = {
            **_TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(len(piece)),
        }
        if piece:
            answer = self._http.patch(upload, content=slowly(piece), headers=fields)
            assert answer.status_code == 204, answer.text
        return offset + len(piece)

    def _until_answered(self, ask: Callable[[], T]) -> T:
        while True:
            try:
                return ask()
            except httpx.TransportError:
                self._tally.broken += 1
                time.sleep(0.1)


def slowly(content: bytes) -> Iterator[bytes]:
    """In pieces with pauses: a kill is to find many of them half done."""
    for start in range(0, len(content), _PIECE_BYTES):
        yield content[start : start + _PIECE_BYTES]
        time.sleep(0.002)


def test_no_kill_loses_or_halves_an_upload(tmp_path: Path) -> None:
    plans = [Plan(number) for number in range(UPLOADS)]
    expected = {plan.name: hashlib.sha256(plan.content()).digest() for plan in plans}
    tally, moments = Tally(), random.Random()
    with restarted(tmp_path / "root") as place:
        crews = [Crew(place, plans[start::CREWS], tally) for start in range(CREWS)]
        for crew in crews:
            crew.start()
        while place.kills < KILLS and any(crew.is_alive() for crew in crews):
            time.sleep(moments.uniform(0.1, 1.5))
            place.kill()
            require_whole(place, expected, set(tally.acknowledged))
            place.start()
        for crew in crews:
            crew.join()
        assert tally.failures == []
        # The last one interrupts whatever a crew has left behind, and tidies up.
        place.kill()
        place.start()
        wait_until(lambda: place.staged_bytes() == [], "an empty staging folder")
        require_whole(place, expected, set(expected))
    print(f"{UPLOADS} uploads, {place.kills} kills, {tally.broken} broken attempts, 0 losses")


def require_whole(place: Restarted, expected: dict[str, bytes], acknowledged: set[str]) -> None:
    """Every file that can be seen is whole, and every acknowledged one can be seen."""
    seen = {}
    for path in place.visible():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        seen[str(path.relative_to(place.root))] = digest
    wrong = [name for name, digest in seen.items() if expected.get(name) != digest]
    assert wrong == []
    assert acknowledged <= set(seen)
