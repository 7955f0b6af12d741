"""Whether a clone could be made of the state before the migration: by which base backup, or why not."""

from collections.abc import Iterator

from holdfast_schemas.errors import ArchiveOff
from holdfast_schemas.identity import TargetName

from ..connecting import Connection
from ..point_in_time import PointInTime
from .findings import Finding

CODE = "point-in-time"


def point_in_time_findings(db: Connection, target: TargetName, point_in_time: PointInTime | None) -> Iterator[Finding]:
    """The way that arming takes, with the reason; it blocks only where the settings ask for it and it cannot be."""
    if point_in_time is None:
        wanted = f"folder and restore_command, or stanza, under [targets.{target}.backup] (docs/clone.md)"
        yield Finding("note", CODE, "no clone can be made: settings do not say where base backups are", wanted)
        return
    try:
        choice, _ = point_in_time.choose(db)
    except ArchiveOff as refusal:
        yield Finding("block", CODE, str(refusal))
        return
    if choice.method is None:
        yield Finding("block", CODE, f"no clone can be made: {choice.why}")
    else:
        yield Finding("note", CODE, f"a clone can be made, base backup by {choice.method}: {choice.why}")
