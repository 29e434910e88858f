"""What a URL names and what may be done with it, in the bytes that clients send."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from tests.wire.raw_http import request
from tests.wire.served import FACTS, Delivery, Served, Servers

SECRET = b"the secret that lies beside the root\n"

NAMES = [
    (b"100%.txt",                        "percent"),
    (b"%2e%2e",                          "looks-like-an-escape"),
    (b"%252e",                           "looks-like-two"),
    (b'a "quoted" name.txt',             "quotes"),
    (b"it's.txt",                        "apostrophe"),
    (b"line\nbreak.txt",                 "newline"),
    (b"injected\r\nSet-Cookie: a=b.txt", "header-injection"),
    (b"caf\xe9.txt",                     "not-utf-8"),
    (b"\xff\xfe\x80",                    "no-text-at-all"),
    ("žluťoučký kůň.txt".encode(),       "utf-8"),
    ("👩‍🚀.txt".encode(),                  "beyond-the-bmp"),
    (b"back\\slash.txt",                 "backslash"),
    (b"x\\..\\..\\secret.txt",           "dots-and-backslashes"),
    (b"a?b#c;d&e=f+g",                   "url-delimiters"),
    (b" spaces ",                        "spaces"),
    (b"tab\tand bell\a",                 "controls"),
    (b"dots...",                         "dots-at-the-end"),
    (b"<script>.txt",                    "markup"),
    (b"-dash",                           "dash"),
    (b"n" * 255,                         "longest"),
]  # fmt: skip

# Every way to say "up" or "elsewhere" that has ever fooled a server.
TRAVERSALS = [
    "/../secret.txt",
    "/folder/../../secret.txt",
    "/folder/../facts.bin",
    "/./facts.bin",
    "/.",
    "/..",
    "/../",
    "//secret.txt",
    "//facts.bin",
    "/folder//inside.txt",
    "///",
    "/%2e%2e/secret.txt",
    "/%2E%2E/secret.txt",
    "/.%2e/secret.txt",
    "/%2e/facts.bin",
    "/..%2fsecret.txt",
    "/..%2Fsecret.txt",
    "/%2e%2e%2fsecret.txt",
    "/folder%2finside.txt",
    "/%2fetc/passwd",
    "/%2Fetc%2Fpasswd",
    "/..%5csecret.txt",
    "/..\\secret.txt",
    "/%252e%252e/secret.txt",
    "/%252e%252e%252fsecret.txt",
    "/..%00/secret.txt",
    "/facts.bin%00",
    "/facts.bin%00.txt",
    "/%00",
    "/%",
    "/%2",
    "/%zz",
    "/facts.bin%",
    "/%c0%ae%c0%ae/secret.txt",
    "/%e0%80%ae%e0%80%ae/secret.txt",
    "/..;/secret.txt",
    "/folder/..;/secret.txt",
    "/%uff0e%uff0e/secret.txt",
    "/\uff0e\uff0e/secret.txt",
    "/escape",
    "/escape-absolutely",
    "/escape-folder/secret.txt",
    "/proc/self/environ",
    "/etc/passwd",
    "/facts.bin/",
    "/facts.bin/x",
    "/facts.bin/../facts.bin",
    "/missing",
    "/" + "n" * 256,
    "/" + "n/" * 2_100 + "x",
    "/.hidden",
    "/%2ehidden",
    "/.hidden-folder/inside.txt",
    "/-",
    "/-/../facts.bin",
    "/-/..%2ffacts.bin",
    "/-/static/../../facts.bin",
    "/-/static/..%2f__init__.py",
    "/-/static/%2e%2e/__init__.py",
]

# RFC 9112 section 3.2; the target as it stands in the request line.
MALFORMED_TARGETS = [
    (b"*",                                "asterisk-is-for-options"),   # 3.2.4
    (b"facts.bin",                        "no-slash"),                  # 3.2.1
    (b"/facts.bin#fragment",              "fragment"),                  # 9110, 4.2.5
    (b"ftp://files.example/facts.bin",    "other-scheme"),
    (b"http://user@files.example/a",      "userinfo"),                  # 9110, 4.2.4
    (b"http:///facts.bin",                "empty-host"),                # 9110, 4.2.1
    (b"http://:80/facts.bin",             "port-without-host"),
    (b"files.example:80",                 "authority-form"),            # 3.2.3: CONNECT only
    (b"/a\x7fb",                          "delete-character"),
    (b"/a\x01b",                          "control-character"),
]  # fmt: skip

REFUSED_METHODS = [
    # method       status
    ("POST",          405),
    ("PUT",           405),
    ("DELETE",        405),
    ("PATCH",         405),
    ("TRACE",         405),   # 9110, 9.3.8: would show a client's fields to its scripts
    ("PROPFIND",      405),
    ("MKCOL",         405),
    ("BREW",          501),   # 9110, 9.1: "unrecognized or not implemented"
    ("get",           501),   # 9110, 9.1: case-sensitive
    ("Get",           501),
    ("GETT",          501),
]  # fmt: skip


@pytest.fixture(scope="module")
def odd(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A folder of everything that is no plain file, with a secret beside it."""
    folder = tmp_path_factory.mktemp("odd")
    root = folder / "root"
    (folder / "secret.txt").write_bytes(SECRET)
    for place in (root, root / "folder", root / ".hidden-folder"):
        place.mkdir()
        (place / "inside.txt").write_bytes(b"inside\n")
    (root / "facts.bin").write_bytes(FACTS)
    (root / ".hidden").write_bytes(SECRET)
    (root / "inside-link").symlink_to("folder/inside.txt")
    (root / "escape").symlink_to("../secret.txt")
    (root / "escape-absolutely").symlink_to(folder / "secret.txt")
    (root / "escape-folder").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    with servers.started(Delivery.UVLOOP, root) as served:
        yield served
        assert served.error_lines() == []


