"""What the doctor finds: each line says ok, warn or fail, and what to do."""

import os
import subprocess

import pytest

from tests.cli.shell import Shell
from tests.frozen_mount import frozen_mount
from tests.running_server import running_server

LEFTOVER = ".fileserve-0123456789abcdef.part"


def findings(out: str) -> dict[str, str]:
    """The status of each subject, the worst where there are several."""
    found: dict[str, str] = {}
    for line in out.splitlines():
        if not line.startswith(" "):
            status, subject = line[:4].strip(), line[6:17].strip()
            found[subject] = max(
                found.get(subject, ""), status, key=["", "ok", "warn", "fail"].index
            )
    return found


def test_healthy_root_has_no_failure(shell: Shell) -> None:
    (shell.root / "a").write_bytes(b"content")
    ended = shell.run("doctor")
    found = findings(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert found["root"] == found["names"] == found["sendfile"] == found["leftovers"] == "ok"
    assert "works (7 bytes tried)" in ended.out
    assert {"mount", "openat2", "mount ids", "pacing", "open files", "space"} <= set(found)


def test_empty_root_has_nothing_to_try_sendfile_with(shell: Shell) -> None:
    assert "not tried: the root holds no file yet" in shell.run("doctor").out


def test_entry_named_dash_is_a_failure(shell: Shell) -> None:
    (shell.root / "-").mkdir()
    ended = shell.run("doctor")
    assert ended.code == 8
    assert findings(ended.out)["names"] == "fail"
    assert "rename it" in ended.out


def test_leftovers_are_named(shell: Shell) -> None:
    (shell.root / "films").mkdir()
    (shell.root / "films" / LEFTOVER).write_bytes(b"half")
    ended = shell.run("doctor")
    assert ended.code == 0
    assert findings(ended.out)["leftovers"] == "warn"
    assert f"films/{LEFTOVER}" in ended.out


def test_root_that_everybody_may_write_is_a_warning(shell: Shell) -> None:
    shell.root.chmod(0o777)
    assert findings(shell.run("doctor").out)["root"] == "warn"


def test_refused_openat2_is_a_warning(shell: Shell) -> None:
    found = findings(shell.run("doctor", FILESERVE_NO_OPENAT2="1").out)
    assert found["openat2"] == "warn"


def test_too_few_open_files_are_a_warning(shell: Shell) -> None:
    ended = shell.run("doctor", FILESERVE_MAX_CONNECTIONS="1000000000")
    limits = findings(ended.out)["open files"]
    assert limits == "warn" or "no limit" in ended.out


@pytest.mark.parametrize("mode", [0o000, 0o111, 0o444])
def test_root_that_cannot_be_read_is_a_failure(shell: Shell, mode: int) -> None:
    # Root is forbidden what others are, too, once it may not override it.
    powers = "-dac_override,-dac_read_search"
    as_others = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}"]
    shell.root.chmod(mode)
    try:
        ended = subprocess.run(
            [*(as_others if os.geteuid() == 0 else []), *shell.command("doctor")],
            capture_output=True,
            cwd=shell.folder,
            env=shell.environment,
            check=False,
        )
    finally:
        shell.root.chmod(0o700)
    assert ended.returncode == 8
    assert findings(ended.stdout.decode()) == {"root": "fail"}
    assert b"chmod a+rx it" in ended.stdout


def test_hung_mount_is_found_and_does_not_hang_the_doctor(shell: Shell) -> None:
    (shell.root / "a").write_bytes(b"1")
    with frozen_mount(shell.root / "nas") as mount:
        assert "nas: fuse.sshfs, may hang" in shell.run("doctor").out
        mount.freeze()
        ended = shell.run("doctor")
        mount.thaw()
    assert ended.code == 8
    assert findings(ended.out)["mount"] == "fail"
    assert "nas: fuse.sshfs, may hang: read in threads of its own, does not answer" in ended.out


def test_hung_root_is_found_and_does_not_hang_the_doctor(shell: Shell) -> None:
    with frozen_mount(shell.root) as mount:
        mount.freeze()
        ended = shell.run("doctor")
        mount.thaw()
    assert ended.code == 8
    assert findings(ended.out) == {"root": "fail"}


def test_info_tells_the_etag_and_type_that_are_served(shell: Shell) -> None:
    (shell.root / "a b.mkv").write_bytes(b"content")
    lines = shell.run("info", "a b.mkv").out.splitlines()
    told = dict(line.split(maxsplit=1) for line in lines)
    with running_server(shell.root) as server:
        head = subprocess.run(
            ["curl", "-sSI", server.url + told["URL"].rpartition("/")[2]],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    served = dict(line.split(": ", 1) for line in head.lower().splitlines()[1:] if line)
    assert served["etag"] == told["ETag"].lower()
    assert served["last-modified"] == told["Last-Modified"].lower()
    assert served["content-type"] == told["Content-Type"].lower()
    assert served["content-length"] == "7"
