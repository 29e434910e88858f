"""The folder in which everything of one run lies, and the files that are served from it."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.offer import Certificate

MIB = 1 << 20
GIB = 1 << 30
LARGE = "/large.bin"
SMALL = "/small.bin"
SPARSE = "/sparse.bin"
COLD = "/cold.bin"
FOLDER = "/many/"
LARGE_BYTES = 512 * MIB
SPARSE_BYTES = 10 * GIB
FOLDER_ENTRIES = 50_000
_BLOCK_BYTES = 8 * MIB


class WorkshopError(Exception):
    """Something cannot be made on this machine; the message is a sentence for the notes."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """path: removed at the end; root: the folder that is served in most scenarios."""

    path: Path

    @property
    def root(self) -> Path:
        return self.path / "root"

    def new_folder(self, name: str) -> Path:
        """A folder of that name, made if need be."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    def large_file(self) -> Path:
        """The file that most scenarios serve; in the page cache afterwards."""
        return random_file(self.root / LARGE.strip("/"), LARGE_BYTES)

    def sparse_file(self) -> Path:
        """A file of 10 GiB that takes no room on the disk."""
        path = self.root / SPARSE.strip("/")
        with path.open("ab") as file:
            file.truncate(SPARSE_BYTES)
        return path

    def large_folder(self) -> Path:
        """A folder of 50,000 empty files."""
        folder = self.root / FOLDER.strip("/")
        folder.mkdir(exist_ok=True)
        if not any(folder.iterdir()):
            for number in range(FOLDER_ENTRIES):
                (folder / f"episode {number:05d}.mkv").touch()
        return folder

    def certificate(self) -> Certificate:
        """A self-signed certificate for 127.0.0.1."""
        chain, key = self.path / "certificate.pem", self.path / "key.pem"
        if not chain.exists():
            _make_certificate(chain, key)
        return Certificate(chain, key)


@contextlib.contextmanager
def workshop(folder: Path | None) -> Iterator[Workshop]:
    """A new folder below the given one, else below the system's for temporary files."""
    with tempfile.TemporaryDirectory(prefix="fileserve-bench-", dir=folder) as path:
        # Servers that run as somebody else have to get in.
        os.chmod(path, 0o755)
        made = Workshop(Path(path).resolve())
        made.root.mkdir()
        random_file(made.root / SMALL.strip("/"), 4096)
        yield made


def random_file(path: Path, size: int) -> Path:
    """A file of random bytes, durable on the disk, so that its pages can be dropped."""
    if not path.exists() or path.stat().st_size != size:
        with path.open("wb") as file:
            for start in range(0, size, _BLOCK_BYTES):
                file.write(os.urandom(min(_BLOCK_BYTES, size - start)))
            file.flush()
            os.fsync(file.fileno())
    return path


def read_through(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(_BLOCK_BYTES)
        while file.readinto(buffer):
            pass


def drop_from_cache(path: Path) -> None:
    """Let the kernel forget a file's pages."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _make_certificate(chain: Path, key: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        raise WorkshopError("openssl is not installed (apt-get install openssl)")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-keyout", os.fspath(key), "-out", os.fspath(chain)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
