"""An addition of many files appears as a whole or not at all."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage import errors
from storage.additions import Addition, Manner, SourceFile, Watcher, survey
from storage.atomic import Existing, Step
from storage.beneath import Root, Symlinks
from storage.errors import StorageError
from storage.library import opened_root
from storage.names import Name, parse_os_path

SILENT = Watcher(lambda step: None, lambda count: None)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "root"
    top.mkdir()
    (top / "old.bin").write_bytes(b"old")
    return top


@pytest.fixture
def root(top: Path) -> Iterator[Root]:
    with opened_root(top, Symlinks.FOLLOW_BENEATH) as root:
        yield root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two files, one of them deeper, an empty folder, a link and a FIFO."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "a").write_bytes(b"first")
    (source / "deep" / "b").write_bytes(b"second")
    (source / "link").symlink_to("a")
    (source / "folder-link").symlink_to("deep")
    os.mkfifo(source / "fifo")
    return source


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below folder with its content; None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def add(
    root: Root,
    source: Path,
    name: str,
    manner: Manner = Manner.COPY,
    watcher: Watcher = SILENT,
) -> None:
    plan = survey(os.fsencode(source), parse_os_path(name))
    with Addition(root, manner, Existing.REFUSE, watcher) as addition:
        addition.prepare(plan)
        for file in plan.files:
            addition.add_file(file)


def test_survey_of_a_folder_finds_files_and_leaves_out_the_rest(source: Path) -> None:
    plan = survey(os.fsencode(source), parse_os_path("films"))
    assert {file.name.display for file in plan.files} == {"films/a", "films/deep/b"}
    assert plan.size == len(b"first") + len(b"second")
    assert {os.path.basename(path) for path in plan.skipped} == {b"link", b"folder-link", b"fifo"}


SURVEYS = [("missing", errors.NotFound), ("fifo", StorageError)]


@pytest.mark.parametrize(("path", "refusal"), SURVEYS)
def test_survey_refuses(source: Path, path: str, refusal: type[StorageError]) -> None:
    with pytest.raises(refusal, match=path):
        survey(os.fsencode(source / path), parse_os_path("a"))


@pytest.mark.parametrize("manner", Manner)
def test_folder_is_added_with_all_it_holds(
    top: Path, root: Root, source: Path, manner: Manner
) -> None:
    add(root, source, "films", manner)
    assert tree(top) == {
        "old.bin": b"old",
        "films": None,
        "films/a": b"first",
        "films/deep": None,
        "films/deep/b": b"second",
        "films/empty": None,
    }
    assert (source / "a").exists() == (manner is not Manner.MOVE)
    # What is never copied stays where it is.
    assert (source / "fifo").exists()


def test_move_of_a_folder_with_files_only_leaves_nothing(root: Root, source: Path) -> None:
    for name in ("link", "folder-link", "fifo"):
        (source / name).unlink()
    add(root, source, "films", Manner.MOVE)
    assert not source.exists()


STEPS_OF = {
    # Nothing is replaced here, so nothing is renamed.
    Manner.COPY: [Step.CREATE, Step.WRITE, Step.SYNC_FILE, Step.LINK, Step.SYNC_FOLDER],
    Manner.MOVE: [Step.SYNC_FILE, Step.LINK, Step.SYNC_FOLDER],
    Manner.LINK: [Step.SYNC_FILE, Step.LINK, Step.SYNC_FOLDER],
}
FAILURES = [
    pytest.param(manner, step, error, id=f"{manner.value}-{step.value}-{error.__name__}")
    for manner, steps in STEPS_OF.items()
    for step in steps
    for error in (KeyboardInterrupt, RuntimeError)
]


@pytest.mark.parametrize(("manner", "step", "error"), FAILURES)
def test_failure_at_any_step_of_the_second_file_undoes_the_first(
    root: Root, source: Path, manner: Manner, step: Step, error: type[BaseException]
) -> None:
    files_begun = 0

    def fail_in_the_second_file(now: Step) -> None:
        nonlocal files_begun
        files_begun += now is STEPS_OF[manner][0]
        if now is step and files_begun > 1:
            raise error

    top = source.parent / "root"
    before = tree_of_names(source)
    with pytest.raises(error):
        add(root, source, "new/films", manner, Watcher(fail_in_the_second_file, lambda _: None))
    assert tree(top) == {"old.bin": b"old"}
    assert tree_of_names(source) == before


def tree_of_names(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_name_that_is_taken_is_found_before_a_byte_is_copied(
    top: Path, root: Root, source: Path
) -> None:
    (top / "films" / "deep").mkdir(parents=True)
    (top / "films" / "deep" / "b").write_bytes(b"there")
    before = tree(top)
    steps: list[Step] = []
    with pytest.raises(errors.AlreadyExists, match="films/deep/b"):
        add(root, source, "films", watcher=Watcher(steps.append, lambda count: None))
    assert steps == []
    assert tree(top) == before


def test_replaced_file_stays_replaced_when_a_later_one_fails(
    top: Path, root: Root, source: Path
) -> None:
    (top / "films").mkdir()
    (top / "films" / "a").write_bytes(b"there")
    plan = survey(os.fsencode(source), parse_os_path("films"))

    def add_one_and_fail() -> None:
        with Addition(root, Manner.COPY, Existing.REPLACE, SILENT) as addition:
            addition.prepare(plan)
            addition.add_file(plan.files[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_one_and_fail()
    assert tree(top) == {"old.bin": b"old", "films": None, "films/a": b"first"}


def test_what_somebody_else_put_in_the_place_is_not_undone(top: Path, root: Root) -> None:
    def add_and_be_replaced() -> None:
        with Addition(root, Manner.COPY, Existing.REFUSE, SILENT) as addition:
            addition.add_stream(parse_os_path("a"), [b"ours"])
            (top / "theirs").write_bytes(b"theirs")
            (top / "theirs").rename(top / "a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_and_be_replaced()
    assert (top / "a").read_bytes() == b"theirs"


@pytest.mark.parametrize("manner", Manner)
def test_source_that_grows_while_it_is_read_is_not_added(
    top: Path, root: Root, source: Path, manner: Manner
) -> None:
    def grow(count: int) -> None:
        with (source / "a").open("ab") as file:
            file.write(b"more")

    watcher = Watcher(lambda step: None, grow)
    with pytest.raises(StorageError, match="changed while it was read"):
        add(root, source / "a", "a", manner, watcher)
    assert tree(top) == {"old.bin": b"old"}


def test_moved_source_that_was_replaced_meanwhile_is_not_removed(
    top: Path, root: Root, source: Path
) -> None:
    plan = survey(os.fsencode(source / "a"), parse_os_path("a"))
    with Addition(root, Manner.MOVE, Existing.REFUSE, SILENT) as addition:
        addition.add_file(plan.files[0])
        (source / "other").write_bytes(b"other")
        (source / "other").rename(source / "a")
    assert (source / "a").read_bytes() == b"other"
    assert (top / "a").read_bytes() == b"first"


def test_source_that_became_a_fifo_neither_hangs_nor_is_added(root: Root, source: Path) -> None:
    file = SourceFile(os.fsencode(source / "fifo"), parse_os_path("a"), 0)
    with (
        pytest.raises(StorageError, match="neither a file nor a folder"),
        Addition(root, Manner.COPY, Existing.REFUSE, SILENT) as addition,
    ):
        addition.add_file(file)


def test_hard_link_across_mounts_is_refused_and_move_copies_instead(
    top: Path, root: Root, source: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    (top / "disk").mkdir()
    (source.parent / "disk").mkdir()
    bind_mount(source.parent / "disk", top / "disk")
    with pytest.raises(StorageError, match="another file system; copy or move it"):
        add(root, source / "a", "disk/a", Manner.LINK)
    add(root, source / "a", "disk/a", Manner.MOVE)
    assert (top / "disk" / "a").read_bytes() == b"first"
    assert not (source / "a").exists()


@pytest.fixture
def small_disk(top: Path) -> Iterator[Path]:
    """A folder of the root with room for 1 MiB."""
    point = top / "small"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "fileserve-test", str(point)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs privileges")
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def test_full_file_system_is_no_space_and_leaves_nothing(
    root: Root, source: Path, small_disk: Path
) -> None:
    (source / "big").write_bytes(b"x" * 2_000_000)
    with pytest.raises(errors.NoSpace, match="films/big: no space left"):
        add(root, source, "small/films")
    assert os.listdir(small_disk) == []


def test_stream_is_added_and_makes_its_folders(top: Path, root: Root) -> None:
    with Addition(root, Manner.COPY, Existing.REFUSE, SILENT) as addition:
        digests = addition.add_stream(Name((b"x", b"y")), [b"a", b"b"])
    assert (top / "x" / "y").read_bytes() == b"ab"
    assert digests.length == 2
