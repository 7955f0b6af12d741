"""The release before this one, built from the history and installed beside the tree."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREVIOUS = "760590a"
"""The commit that landed before this release's work; it moves when the next one has landed."""


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the previous release's packages, for PYTHONPATH. Their dependencies are this environment's."""
    folder = tmp_path_factory.mktemp("previous")
    archive = folder / "source.tar"
    done = _run(["git", "archive", "--format=tar", f"--output={archive}", PREVIOUS], ROOT)
    if done.returncode:
        pytest.skip(f"no history to build the previous release from: {done.stderr.strip()}")
    source = folder / "source"
    with tarfile.open(archive) as packed:
        packed.extractall(source, filter="data")
    built = _run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)], folder
    )
    assert built.returncode == 0, built.stderr
    [wheel] = folder.glob("*.whl")
    installed = folder / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(installed)]
    done = _run([*install, str(wheel)], folder)
    assert done.returncode == 0, done.stderr
    where = _run([sys.executable, "-c", "import holdfast; print(holdfast.__file__)"], folder, PYTHONPATH=str(installed))
    assert where.stdout.startswith(str(installed)), where
    return installed


def _run(argv: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=110, env=os.environ | variables)
