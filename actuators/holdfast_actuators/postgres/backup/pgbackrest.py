"""pgBackRest, where a stanza is set: it keeps the base backups and the archive; we only ask it."""

import json
from pathlib import Path

from holdfast_schemas.errors import NoBaseBackup, ProgramFailed
from holdfast_schemas.identity import TargetName

from .programs import OsUser, run


def check_command(tool: Path, stanza: str) -> list[str]:
    """It fails unless a segment of WAL really arrives in the repository."""
    return [str(tool), f"--stanza={stanza}", "check"]


def info_command(tool: Path, stanza: str) -> list[str]:
    """Its backups, as JSON."""
    return [str(tool), f"--stanza={stanza}", "--output=json", "info"]


def restore_command(tool: Path, stanza: str, label: str, point: str, to: Path) -> list[str]:
    """A new data folder that recovers up to the restore point, and archives nothing."""
    return [
        str(tool), f"--stanza={stanza}", f"--pg1-path={to}", f"--set={label}", "--type=name", f"--target={point}",
        "--target-action=promote", "--archive-mode=off", "restore",
    ]  # fmt: skip


def archive_get_command(tool: Path, stanza: str, to: Path) -> str:
    """As the clone's ``restore_command``."""
    return f'{tool} --stanza={stanza} --pg1-path={to} archive-get %f "%p"'


def newest_backup(target: TargetName, tool: Path, stanza: str, user: OsUser | None = None) -> str:
    """The label of the newest backup. Raises NoBaseBackup, ProgramFailed."""
    stanzas = json.loads(run(info_command(tool, stanza), user=user))
    labels = [backup["label"] for found in stanzas for backup in found.get("backup", []) if not backup.get("error")]
    if not labels:
        said = "; ".join(found["status"]["message"] for found in stanzas) or "nothing"
        raise NoBaseBackup(target, f"pgbackrest --stanza={stanza} info says: {said}; run pgbackrest backup")
    return str(labels[-1])


def check(target: TargetName, tool: Path, stanza: str) -> str:
    """The newest backup's label, once the archive is known to work. Raises NoBaseBackup."""
    try:
        run(check_command(tool, stanza))
        return newest_backup(target, tool, stanza)
    except ProgramFailed as failure:
        raise NoBaseBackup(target, failure.detail) from None
