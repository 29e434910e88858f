"""Files to download: random bytes, sparse ones, and films with their index at the end."""

import hashlib
import os
from pathlib import Path

from tests.clients.programs import finish

MIB = 1 << 20
# At 25 pictures a second and with a key picture each second, as players expect it.
_PICTURES_PER_SECOND = 25


def write_random(path: Path, size: int) -> str:
    """A file of size random bytes; its SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            piece = os.urandom(min(MIB, size - start))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def write_sparse(path: Path, size: int) -> None:
    """A file of size zeros that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_on_disk(path: Path) -> int:
    """How much of a file was written so far, also when it has holes; 0 before it is there."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def write_film(path: Path, seconds: int, bits_per_second: int) -> None:
    """An H.264 film in an mp4 file whose index (moov) stands behind the pictures.

    Noise in the picture makes it as large as was asked for within seconds of work.
    """
    made = finish(
        [
            *("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi"),
            *("-i", f"testsrc2=size=640x360:rate={_PICTURES_PER_SECOND}:duration={seconds}"),
            *("-vf", "noise=alls=90:allf=t", "-c:v", "libx264", "-preset", "ultrafast"),
            *("-pix_fmt", "yuv420p", "-g", str(_PICTURES_PER_SECOND)),
            *("-b:v", str(bits_per_second), "-minrate", str(bits_per_second)),
            *("-maxrate", str(bits_per_second), "-bufsize", str(bits_per_second), path),
        ]
    )
    assert made.returncode == 0, made.stderr
