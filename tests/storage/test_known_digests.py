"""SHA-256 of files: right, remembered for a state, and never that of two states at once."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storage.blob import Blob, Fingerprint
from storage.checksums import FileState
from storage.known_digests import Hasher, KnownDigests
from storage.local import LocalStorage
from storage.names import Name
from tests.file_times import let_the_kernels_clock_tick

NAME = Name((b"file.bin",))
STATE = FileState(1, Fingerprint(10, 20, 30, 40))
MIB = 1 << 20


def with_blob(
    root: Path,
    use: Callable[[Hasher, Blob], Awaitable[bytes | None]],
    chunked: tuple[Name, ...] = (),
) -> bytes | None:
    async def run() -> bytes | None:
        storage = LocalStorage(root, chunked=chunked)
        blob = await storage.open(NAME)
        try:
            return await use(Hasher(KnownDigests()), blob)
        finally:
            await blob.close()
            await storage.close()

    return asyncio.run(run())


SIZES = [0, 1, 256 << 10, MIB, MIB + 1, 8 * MIB, 8 * MIB + 1, 17 * MIB]


@pytest.mark.parametrize("chunked", [(), (Name(()),)], ids=["local", "as-network"])
@pytest.mark.parametrize("size", SIZES)
def test_the_digest_is_that_of_the_file(
    tmp_path: Path, size: int, chunked: tuple[Name, ...]
) -> None:
    content = bytes(range(251)) * (size // 251) + bytes(size % 251)
    (tmp_path / "file.bin").write_bytes(content)
    found = with_blob(tmp_path, lambda hasher, blob: hasher.sha256(blob, 1), chunked)
    assert found == hashlib.sha256(content).digest()


def change_size(path: Path) -> None:
    path.write_bytes(b"shorter")


def change_bytes(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


@pytest.mark.parametrize("change", [change_size, change_bytes])
@pytest.mark.parametrize("chunked", [(), (Name(()),)], ids=["local", "as-network"])
def test_a_file_that_changed_since_it_was_opened_has_no_digest(
    tmp_path: Path, change: Callable[[Path], None], chunked: tuple[Name, ...]
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(MIB))

    async def use(hasher: Hasher, blob: Blob) -> bytes | None:
        let_the_kernels_clock_tick()
        change(path)
        return await hasher.sha256(blob, 1)

    assert with_blob(tmp_path, use, chunked) is None


def test_what_is_known_is_not_computed_again(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"content")

    async def use(hasher: Hasher, blob: Blob) -> bytes | None:
        hasher.known.put(FileState(1, blob.fingerprint), b"known before")
        return await hasher.sha256(blob, 1)

    assert with_blob(tmp_path, use) == b"known before"


def test_what_was_computed_is_known(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"content")

    async def use(hasher: Hasher, blob: Blob) -> bytes | None:
        await hasher.sha256(blob, 1)
        return hasher.known.get(FileState(1, blob.fingerprint))

    assert with_blob(tmp_path, use) == hashlib.sha256(b"content").digest()


def test_a_cancelled_computation_gives_its_turn_back(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(bytes(64 * MIB))

    async def use(_hasher: Hasher, blob: Blob) -> bytes | None:
        hasher = Hasher(KnownDigests(), simultaneous=1)
        task = asyncio.ensure_future(hasher.sha256(blob, 1))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        async with asyncio.timeout(20):
            return await hasher.sha256(blob, 1)

    assert with_blob(tmp_path, use) == hashlib.sha256(bytes(64 * MIB)).digest()


def test_computations_wait_for_their_turn_and_all_end(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(bytes(20 * MIB))

    async def use(_hasher: Hasher, blob: Blob) -> bytes | None:
        hasher = Hasher(KnownDigests(), simultaneous=1)
        found = await asyncio.gather(*(hasher.sha256(blob, device) for device in range(5)))
        assert len(set(found)) == 1
        return found[0]

    assert with_blob(tmp_path, use) == hashlib.sha256(bytes(20 * MIB)).digest()


class CountingDigests(KnownDigests):
    """Counts how many digests were computed."""

    def __init__(self) -> None:
        super().__init__()
        self.computed = 0

    def put(self, state: FileState, sha256: bytes) -> None:
        self.computed += 1
        super().put(state, sha256)


@pytest.mark.parametrize("chunked", [(), (Name(()),)], ids=["local", "as-network"])
def test_many_who_ask_at_once_share_one_computation(
    tmp_path: Path, chunked: tuple[Name, ...]
) -> None:
    content = bytes(range(256)) * (80 << 10)  # 20 MiB
    (tmp_path / "file.bin").write_bytes(content)

    async def use(_hasher: Hasher, blob: Blob) -> bytes | None:
        known = CountingDigests()
        hasher = Hasher(known)
        found = await asyncio.gather(*(hasher.sha256(blob, 1) for _ in range(8)))
        assert found == [hashlib.sha256(content).digest()] * 8
        assert known.computed == 1
        return found[0]

    assert with_blob(tmp_path, use, chunked) is not None


@pytest.mark.parametrize("chunked", [(), (Name(()),)], ids=["local", "as-network"])
def test_those_who_leave_do_not_spoil_the_computation_of_others(
    tmp_path: Path, chunked: tuple[Name, ...]
) -> None:
    content = bytes(range(256)) * (160 << 10)  # 40 MiB
    (tmp_path / "file.bin").write_bytes(content)

    async def use(hasher: Hasher, blob: Blob) -> bytes | None:
        staying = asyncio.ensure_future(hasher.sha256(blob, 1))
        for _ in range(20):
            leaving = asyncio.ensure_future(hasher.sha256(blob, 1))
            await asyncio.sleep(0.002)
            leaving.cancel()
        return await staying

    assert with_blob(tmp_path, use, chunked) == hashlib.sha256(content).digest()


STATES = [
    replace(STATE, device=2),
    *(
        replace(STATE, fingerprint=STATE.fingerprint._replace(**{field: 99}))
        for field in ("size", "modified_ns", "changed_ns", "inode")
    ),
]


@pytest.mark.parametrize("state", STATES)
def test_a_digest_belongs_to_one_state(state: FileState) -> None:
    known = KnownDigests()
    known.put(STATE, b"digest")
    assert (known.get(STATE), known.get(state)) == (b"digest", None)


def test_the_oldest_is_forgotten_first() -> None:
    known = KnownDigests(max_known=2)
    states = [replace(STATE, device=device) for device in range(3)]
    for state in states:
        known.put(state, bytes([state.device]))
    assert [known.get(state) for state in states] == [None, b"\1", b"\2"]
