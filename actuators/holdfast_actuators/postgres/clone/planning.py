"""From what a person asks to a request: which point, which base backup, which command fetches its WAL."""

from collections.abc import Mapping
from pathlib import Path

from holdfast_schemas.errors import BackupNotConfigured, NoBaseBackup, ProgramMissing
from holdfast_schemas.identity import MigrationId, TargetName
from holdfast_schemas.settings import BackupSettings, TargetSettings

from ..backup import pgbackrest
from ..backup.programs import OsUser, find_program
from ..connecting import connect
from ..point_in_time import PGBACKREST
from ..restore_point import RestorePoint, find
from .request import CloneRequest


def request_for(
    target: TargetName,
    settings: TargetSettings,
    migration_id: MigrationId,
    to: Path,
    *,
    at: str | None = None,
    backup: Path | None = None,
    user: OsUser | None = None,
    more: Mapping[str, str] | None = None,
) -> CloneRequest:
    """The live server is asked for the point and its backup; where ``at`` and ``backup`` both say, it need not be up.

    Raises BackupNotConfigured, NoBaseBackup, ProgramMissing, RestorePointUnknown, TargetUnreachable.
    """
    if settings.backup is None:
        raise BackupNotConfigured(target)
    version = None
    if at is not None and backup is not None:
        point = RestorePoint(at, migration_id)
    else:
        with connect(target, settings.dsn.get_secret_value()) as db:
            point = find(db, migration_id, at)
            version = db.info.server_version // 10_000
    kept = point.backup or ""
    if backup is None and kept.startswith(PGBACKREST):
        return _of_pgbackrest(settings.backup, point, kept.removeprefix(PGBACKREST), to, version, user, more or {})
    folder = backup or Path(kept)
    if not folder.is_dir():
        raise NoBaseBackup(target, f"{folder} is not there; name another that is older than the point with --backup")
    if settings.backup.restore_command is None:
        raise BackupNotConfigured(target)
    return CloneRequest(
        point,
        to,
        settings.backup.restore_command,
        backup=folder,
        bindir=settings.backup.bindir,
        user=user,
        more=more or {},
    )


def _of_pgbackrest(
    settings: BackupSettings,
    point: RestorePoint,
    label: str,
    to: Path,
    version: int | None,
    user: OsUser | None,
    more: Mapping[str, str],
) -> CloneRequest:
    tool = find_program("pgbackrest", version or 0, None)
    if tool is None or settings.stanza is None:
        raise ProgramMissing("pgbackrest", version or 0)
    return CloneRequest(
        point,
        to,
        pgbackrest.archive_get_command(tool, settings.stanza, to),
        restore=tuple(pgbackrest.restore_command(tool, settings.stanza, label, point.name, to)),
        bindir=settings.bindir,
        version=version,
        user=user,
        more=more,
    )
