"""Every other Python that is installed here: the whole distribution in its own environment, quick tests and the demo."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.12", "3.13")
QUICK = ("tests/schemas", "tests/engine", "tests/producers", "tests/actuators")
SECONDS = 600


def interpreter(version: str) -> Path | None:
    """One of this version that really runs: a version manager's shim stands on PATH for what is not chosen, too."""
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *sorted(managed.glob(f"{version}.*/bin/python"))]
    for candidate in filter(None, found):
        says = subprocess.run([candidate, "-c", "import sys, venv; print(sys.version)"], capture_output=True, text=True)
        if says.returncode == 0 and says.stdout.startswith(f"{version}."):
            return Path(candidate)
    return None


def run(folder: Path, *argv: str | Path) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(a) for a in argv], cwd=folder, env=kept, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(3 * SECONDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_all_of_it_works_on_python(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} is installed here")
    run(tmp_path, python, "-m", "venv", tmp_path / "env")
    own = tmp_path / "env" / "bin"
    run(ROOT, own / "python", "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.1")
    run(ROOT, own / "python", "-m", "pip", "install", "--quiet", ".[all]", "--group", "dev")
    chosen = ("-n0", "-q", "-p", "no:cacheprovider", "-m", "not kafka and not postgres and not long")
    said = run(ROOT, own / "python", "-m", "pytest", *chosen, *QUICK)
    assert re.search(r"^\d{3,} passed", said, re.M), said[-2000:]
    assert re.search(r"8 of 8 checks passed", run(tmp_path, own / "holdfast", "demo", "--rows", "20000"))


def test_an_interpreter_that_runs_is_found() -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert interpreter(here) is not None
    assert interpreter("3.1") is None
