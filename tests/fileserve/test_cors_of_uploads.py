"""What scripts of other origins may send and read where the folder can be changed."""

import asyncio
from pathlib import Path

import httpx
import pytest
from known_tokens import let_in

from fileserve.app import create_app
from fileserve.settings import Settings
from storage.local import LocalStorage

ORIGIN = "https://player.example"
UPLOAD = "/-/uploads/" + "0" * 32
# What tus-js-client sends; X-Request-ID where addRequestId is set.
SENT_BY_TUS = {
    "Authorization",
    "Content-Type",
    "Tus-Resumable",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-HTTP-Method-Override",
    "X-Request-ID",
    "X-Requested-With",
}
READ_BY_TUS = {"Location", "Upload-Offset", "Upload-Length", "Upload-Expires", "Tus-Extension"}


def ask(
    root: Path, method: str, target: str, *, writable: bool = True, **sent: str
) -> httpx.Response:
    checked = Settings.model_validate(
        {"root": root, "writable": writable, "cors_origins": [ORIGIN]}
    )
    site = create_app(checked, LocalStorage(root))
    secret = let_in(site, name="script") if writable else ""
    names = {name.replace("_", "-"): value for name, value in sent.items()}
    fields = {"authorization": f"Bearer {secret}", "origin": ORIGIN, **names}
    if method == "OPTIONS":
        del fields["authorization"]  # browsers ask without

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(site)
        async with (
            site.router.lifespan_context(site),
            httpx.AsyncClient(transport=transport, base_url="http://host") as client,
        ):
            return await client.request(method, target, headers=fields, content=b"")

    return asyncio.run(run())


def listed(answer: httpx.Response, name: str) -> set[str]:
    return set(answer.headers.get(name, "").split(", "))


@pytest.mark.parametrize("target", ["/new.bin", "/", "/-/uploads/", UPLOAD])
def test_a_preflight_allows_uploads(tmp_path: Path, target: str) -> None:
    answer = ask(tmp_path, "OPTIONS", target, access_control_request_method="PATCH")
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    methods = listed(answer, "access-control-allow-methods")
    assert methods >= {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "MOVE"}
    allowed = listed(answer, "access-control-allow-headers")
    assert allowed >= SENT_BY_TUS | {"If-Match", "Content-Digest", "Destination", "Overwrite"}
    assert "access-control-allow-credentials" not in answer.headers


# fmt: off
ANSWERS = [
    # method    target          status  id
    ("PUT",     "/new.bin",      201,   "put"),
    ("PUT",     "/old/x",        409,   "refused"),
    ("POST",    "/-/uploads/",   201,   "tus"),
    ("HEAD",    UPLOAD,          404,   "tus-refused"),
]
# fmt: on


@pytest.mark.parametrize(
    ("method", "target", "status"), [row[:3] for row in ANSWERS], ids=[row[3] for row in ANSWERS]
)
def test_answers_to_changes_can_be_read(
    tmp_path: Path, method: str, target: str, status: int
) -> None:
    (tmp_path / "old").touch()
    tus = {"tus_resumable": "1.0.0", "upload_length": "3", "upload_metadata": "filename YQ=="}
    answer = ask(tmp_path, method, target, **tus)
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    assert listed(answer, "access-control-expose-headers") >= READ_BY_TUS


def test_another_origin_reads_nothing(tmp_path: Path) -> None:
    answer = ask(tmp_path, "PUT", "/new.bin", origin="https://other.test")
    assert answer.status_code == 201  # its script has a token, and may send; it learns nothing
    assert "access-control-allow-origin" not in answer.headers


def test_a_read_only_server_allows_reading_only(tmp_path: Path) -> None:
    answer = ask(tmp_path, "OPTIONS", "/x", writable=False, access_control_request_method="PUT")
    assert listed(answer, "access-control-allow-methods") == {"GET", "HEAD", "OPTIONS"}
    assert "Tus-Resumable" not in listed(answer, "access-control-allow-headers")