@pytest.mark.parametrize("name", [pytest.param(name, id=row_id) for name, row_id in NAMES])
def test_any_name_is_downloaded_by_its_escaped_path(served: Served, name: bytes) -> None:
    path = os.path.join(os.fsencode(served.root), name)
    Path(os.fsdecode(path)).write_bytes(FACTS)
    answer = served.get("/" + quote_from_bytes(name, safe=""))
    assert (answer.status, answer.content) == (200, FACTS)
    # The strict client has read the head: nothing of the name broke out of its field.
    assert not answer.head.has("set-cookie")


@pytest.mark.parametrize("name", [b"caf\xe9-raw.txt", "kůň-raw.txt".encode(), b"a|b^c[d].txt"])
def test_a_name_that_is_sent_as_it_was_typed_is_found(served: Served, name: bytes) -> None:
    Path(os.fsdecode(os.path.join(os.fsencode(served.root), name))).write_bytes(FACTS)
    answer = served.ask(request(b"/" + name))
    assert (answer.status, answer.content) == (200, FACTS)


@pytest.mark.parametrize("target", TRAVERSALS)
def test_no_target_leads_out_of_the_root(odd: Served, target: str) -> None:
    answer = odd.ask(request(target.encode("utf-8")))
    assert answer.status == 404
    assert SECRET not in answer.content


@pytest.mark.parametrize("target", ["http://files.example/../secret.txt", "/?/../secret.txt"])
def test_nor_does_another_form_of_the_target(odd: Served, target: str) -> None:
    assert SECRET not in odd.ask(request(target)).content


def test_a_link_that_stays_inside_is_followed(odd: Served) -> None:
    assert odd.get("/inside-link").content == b"inside\n"


@pytest.mark.parametrize("target", ["/loop", "/dangling", "/loop/x", "/dangling/x"])
def test_a_link_to_nothing_is_nothing(odd: Served, target: str) -> None:
    assert odd.get(target).status == 404


def test_a_fifo_is_not_served_and_nobody_waits_for_it(served: Served) -> None:
    path = served.root / f"fifo-{served.delivery.name}"
    os.mkfifo(path)
    assert served.get(f"/{path.name}").status == 404
    path.unlink()


def test_a_socket_is_not_served(odd: Served) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        # sun_path is short: bound by a name relative to the folder.
        folder = os.open(odd.root, os.O_PATH)
        try:
            listening.bind(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)
        assert odd.get("/socket").status == 404


