"""Point-in-time recovery, prepared while arming: a base backup that is known to be whole, and a restore point over it."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from holdfast_schemas.errors import ArchiveOff, NoBaseBackup, ProgramFailed
from holdfast_schemas.identity import TargetName
from holdfast_schemas.settings import BackupSettings, Settings

from . import restore_point
from .backup import pgbackrest
from .backup.base_backups import BaseBackup, remove_old, verify
from .backup.choosing import Choice, choose
from .backup.disk import check_room, one_at_a_time
from .backup.facts import BackupFacts, read_backup_facts
from .backup.taking import (
    basebackup_command,
    low_level_statements,
    new_name,
    take_low_level,
    take_with_pg_basebackup,
)
from .connecting import Connection

PGBACKREST = "pgbackrest:"
"""Before the label of a backup that pgBackRest keeps; others are folders."""
BY_A_PERSON = "holdfast arm, typed by a person, does that, for it may take hours"
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PointInTime:
    """Of one target. ``makes_backups``: a person's arming may; a service only takes what is there, for it may take hours."""

    target: TargetName
    dsn: str
    settings: BackupSettings
    makes_backups: bool = True

    @classmethod
    def of(cls, settings: Settings, target: TargetName, *, makes_backups: bool) -> "PointInTime | None":
        """None where the settings do not say where the target's backups are."""
        found = settings.targets[target]
        if found.backup is None:
            return None
        return cls(target, found.dsn.get_secret_value(), found.backup, makes_backups)

    def choose(self, db: Connection) -> tuple[Choice, BackupFacts]:
        """Which way, and why. Raises ArchiveOff."""
        facts = read_backup_facts(db, self.settings)
        if facts.server.archive_mode == "off":
            raise ArchiveOff(self.target, facts.server.archive_mode)
        return choose(self.settings, facts, datetime.now(UTC)), facts

    def dry_run(self, db: Connection, name: str) -> list[tuple[str, str]]:
        """What each step says, and exactly what it runs. Raises ArchiveOff, NoBaseBackup."""
        choice, facts = self.choose(db)
        return [
            (f"base backup by {choice.method}: {choice.why}", self._runs(choice, facts)),
            (
                f"restore point {name}, its WAL in the archive",
                f"{restore_point.statement(name).as_string(db)};\n{restore_point.SWITCH};",
            ),
        ]

    def prepare(self, db: Connection, told: Told) -> str:
        """A base backup, verified: which one. Nothing of the server is changed.

        Raises ArchiveOff, NoBaseBackup, BackupUnusable, NoRoom, ProgramMissing.
        """
        choice, facts = self.choose(db)
        if choice.method == "pgbackrest":
            assert self.settings.stanza is not None
            assert facts.pgbackrest is not None
            label = pgbackrest.check(self.target, facts.pgbackrest, self.settings.stanza)
            told(f"base backup {label} of pgBackRest's stanza {self.settings.stanza}, whose archive works")
            return PGBACKREST + label
        if choice.existing is not None:
            if not choice.existing.verified and not self.makes_backups:
                raise NoBaseBackup(self.target, f"{choice.existing.path} was never verified: {BY_A_PERSON}")
            backup = verify(choice.existing, self.settings.bindir)
            told(f"base backup {backup.path}, verified ({backup.verified})")
            return str(backup.path)
        if choice.method is None:
            raise NoBaseBackup(self.target, choice.why)
        if not self.makes_backups:
            raise NoBaseBackup(self.target, f"{choice.why}: {BY_A_PERSON}")
        with one_at_a_time(self._folder) as waited:
            if waited:
                return self.prepare(db, told)  # another made one meanwhile
            told(f"base backup by {choice.method} ({choice.why})")
            try:
                backup = self._take(db, choice, facts)
            except (psycopg.Error, ProgramFailed, OSError) as error:
                raise NoBaseBackup(
                    self.target, f"{choice.method} did not end well: {' '.join(str(error).split())}"
                ) from None
            for gone in remove_old(self._folder, facts.server.system_identifier, self.settings.keep_days):
                told(f"base backup {gone} removed: older than {self.settings.keep_days:g} days")
        told(f"base backup {backup.path}, verified ({backup.verified})")
        return str(backup.path)

    def _take(self, db: Connection, choice: Choice, facts: BackupFacts) -> BaseBackup:
        check_room(self._folder, facts.server.bytes)
        to = self._folder / new_name()
        if choice.method == "pg_basebackup":
            return take_with_pg_basebackup(self.settings, facts, self.dsn, to)
        return take_low_level(db, self.settings, facts, to)

    @property
    def _folder(self) -> Path:
        assert self.settings.folder is not None, "settings have it where no stanza is set"
        return self.settings.folder

    def _runs(self, choice: Choice, facts: BackupFacts) -> str:
        if choice.method is None:
            raise NoBaseBackup(self.target, choice.why)
        if choice.method == "pgbackrest":
            assert self.settings.stanza is not None
            assert facts.pgbackrest is not None
            return shlex.join(pgbackrest.check_command(facts.pgbackrest, self.settings.stanza))
        if choice.existing is not None:
            return f"pg_verifybackup {choice.existing.path}" + (" (done before)" if choice.existing.verified else "")
        to = self._folder / new_name()
        if choice.method == "pg_basebackup":
            return shlex.join(basebackup_command(self.settings, facts, self.dsn, to, to.name))
        start, stop = low_level_statements(facts.server.version, to.name, self.settings.checkpoint)
        return f"{start}; -- copy {facts.server.data_directory} to {to}; in the same session: {stop}"
