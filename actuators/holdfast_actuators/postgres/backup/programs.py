"""PostgreSQL's own programs, of the server's version, run as one would type them."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast_schemas.errors import ProgramFailed, ProgramMissing, UserMissing

LAYOUTS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin")
"""Where Debian's, Red Hat's and Homebrew's packages put each major version beside the others."""


@dataclass(frozen=True, slots=True)
class OsUser:
    """Who a server's processes belong to: it refuses to run as root."""

    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "OsUser":
        """Raises UserMissing."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise UserMissing(name) from None
        return cls(entry.pw_uid, entry.pw_gid)


def find_program(name: str, version: int, bindir: Path | None) -> Path | None:
    """``name`` in ``bindir``, else where packages put major ``version``, else on PATH; None where it is nowhere."""
    folders = [bindir] if bindir is not None else [Path(layout.format(version)) for layout in LAYOUTS]
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    on_path = shutil.which(name) if bindir is None else None
    return Path(on_path) if on_path else None


def program(name: str, version: int, bindir: Path | None) -> Path:
    """The same; raises ProgramMissing."""
    found = find_program(name, version, bindir)
    if found is None:
        raise ProgramMissing(name, version)
    return found


def run(argv: Sequence[str | Path], *, user: OsUser | None = None, environment: Mapping[str, str] | None = None) -> str:
    """What it printed. ``environment`` is added to ours. Raises ProgramFailed with what it said on standard error."""
    done = subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else [],
    )
    if done.returncode != 0:
        raise ProgramFailed(Path(argv[0]).name, done.returncode, (done.stderr or done.stdout).strip())
    return done.stdout
