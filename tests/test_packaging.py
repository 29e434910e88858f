"""The wheel: what is in it, and that it runs where nothing but it and its requirements is."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from running_server import REPOSITORY, started

# A network may be slow, and this installs some twenty packages.
INSTALL_SECONDS = 600.0

pytestmark = pytest.mark.slow


def run(command: Sequence[str | Path], folder: Path) -> str:
    """What command prints; fails with it when the command fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: setuptools leaves its folders beside what it builds.
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("fileserve", "storage"):
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=ignored)
    for file in ("cli.py", "pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / file, source / file)
    target = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", target, "."], source)
    (built,) = target.glob("fileserve-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' folder of a fresh environment with the wheel in it."""
    environment = tmp_path_factory.mktemp("installed")
    run([sys.executable, "-m", "venv", environment], environment)
    run([environment / "bin" / "pip", "install", "--quiet", wheel], environment)
    return environment / "bin"


def test_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    expected = {"cli.py"}
    for folder in ("fileserve", "storage"):
        files = (path for path in (REPOSITORY / folder).rglob("*") if path.is_file())
        expected |= {
            path.relative_to(REPOSITORY).as_posix()
            for path in files
            if "__pycache__" not in path.parts
        }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert {"fileserve/py.typed", "storage/py.typed"} <= held


def test_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    assert run([installed / "fileserve", "--version"], tmp_path).split() == [
        "fileserve",
        version("fileserve"),
    ]


def test_installed_command_serves(installed: Path, tmp_path: Path) -> None:
    with started([str(installed / "fileserve"), "serve", str(tmp_path), "--port", "0"]) as server:
        server.output.wait_for("stop with")
        assert server.stop() == 0
