"""The clone's data folder: the base backup copied, its configuration replaced, its owner set."""

import os
import shutil

from ..backup.programs import run
from .configuring import HBA, as_text, settings
from .request import CloneRequest

OF_THE_LIVE_ONE = ("postmaster.pid", "postmaster.opts", "standby.signal")


def fill(request: CloneRequest) -> None:
    """Copy, configure. Raises ProgramFailed, OSError."""
    folder = request.folder
    if request.backup is not None:
        shutil.copytree(request.backup, folder, symlinks=True, dirs_exist_ok=True)
    else:
        folder.mkdir(exist_ok=True)
        _give(request)
        run(request.restore, user=request.user)
    for name in OF_THE_LIVE_ONE:
        (folder / name).unlink(missing_ok=True)
    (folder / "postgresql.conf").write_text(
        as_text(settings(request.point, folder, request.restore_command, request.more))
    )
    (folder / "postgresql.auto.conf").write_text("")
    (folder / "pg_hba.conf").write_text(HBA)
    (folder / "pg_ident.conf").write_text("")
    (folder / "recovery.signal").touch()
    _give(request)


def _give(request: CloneRequest) -> None:
    """To its owner alone: PostgreSQL refuses a folder that others may read."""
    request.folder.chmod(0o700)
    if request.user is not None:
        for parent, folders, files in os.walk(request.folder):
            for path in (parent, *(os.path.join(parent, name) for name in (*folders, *files))):
                os.chown(path, request.user.uid, request.user.gid, follow_symlinks=False)
