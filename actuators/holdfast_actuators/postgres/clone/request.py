"""What a clone is made of, and what is refused before a byte is copied."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from holdfast_schemas.errors import (
    BackupUnusable,
    CloneAsRoot,
    CloneFolderTaken,
    ProgramFailed,
    ProgramMissing,
    WalMissing,
)

from ..backup.base_backups import copied_bytes, major_version
from ..backup.disk import check_room
from ..backup.programs import OsUser, program, run
from ..restore_point import RestorePoint

SOCKET_PATH_BYTES_MAX = 107
"""Of a Unix socket's address; the clone listens in its own folder and nowhere else."""
SOCKET_NAME = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class CloneRequest:
    """``backup`` is a folder, or None where ``restore`` is pgBackRest's command, which fills the folder itself.

    ``user``: whose the clone shall be, None where it is ours. ``more``: settings of the clone, by name.
    """

    point: RestorePoint
    folder: Path
    restore_command: str
    backup: Path | None = None
    restore: tuple[str, ...] = ()
    bindir: Path | None = None
    version: int | None = None
    user: OsUser | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """The server's, which a data folder's must be."""
        version = self.version if self.backup is None else major_version(self.backup)
        assert version is not None, "pgBackRest's restore says it"
        return version

    def check(self) -> Path:
        """The ``postgres`` to start. Raises CloneAsRoot, CloneFolderTaken, BackupUnusable, ProgramMissing, WalMissing."""
        if self.user is None and os.geteuid() == 0:
            raise CloneAsRoot
        self._check_folder()
        if self.backup is not None:
            self._check_backup(self.backup)
            check_room(self.folder.parent, copied_bytes(self.backup))
        postgres = program("postgres", self.major, self.bindir)
        found = run([postgres, "--version"], user=self.user).split()[2]
        if int(found.partition(".")[0]) != self.major:
            raise ProgramMissing("postgres", self.major)
        if self.backup is not None and self.point.wal_file is not None:
            self._fetch(self.point.wal_file)
        return postgres

    def _check_folder(self) -> None:
        folder = self.folder
        if folder.exists():
            if not folder.is_dir():
                raise CloneFolderTaken(folder, "it is a file")
            if any(folder.iterdir()):
                raise CloneFolderTaken(folder, "it is not empty")
        elif not folder.parent.is_dir():
            raise CloneFolderTaken(folder, f"{folder.parent} is no folder")
        if len(bytes(folder / SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
            raise CloneFolderTaken(folder, f"its name is too long for a socket in it ({SOCKET_PATH_BYTES_MAX} bytes)")
        if self.user is not None:
            try:
                run(["/bin/sh", "-c", 'cd "$0"', folder.parent], user=self.user)
            except ProgramFailed:
                raise CloneFolderTaken(folder, f"uid {self.user.uid} may not enter {folder.parent}") from None

    @staticmethod
    def _check_backup(backup: Path) -> None:
        if not (backup / "backup_label").exists():
            raise BackupUnusable(backup, "it has no backup_label")
        if any((backup / "pg_tblspc").iterdir()):
            raise BackupUnusable(backup, "it has tablespaces of its own, which a copy would share with the live server")

    def _fetch(self, wal_file: str) -> None:
        """By the very command that the clone will use, before hours go into a copy that could not recover."""
        with tempfile.TemporaryDirectory(prefix="holdfast-wal-") as scratch:
            if self.user is not None:
                os.chown(scratch, self.user.uid, self.user.gid)
            to = Path(scratch) / wal_file
            try:
                run(["/bin/sh", "-c", expanded(self.restore_command, wal_file, to)], user=self.user)
            except ProgramFailed as failure:
                raise WalMissing(wal_file, self.restore_command, failure.detail) from None
            if not to.exists():
                raise WalMissing(wal_file, self.restore_command, "it succeeded, and copied nothing")


def expanded(restore_command: str, wal_file: str, to: Path) -> str:
    """As PostgreSQL expands it: %f, %p and %%; %r, the oldest file still needed, is this one."""
    text = restore_command.replace("%%", "\0").replace("%f", wal_file).replace("%p", str(to)).replace("%r", wal_file)
    return text.replace("\0", "%")
