"""The base backups of a folder: a sub-folder each, and beside it a note of who made it and how it was verified."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from holdfast_schemas.errors import BackupUnusable, ProgramFailed

from .disk import PARTIAL_SUFFIX, system_identifier
from .programs import find_program, run

NOTE_SUFFIX = ".holdfast.json"
OURS = "holdfast"


@dataclass(frozen=True, slots=True)
class BaseBackup:
    """``verified``: how it is known to be whole. ``made_by`` is ours, or somebody else's tool."""

    path: Path
    system_identifier: int
    version: int
    made_at: datetime
    made_by: str
    verified: str

    @property
    def note_path(self) -> Path:
        """Outside of the backup: its manifest lists every file in it."""
        return self.path.with_name(self.path.name + NOTE_SUFFIX)


def major_version(data: Path) -> int:
    """Of a data folder or of a copy."""
    return int((data / "PG_VERSION").read_text())


def found_in(folder: Path, identifier: int) -> list[BaseBackup]:
    """Those of this server, the newest first; what is no base backup, or another server's, is passed over."""
    found = [backup for path in folder.glob("*/") if (backup := _read(path)) and backup.system_identifier == identifier]
    return sorted(found, key=lambda backup: backup.made_at, reverse=True)


def verify(backup: BaseBackup, bindir: Path | None) -> BaseBackup:
    """One that is known to be whole; by its manifest, once: a note beside it remembers.

    Where there is no pg_verifybackup our own is known by pg_basebackup's good end alone. Raises BackupUnusable.
    """
    if backup.verified:
        return backup
    checker = find_program("pg_verifybackup", backup.version, bindir)
    if checker is None and backup.made_by == OURS:
        return write_note(backup, "by pg_basebackup's own end alone: there is no pg_verifybackup")
    if checker is None:
        raise BackupUnusable(backup.path, f"there is no pg_verifybackup of PostgreSQL {backup.version}: set bindir")
    try:
        run([checker, "--quiet", backup.path])
    except ProgramFailed as failure:
        raise BackupUnusable(backup.path, str(failure)) from None
    return write_note(backup, "pg_verifybackup")


def write_note(backup: BaseBackup, verified: str) -> BaseBackup:
    """Remember beside it how it was verified."""
    noted = BaseBackup(**(asdict(backup) | {"verified": verified}))
    kept = {name: value for name, value in asdict(noted).items() if name != "path"}
    noted.note_path.write_text(json.dumps(kept | {"made_at": noted.made_at.isoformat()}))
    return noted


def remove_old(folder: Path, identifier: int, days: float) -> list[Path]:
    """Remove those that we made longer ago, the newest never; nobody else's. What was removed."""
    ours = [backup for backup in found_in(folder, identifier) if backup.made_by == OURS]
    gone = [backup for backup in ours[1:] if backup.made_at < datetime.now(UTC) - timedelta(days=days)]
    for backup in gone:
        backup.note_path.unlink(missing_ok=True)
        shutil.rmtree(backup.path)
    return [backup.path for backup in gone]


def copied_bytes(backup: Path) -> int:
    """How much a copy of it takes."""
    return sum(file.lstat().st_size for file in _files(backup))


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())


def _read(path: Path) -> BaseBackup | None:
    label, control = path / "backup_label", path / "global" / "pg_control"
    if path.suffix == PARTIAL_SUFFIX or not label.exists() or not control.exists():
        return None
    note = path.with_name(path.name + NOTE_SUFFIX)
    noted = json.loads(note.read_text()) if note.exists() else {}
    made_at = noted.get("made_at")
    return BaseBackup(
        path,
        system_identifier(path),
        major_version(path),
        datetime.fromisoformat(made_at) if made_at else datetime.fromtimestamp(label.stat().st_mtime, UTC),
        str(noted.get("made_by", "")),
        str(noted.get("verified", "")),
    )
