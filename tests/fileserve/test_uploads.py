"""PUT, what it does; and what every change refuses, and that a refusal leaves everything."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from known_tokens import let_in
from test_app import site_for
from tus_client import staged
from upload_client import CONTENT, STAGING, Asked, ask, ask_site, digest, full_folder, state, tag_of

from fileserve.app import create_app
from fileserve.settings import Settings
from storage.local import LocalStorage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return full_folder(tmp_path)


def test_a_new_file_is_created_and_described(root: Path) -> None:
    answer = ask(root, "PUT", "/a/b%20c/new.bin", CONTENT)
    assert answer.status_code == 201
    assert (root / "a" / "b c" / "new.bin").read_bytes() == CONTENT
    assert answer.headers["location"] == "/a/b%20c/new.bin"
    # RFC 9530 section 3.1: it would have to be that of the JSON.
    assert "repr-digest" not in answer.headers
    assert answer.headers["etag"] == tag_of(root, "a/b%20c/new.bin")
    assert answer.json() == {
        "path": "/a/b c/new.bin",
        "url": "/a/b%20c/new.bin",
        "size": 11,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }


def test_chunked_content_is_taken_as_well(root: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3000):
            yield b"x" * 1000

    assert ask(root, "PUT", "/new", pieces()).status_code == 201
    assert (root / "new").read_bytes() == b"x" * 3_000_000


def test_an_empty_file_can_be_put(root: Path) -> None:
    assert ask(root, "PUT", "/new").status_code == 201
    assert (root / "new").read_bytes() == b""


# {tag} is the entity tag of what is there.
# fmt: off
CONDITIONS = [
    # name   fields                                                     status  id
    ("new",  {"If-None-Match": "*"},                                     201, "new-as-meant"),
    ("new",  {"If-Match": "*"},                                          412, "nothing-to-match"),
    ("new",  {"If-Match": '"x"'},                                        412, "no-such-state"),
    ("old",  {},                                                         428, "unguarded"),
    ("old",  {"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"},     428, "no-condition-here"),
    ("old",  {"If-None-Match": "*"},                                     412, "was-to-be-new"),
    ("old",  {"If-None-Match": "{tag}"},                                 412, "not-this-state"),
    ("old",  {"If-Match": '"x"'},                                        412, "another-state"),
    ("old",  {"If-Match": 'W/{tag}'},                                    412, "weak-never-matches"),
    ("old",  {"If-Match": "{tag}"},                                      200, "this-state"),
    ("old",  {"If-Match": '"x", {tag}'},                                 200, "one-of-two"),
    ("old",  {"If-Match": "*"},                                          200, "any-state"),
    ("old",  {"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"},   412, "modified-since"),
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "fields", "status"),
    [row[:3] for row in CONDITIONS],
    ids=[row[3] for row in CONDITIONS],
)
def test_conditions_guard_what_is_there(
    root: Path, name: str, fields: dict[str, str], status: int
) -> None:
    tag = tag_of(root, "old")
    before = state(root)
    asked = {key: value.replace("{tag}", tag) for key, value in fields.items()}
    assert ask(root, "PUT", f"/{name}", CONTENT, asked).status_code == status
    if status in (200, 201):
        before[f"root/{name}"] = CONTENT
    assert state(root) == before
    assert staged(root) == []


# fmt: off
OTHER = digest(b"other")
OVER = "T"

REFUSED = [
    # method  target               fields                                 status  id
    ("PUT",    "/old/new",         {},                                    409, "file-in-the-way"),
    ("PUT",    "/full",            {"If-Match": "*"},                     409, "a-folder"),
    ("PUT",    "/link",            {"If-Match": "*"},                     409, "a-link"),
    ("PUT",    "/new/",            {},                                    400, "slash-at-the-end"),
    ("PUT",    "/",                {},                                    400, "the-root"),
    ("PUT",    "/.new",            {},                                    400, "hidden"),
    ("PUT",    "/a/.new/b",        {},                                    400, "hidden-folder"),
    ("PUT",    f"/{STAGING}/x",    {},                                    400, "staging"),
    ("PUT",    "/..%2fnew",        {},                                    400, "out-by-escape"),
    ("PUT",    "/a//new",          {},                                    400, "empty-segment"),
    ("PUT",    "/out/new",         {},                                    409, "out-by-link"),
    ("PUT",    "/out/secret",      {"If-Match": "*"},                     409, "replace-by-link"),
    ("PUT",    "/" + "x" * 256,    {},                                    400, "too-long"),
    ("PUT",    "/new",             {"Content-Range": "bytes 0-1/5"},      400, "partial"),
    ("PUT",    "/new",             {"Content-Encoding": "gzip"},          415, "encoded"),
    ("PUT",    "/new",             {"Content-Digest": OTHER},             400, "other-bytes"),
    ("PUT",    "/new",             {"Repr-Digest": OTHER},                400, "other-file"),
    ("PUT",    "/new",             {"Content-Digest": "sha-256=x"},       400, "unreadable-digest"),
    ("DELETE", "/nothing",         {},                                    404, "nothing"),
    ("DELETE", "/nothing/at/all",  {},                                    404, "nothing-above"),
    ("DELETE", "/old/",            {},                                    404, "file-with-slash"),
    ("DELETE", "/full",            {},                                    409, "not-empty"),
    ("DELETE", "/full/",           {},                                    409, "not-empty-slash"),
    ("DELETE", "/",                {},                                    403, "the-root"),
    ("DELETE", "/?recursive",      {},                                    403, "all-of-the-root"),
    ("DELETE", "/.hidden",         {},                                    400, "hidden"),
    ("DELETE", f"/{STAGING}",      {},                                    400, "staging"),
    ("DELETE", "/old",             {"If-Match": '"x"'},                   412, "another-state"),
    ("DELETE", "/full",            {"If-Match": "*"},                     409, "any-but-not-empty"),
    ("DELETE", "/empty",           {"If-Match": '"x"'},                   412, "folder-has-no-tag"),
    ("DELETE", "/empty",           {"If-None-Match": "*"},                412, "folder-is-there"),
    ("DELETE", "/full?recursive",  {"If-None-Match": "*"},                412, "tree-is-there"),
    ("DELETE", "/link",            {"If-None-Match": "*"},                412, "link-is-there"),
    ("DELETE", "/link",            {"If-Match": '"x"'},                   412, "link-has-no-tag"),
    ("DELETE", "/out/secret",      {},                                    409, "out-by-link"),
    ("MOVE",   "/old",             {},                                    400, "no-destination"),
    ("MOVE",   "/old",             {"Destination": "new"},                502, "relative"),
    ("MOVE",   "/old",             {"Destination": "http://other/new"},   502, "another-host"),
    ("MOVE",   "/old",             {"Destination": "/new?x"},             502, "with-query"),
    ("MOVE",   "/old",             {"Destination": "/../new"},            400, "out"),
    ("MOVE",   "/old",             {"Destination": "/out/new"},           409, "out-by-link"),
    ("MOVE",   "/old",             {"Destination": "/.new"},              400, "to-hidden"),
    ("MOVE",   "/old",             {"Destination": "/-/new"},             400, "to-own-pages"),
    ("MOVE",   "/old",             {"Destination": "/", "Overwrite": OVER}, 403, "over-the-root"),
    ("MOVE",   "/old",             {"Destination": "/full/inner/file"},   412, "taken"),
    ("MOVE",   "/old",             {"Destination": "/full", "Overwrite": OVER}, 409, "folder"),
    ("MOVE",   "/old",             {"Destination": "/old", "Overwrite": OVER}, 403, "itself"),
    ("MOVE",   "/full",            {"Destination": "/full/"},             403, "folder-itself"),
    ("MOVE",   "/full",            {"Destination": "/new", "If-None-Match": "*"}, 412, "is-there"),
    ("MOVE",   "/full",            {"Destination": "/full/inner/full"},   409, "into-itself"),
    ("MOVE",   "/full",            {"Destination": "/old", "Overwrite": OVER}, 409, "a-folder"),
    ("MOVE",   "/nothing",         {"Destination": "/a/new"},             404, "nothing"),
    ("MOVE",   "/",                {"Destination": "/new"},               403, "the-root"),
    ("MOVE",   "/old",             {"Destination": "/new", "If-Match": '"x"'}, 412, "other-state"),
    ("POST",   "/old",             {},                                    409, "post-to-a-file"),
    ("POST",   "/full/",           {},                                    415, "post-no-form"),
    ("PATCH",  "/old",             {},                                    405, "patch"),
]
# fmt: on


@pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    [row[:4] for row in REFUSED],
    ids=[f"{row[0]}-{row[4]}".lower() for row in REFUSED],
)
def test_a_refusal_leaves_everything_as_it_was(
    root: Path, method: str, target: str, fields: dict[str, str], status: int
) -> None:
    before = state(root)
    answer = ask(root, method, target, CONTENT, fields)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert state(root) == before
    assert staged(root) == []


def test_a_415_tells_what_would_be_taken(root: Path) -> None:
    encoded = ask(root, "PUT", "/new", CONTENT, {"Content-Encoding": "gzip"})
    assert encoded.headers["accept-encoding"] == "identity"  # RFC 9110, 12.5.3
    plain = ask(root, "POST", "/full/", CONTENT, {"Content-Type": "text/plain"})
    assert plain.headers["accept"] == "multipart/form-data"  # RFC 9110, 15.5.16


@pytest.mark.parametrize("field", ["Content-Digest", "Repr-Digest"])
def test_a_digest_that_is_right_or_unknown_is_no_hindrance(root: Path, field: str) -> None:
    fields = {field: digest(CONTENT)}
    assert ask(root, "PUT", "/right", CONTENT, fields).status_code == 201
    fields = {field: digest(b"other", "sha512")}
    assert ask(root, "PUT", "/unknown", CONTENT, fields).status_code == 201


@pytest.mark.parametrize("target", ["/full/x/new", "/old", "/fullest/new", "/full"])
def test_a_token_for_a_folder_writes_only_below_it(root: Path, target: str) -> None:
    answer = ask(root, "PUT", target, CONTENT, {"If-Match": "*"}, path=b"full/inner")
    assert answer.status_code == 403


def test_a_move_needs_both_names(root: Path) -> None:
    for source, destination in (("/old", "/full/inner/new"), ("/full/inner/file", "/new")):
        fields = {"Destination": destination}
        answer = ask(root, "MOVE", source, b"", fields, path=b"full/inner")
        assert answer.status_code == 403


def test_what_is_too_large_is_refused(root: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"x"

    assert ask(root, "PUT", "/whole", b"x" * 11, upload_limit_bytes=11).status_code == 201
    assert ask(root, "PUT", "/told", b"x" * 12, upload_limit_bytes=11).status_code == 413
    assert ask(root, "PUT", "/found", pieces(), upload_limit_bytes=11).status_code == 413
    assert not (root / "told").exists()
    assert not (root / "found").exists()


def test_what_the_disk_has_no_room_for_is_refused(root: Path) -> None:
    answer = ask(root, "PUT", "/new", CONTENT, upload_keep_free_bytes=1 << 60)
    assert answer.status_code == 507


def test_options_tell_what_a_writable_address_takes(root: Path) -> None:
    answer = ask(root, "OPTIONS", "/old")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, PUT, POST, DELETE, MOVE"


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "MOVE", "PATCH"])
def test_a_server_that_is_not_writable_changes_nothing(root: Path, method: str) -> None:
    before = state(root)

    async def run() -> httpx.Response:
        asked = Asked(method, "/old", CONTENT, {"If-Match": "*"})
        return await ask_site(site_for(root), asked, b"")

    answer = asyncio.run(run())
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert state(root) == before
    assert not (root / STAGING).exists()


def test_the_staging_folder_is_out_of_sight_with_hidden_names_shown(root: Path) -> None:
    assert ask(root, "PUT", "/old", CONTENT, {"If-Match": "*"}, hidden=True).status_code == 200
    assert (root / STAGING).is_dir()
    for target in (f"/{STAGING}/", f"/{STAGING}/lock", f"/{STAGING.upper()}/"):
        assert ask(root, "GET", target, hidden=True).status_code == 404
    for target in ("/?format=json", "/?manifest=sha256", "/?archive=tar", "/?q=e&format=json"):
        listed = ask(root, "GET", target, hidden=True).content
        assert b".hidden" in listed
        assert b"lock" not in listed
        assert STAGING.encode() not in listed


def test_the_catalog_hears_of_everything(root: Path) -> None:
    async def run() -> tuple[list[str], list[bytes]]:
        checked = Settings.model_validate({"root": root, "writable": True})
        site = create_app(checked, LocalStorage(root))
        secret = let_in(site, scope="write")
        transport = httpx.ASGITransport(site)
        async with (
            site.router.lifespan_context(site),
            httpx.AsyncClient(
                transport=transport,
                base_url="http://host",
                headers={"Authorization": f"Bearer {secret}"},
            ) as client,
        ):
            await client.put("/new", content=CONTENT)
            await client.put("/other", content=CONTENT)
            await client.request("MOVE", "/new", headers={"Destination": "/a/moved"})
            await client.delete("/other")
            desk = site.state.desk
            events = await desk.ask(lambda catalog: catalog.events(10), 30)
            known = await desk.ask(lambda catalog: list(catalog.digests_below(b"")), 30)
            return [event.deed for event in events], [digest.path for digest in known]

    deeds, paths = asyncio.run(run())
    assert [deed for deed in deeds if deed in {"uploaded", "moved", "removed"}] == [
        "removed", "moved", "uploaded", "uploaded",
    ]  # fmt: skip
    assert paths == [b"a/moved"]