def test_a_device_is_not_served(odd: Served) -> None:
    try:
        os.mknod(odd.root / "zero", 0o666 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    assert odd.get("/zero").status == 404


def test_a_folder_has_a_slash_at_its_end(served: Served) -> None:
    answer = served.get("/folder?sort=size")
    assert answer.status in (301, 308)
    assert answer.field("location") == "/folder/?sort=size"
    assert served.get("/folder/").status == 200


def test_a_redirect_never_leaves_the_site(served: Served) -> None:
    # "Location: //evil.example/" would be another host (RFC 3986 section 4.2).
    (served.root / "evil.example").mkdir(exist_ok=True)
    for target in ("//evil.example", "/%2fevil.example", "/\\evil.example"):
        answer = served.get(target)
        assert not answer.head.has("location")
        assert answer.status == 404


@pytest.mark.parametrize("download", ["/facts.bin?download", "/facts.bin?x=1&download=1"])
def test_download_makes_it_an_attachment(served: Served, download: str) -> None:
    assert served.get(download).field("content-disposition").startswith("attachment")
    assert served.get("/facts.bin").field("content-disposition").startswith("inline")


@pytest.mark.parametrize(
    "target", [pytest.param(target, id=row_id) for target, row_id in MALFORMED_TARGETS]
)
def test_a_malformed_target_is_400(served: Served, target: bytes) -> None:
    assert served.ask(request(target)).status == 400


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_the_absolute_form_is_understood(served: Served, scheme: str) -> None:
    answer = served.get(f"{scheme}://other.example:8080/facts.bin")  # 9112, 3.2.2 MUST accept
    assert (answer.status, answer.content) == (200, FACTS)


def test_an_https_resource_is_not_sent_in_the_clear(served: Served) -> None:
    # 9110, 7.4 MUST reject, and 15.5.20 says how.
    expected = 200 if served.delivery is Delivery.TLS else 421
    assert served.get("https://other.example:8080/facts.bin").status == expected


def test_the_query_is_no_part_of_the_name(served: Served) -> None:
    assert served.get("/facts.bin?a=/../..&%00").content == FACTS


def test_head_is_get_without_content(served: Served) -> None:
    for target in ("/facts.bin", "/missing", "/folder", "/empty.bin"):
        with served.connect() as client:
            head = client.ask(request(target, method="HEAD"), "HEAD")
            assert head.status == client.ask(request(target)).status  # 9110, 9.3.2


@pytest.mark.parametrize(("method", "status"), REFUSED_METHODS)
def test_other_methods_are_refused(served: Served, method: str, status: int) -> None:
    answer = served.ask(request("/facts.bin", ["Content-Length: 0"], method=method))
    assert answer.status == status
    if status == 405:
        assert answer.field("allow") == "GET, HEAD, OPTIONS"  # 9110, 15.5.6 MUST


def test_trace_does_not_echo(served: Served) -> None:
    answer = served.ask(request("/facts.bin", ["Cookie: session=1"], method="TRACE"))
    assert b"session" not in answer.content


@pytest.mark.parametrize("target", ["/facts.bin", "/folder/", "/missing", "*"])
def test_options_says_what_is_allowed(served: Served, target: str) -> None:
    answer = served.ask(request(target, method="OPTIONS"), "OPTIONS")
    assert answer.status == 204
    assert answer.field("allow") == "GET, HEAD, OPTIONS"


def test_connect_is_no_service_of_ours(served: Served) -> None:
    with served.connect() as client:
        answer = client.ask(b"CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example\r\n\r\n")
        assert answer.status in (400, 405, 501)
        assert client.read_until_closed() == b""


def test_active_content_has_no_origin(served: Served) -> None:
    for name in ("page.html", "picture.svg", "data.xml", "page.xhtml"):
        (served.root / name).write_bytes(b"<script>alert(1)</script>")
        answer = served.get(f"/{name}")
        assert answer.field("content-security-policy") == "sandbox"
        assert answer.field("x-content-type-options") == "nosniff"
