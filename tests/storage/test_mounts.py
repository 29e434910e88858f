"""Mounts as the kernel's tables tell them, proc(5), and whether they may hang."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.mounts import (
    Mount,
    Mounts,
    MountTable,
    _mount_id_by_fdinfo,
    _mount_id_by_statx,
    mount_id,
    overlay_layers,
    parse_mountinfo,
)
from tests.descriptors import nothing_left_open
from tests.storage.conftest import unmount

LINES = [
    # line                                                 id  point          type      id
    (b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw",     27, b"/",          "ext4",   "root"),
    (b"36 35 98:0 /m1 /m2 rw master:1 - ext3 /dev/r rw",   36, b"/m2",        "ext3",   "tag"),
    (b"36 35 9:0 / /m rw master:1 shared:2 - xfs no rw",   36, b"/m",         "xfs",    "two-tags"),
    (b"42 27 0:39 / /a\\040b rw - fuse.x lab rw",          42, b"/a b",       "fuse.x", "space"),
    (b"43 27 0:39 / /t\\011n\\012b\\134 rw - nfs4 s rw",   43, b"/t\tn\nb\\", "nfs4",   "escapes"),
    (b"44 27 0:40 / /\xff rw - tmpfs tmpfs rw",            44, b"/\xff",      "tmpfs",  "bytes"),
    (b"45 27 0:41 / /e rw - tmpfs  rw",                    45, b"/e",         "tmpfs",  "empty"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "number", "point", "fs_type"), [row[:4] for row in LINES], ids=[r[4] for r in LINES]
)
def test_a_line_of_mountinfo_is_read(line: bytes, number: int, point: bytes, fs_type: str) -> None:
    (mount,) = parse_mountinfo(line + b"\n")
    assert (mount.id, mount.point, mount.fs_type) == (number, point, fs_type)


@pytest.mark.parametrize("line", [b"", b"garbage", b"1 2 3 - ext4", b"x 1 0:1 / / rw - a b c"])
def test_a_line_that_cannot_be_read_is_left_out(line: bytes) -> None:
    good = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n"
    assert [mount.id for mount in parse_mountinfo(line + b"\n" + good)] == [27]


def table(*rows: tuple[int, bytes, str, bytes]) -> Mounts:
    return Mounts(
        Mount(number, "0:1", point, fs_type, options) for number, point, fs_type, options in rows
    )


KINDS = [
    # type              may hang  id
    ("ext4",            False,    "ext4"),
    ("xfs",             False,    "xfs"),
    ("btrfs",           False,    "btrfs"),
    ("tmpfs",           False,    "tmpfs"),
    ("nfs",             True,     "nfs"),
    ("nfs4",            True,     "nfs4"),
    ("cifs",            True,     "cifs"),
    ("smb3",            True,     "smb3"),
    ("ceph",            True,     "ceph"),
    ("9p",              True,     "9p"),
    ("virtiofs",        True,     "virtiofs"),
    ("autofs",          True,     "autofs"),
    ("fuse.sshfs",      True,     "sshfs"),
    ("fuseblk",         True,     "fuseblk"),
    ("invented-2031",   True,     "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("fs_type", "may_hang"), [r[:2] for r in KINDS], ids=[r[2] for r in KINDS])
def test_only_known_local_types_are_local(fs_type: str, may_hang: bool) -> None:
    mounts = table((1, b"/", fs_type, b"rw"))
    assert mounts.is_network(mounts.by_id[1]) is may_hang


def test_an_unknown_mount_may_hang() -> None:
    assert table().is_network(None)


BELOW = [(1, b"/", "ext4", b""), (2, b"/nas", "nfs4", b""), (3, b"/disk", "xfs", b"")]
OVERLAYS = [
    # options                                                    may hang  id
    (b"rw,lowerdir=/disk/a:/b,upperdir=/up,workdir=/w",          False,    "all-layers-local"),
    (b"ro,lowerdir=/a:/b",                                       False,    "no-upper-layer"),
    (b"rw,lowerdir=/nas/a,upperdir=/up",                         True,     "lower-layer-on-nfs"),
    (b"rw,lowerdir=/a:/nas/b,upperdir=/up",                      True,     "second-lower-on-nfs"),
    (b"rw,lowerdir=/a,upperdir=/nas/up",                         True,     "upper-layer-on-nfs"),
    (b"rw,lowerdir+=/a,lowerdir+=/nas,upperdir=/up",             True,     "appended-layer-on-nfs"),
    (b"rw,lowerdir=/a,datadir+=/nas,upperdir=/up",               True,     "data-layer-on-nfs"),
    (b"rw,lowerdir=a,upperdir=up",                               True,     "relative-layers"),
    (b"rw",                                                      True,     "no-layers-told"),
    (b"rw,lowerdir=/o/x,upperdir=/up",                           False,    "hidden-lower"),
    (b"ro,lowerdir=/o/x:/o/y",                                   True,     "only-hidden-lowers"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "may_hang"), [row[:2] for row in OVERLAYS], ids=[row[2] for row in OVERLAYS]
)
def test_an_overlay_is_judged_by_its_layers(options: bytes, may_hang: bool) -> None:
    mounts = table(*BELOW, (9, b"/o", "overlay", options))
    assert mounts.is_network(mounts.by_id[9]) is may_hang


def test_the_root_of_a_container_counts_as_local() -> None:
    # Its layers' paths are the host's: below its own "/" there is nothing else.
    options = b"rw,lowerdir=/var/lib/x/l/A:/var/lib/x/l/B,upperdir=/var/lib/x/d,workdir=/var/lib/w"
    mounts = table((9, b"/", "overlay", options))
    assert not mounts.is_network(mounts.by_id[9])


def test_separators_inside_a_layers_path_are_escaped() -> None:
    options = rb"rw,lowerdir=/a\:b:/c\,d,upperdir=/e"
    assert overlay_layers(options) == ([b"/e"], [rb"/a\:b", rb"/c\,d"])


def test_mounts_below_a_folder_are_keyed_by_the_path_from_there() -> None:
    mounts = table(
        (1, b"/", "ext4", b""),
        (2, b"/srv", "xfs", b""),
        (3, b"/srv/a/b", "nfs", b""),
        (4, b"/srvx", "nfs", b""),
        (5, b"/srv/a/b", "tmpfs", b""),
    )
    assert {key: mount.id for key, mount in mounts.below(b"/srv").items()} == {(b"a", b"b"): 5}
    assert set(mounts.below(b"/")) == {(b"srv",), (b"srv", b"a", b"b"), (b"srvx",)}


HOLDING = [
    # path         mount  id
    (b"/",         1,     "root"),
    (b"/srv",      2,     "mount-point-itself"),
    (b"/srv/x",    2,     "below"),
    (b"/srvx",     1,     "same-beginning-only"),
    (b"/srv/a/b",  4,     "covered-mount"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "number"), [r[:2] for r in HOLDING], ids=[r[2] for r in HOLDING])
def test_the_mount_holding_a_path_is_the_nearest_and_uppermost(path: bytes, number: int) -> None:
    mounts = table(
        (1, b"/", "ext4", b""),
        (2, b"/srv", "xfs", b""),
        (3, b"/srv/a", "nfs", b""),
        (4, b"/srv/a", "tmpfs", b""),
    )
    mount = mounts.holding(path)
    assert mount is not None
    assert mount.id == number


def test_statx_and_fdinfo_name_the_same_mount(tmp_path: Path) -> None:
    for path, flags in ((tmp_path, os.O_PATH), (Path("/proc"), os.O_RDONLY)):
        descriptor = os.open(path, flags)
        number = mount_id(descriptor)
        assert number == _mount_id_by_fdinfo(descriptor) == _mount_id_by_statx(descriptor)
        assert MountTable().current().by_id[number].point in (b"/proc", *_parents(tmp_path))
        os.close(descriptor)


def _parents(path: Path) -> list[bytes]:
    return [os.fsencode(folder) for folder in (path, *path.parents)]


def test_the_table_opens_nothing_before_it_is_asked() -> None:
    with nothing_left_open():
        MountTable()


def test_a_closed_table_opens_nothing_any_more() -> None:
    with nothing_left_open():
        table = MountTable()
        known = table.current()
        table.close()
        assert table.current() is known


def test_a_mount_is_noticed_when_it_comes_and_when_it_goes(
    tmp_path: Path,
    bind_mount: Callable[[Path, Path], None],
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    source, point = tmp_path / "source", tmp_path / "point"
    source.mkdir()
    point.mkdir()

    async def until(table: MountTable, changed: asyncio.Event, is_there: bool) -> None:
        async with asyncio.timeout(20):
            # Others may mount meanwhile: an event need not be ours.
            while ((b"point",) in table.current().below(os.fsencode(tmp_path))) is not is_there:
                await changed.wait()
                changed.clear()

    async def scenario() -> None:
        table, changed = MountTable(), asyncio.Event()
        table.watch(changed.set)
        await asyncio.sleep(0)
        changed.clear()
        bind_mount(source, point)
        await asyncio.wait_for(changed.wait(), 20)
        await until(table, changed, is_there=True)
        changed.clear()
        unmount(point)
        await asyncio.wait_for(changed.wait(), 20)
        await until(table, changed, is_there=False)
        table.close()
        table.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())


def test_a_change_is_noticed_without_a_loop(
    tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "point").mkdir()
    table = MountTable()
    # Others may mount meanwhile, but not all the time.
    assert any(table.current() is table.current() for _ in range(1_000))
    bind_mount(tmp_path, tmp_path / "point")
    assert (b"point",) in table.current().below(os.fsencode(tmp_path))
    table.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_notices_changes_of_its_own(
    tmp_path: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "point").mkdir()
    table = MountTable()
    table.current()
    bind_mount(tmp_path, tmp_path / "point")
    child = os.fork()
    if child == 0:
        try:
            is_there = (b"point",) in table.current().below(os.fsencode(tmp_path))
            os._exit(0 if is_there else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    # The child took nothing away from its parent.
    assert (b"point",) in table.current().below(os.fsencode(tmp_path))
    table.close()
