"""Base backups, restore points and clones: each refusal with its cure."""

from dataclasses import dataclass
from pathlib import Path

from .tree import NotFound, Refused, Unusable


@dataclass
class ProgramMissing(Unusable):
    """A program of PostgreSQL is not on this machine."""

    program: str
    version: int

    def __str__(self) -> str:
        return (
            f"there is no {self.program} of PostgreSQL {self.version} here: install the server's package,"
            " or set bindir under [targets.NAME.backup]"
        )


@dataclass
class ProgramFailed(Refused):
    """A program ended with an error; ``detail`` is what it said."""

    program: str
    status: int
    detail: str

    def __str__(self) -> str:
        return f"{self.program} ended with status {self.status}: {self.detail}"


@dataclass
class UserMissing(NotFound):
    """The system has no such user."""

    name: str

    def __str__(self) -> str:
        return f"there is no user {self.name}: PostgreSQL does not run as root, so name one that is there with --user"


@dataclass
class BackupNotConfigured(NotFound):
    """Nothing says where base backups and archived WAL are."""

    target: str

    def __str__(self) -> str:
        return (
            f"settings do not say where the base backups of target {self.target} are: write [targets.{self.target}.backup]"
            " with folder and restore_command, or stanza (docs/clone.md)"
        )


@dataclass
class NoBaseBackup(Refused):
    """Point-in-time recovery is asked for, and there is nothing to start it from."""

    target: str
    detail: str

    def __str__(self) -> str:
        return f"target {self.target} has no base backup to recover from: {self.detail}"


@dataclass
class BackupUnusable(Refused):
    """A base backup is not whole, or cannot be told to be."""

    backup: Path
    detail: str

    def __str__(self) -> str:
        return f"base backup {self.backup} is not verified: {self.detail}; move it away, or mend that"


@dataclass
class NoRoom(Refused):
    """The disk is too full for a whole copy."""

    folder: Path
    needed_bytes: int
    free_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.folder} has {self.free_bytes:,} bytes free, and a copy of the server takes {self.needed_bytes:,}:"
            " make room, or name a folder on another disk"
        )


@dataclass
class ArchiveOff(Refused):
    """The server keeps no WAL beyond what it needs itself."""

    target: str
    archive_mode: str

    def __str__(self) -> str:
        return (
            f"target {self.target} archives no WAL (archive_mode is {self.archive_mode}): ALTER SYSTEM SET archive_mode = on,"
            " set archive_command, and restart the server"
        )


@dataclass
class NotArchived(Refused):
    """The WAL up to the restore point did not reach the archive."""

    wal_file: str
    seconds: float
    detail: str

    def __str__(self) -> str:
        return (
            f"WAL file {self.wal_file} did not reach the archive in {self.seconds:g} s ({self.detail}): see the server's log"
            " for its archive_command"
        )


@dataclass
class RestorePointUnknown(NotFound):
    """No arming of this migration made such a point."""

    migration_id: str
    name: str
    known: list[str]

    def __str__(self) -> str:
        named = f"restore point {self.name}" if self.name else "restore point"
        these = (
            f"; there are: {', '.join(self.known)}" if self.known else f": holdfast arm {self.migration_id} makes one"
        )
        return f"migration {self.migration_id} has no {named}{these}"


@dataclass
class CloneFolderTaken(Refused):
    """A clone is made in a folder of its own, new or empty."""

    folder: Path
    detail: str

    def __str__(self) -> str:
        return f"{self.folder} cannot hold the clone: {self.detail}; name a new folder with --to"


@dataclass
class CloneAsRoot(Unusable):
    """PostgreSQL refuses to run as root."""

    def __str__(self) -> str:
        return "PostgreSQL does not run as root: say with --user whose the clone shall be (--user postgres)"


@dataclass
class WalMissing(Refused):
    """The archive does not give a file that lies between the base backup and the restore point."""

    wal_file: str
    restore_command: str
    detail: str

    def __str__(self) -> str:
        return (
            f"the archive does not give WAL file {self.wal_file} (restore_command = {self.restore_command}:"
            f" {self.detail or 'it said nothing'}); without it the restore point cannot be reached"
        )


@dataclass
class RestorePointNotReached(Refused):
    """All the WAL was replayed and the point was not in it."""

    name: str
    detail: str

    def __str__(self) -> str:
        return (
            f"restore point {self.name} was not reached: {self.detail}; the name is misspelt,"
            " or the archive lacks WAL after that"
        )


@dataclass
class CloneNotReady(Refused):
    """The clone's server ended, or did not come so far in time; it is stopped, and its files are removed."""

    folder: Path
    detail: str

    def __str__(self) -> str:
        return f"the clone in {self.folder} did not start: {self.detail}; nothing of it is left"
