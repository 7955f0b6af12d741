"""Which way a base backup is had, and why: by version, rights, and what is there already. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from holdfast_schemas.settings import BackupSettings

from .base_backups import BaseBackup
from .facts import SENDERS_OF_PG_BASEBACKUP, BackupFacts

Method = Literal["pgbackrest", "existing", "pg_basebackup", "low_level"]


@dataclass(frozen=True, slots=True)
class Choice:
    """``method`` is None where none is possible: then ``why`` is the list of what stands in the way of each."""

    method: Method | None
    why: str
    existing: BaseBackup | None = None


def choose(settings: BackupSettings, facts: BackupFacts, now: datetime) -> Choice:
    """The cheapest that is sound: what exists before what has to be made, the server's own tool before a copy by hand."""
    if settings.stanza is not None:
        if facts.pgbackrest is None:
            return Choice(None, f"stanza {settings.stanza} is set, and there is no pgbackrest on this machine")
        return Choice("pgbackrest", f"stanza {settings.stanza} is set")
    for backup in facts.existing:
        if now - backup.made_at <= timedelta(days=settings.max_age_days):
            age = (now - backup.made_at).total_seconds() / 86_400
            return Choice("existing", f"{backup.path} is {age:.1f} days old", backup)
    stale = f"no base backup in {settings.folder} is younger than {settings.max_age_days:g} days"
    refused: list[str] = []
    for method, reasons in (("pg_basebackup", _basebackup(facts)), ("low_level", _low_level(facts))):
        if settings.method in ("auto", method):
            if not (found := list(reasons)):
                return Choice("pg_basebackup" if method == "pg_basebackup" else "low_level", f"{stale}, so one is made")
            refused.append(f"{method}: {', '.join(found)}")
    return Choice(None, f"{stale}, and none can be made ({'; '.join(refused)})")


def _basebackup(facts: BackupFacts) -> Iterator[str]:
    server = facts.server
    if facts.pg_basebackup is None:
        yield f"there is no pg_basebackup of PostgreSQL {server.version} here (bindir says where)"
    if not server.may_replicate:
        yield "the role lacks REPLICATION"
    if server.senders_free < SENDERS_OF_PG_BASEBACKUP:
        yield f"{server.senders_free} WAL senders are free and it needs {SENDERS_OF_PG_BASEBACKUP} (max_wal_senders)"
    yield from _tablespaces(facts)


def _low_level(facts: BackupFacts) -> Iterator[str]:
    if not facts.data_is_here:
        yield "the server's data_directory cannot be read from here"
    if not facts.server.may_start_backup:
        yield "the role may not call pg_backup_start and pg_backup_stop"
    yield from _tablespaces(facts)


def _tablespaces(facts: BackupFacts) -> Iterator[str]:
    if facts.server.tablespaces:
        yield f"the server has {facts.server.tablespaces} tablespaces of its own (pgBackRest copies them: set stanza)"
