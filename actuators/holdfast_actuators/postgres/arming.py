"""arm: before a migration writes its first row, keep what is needed to take its rows back. All of it, or nothing."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from holdfast_schemas.errors import ArmRefused, GrantsMissing, NotArchived, TableProtected
from holdfast_schemas.identity import MigrationId
from holdfast_schemas.settings import MigrationSettings

from . import journal, restore_point
from .connecting import Connection
from .disarming import disarm, saved_tables
from .grants import lacking
from .journal_access import close_to_others
from .laying_out import lay_out
from .lock_waits import with_bounded_lock_waits
from .names import RecoveryNames
from .point_in_time import PointInTime
from .steps import Step, steps
from .tables import Table, read_tables

SLOT_WAIT_SECONDS = 10
"""A slot waits for every open write transaction of the whole server, and everything waits behind a forgotten one."""
OPEN_WRITERS = """
    SELECT string_agg(format('pid %s (%s, %s)', pid, usename, coalesce(nullif(application_name, ''), 'no name')), ', ')
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
"""
ARMING = "<new>"
"""In a dry run, for what tells one arming's restore point from another's."""
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Arming:
    """What is armed: for the settings of one migration, under the names that belong to it."""

    migration_id: MigrationId
    migration: MigrationSettings
    names: RecoveryNames
    point_in_time: PointInTime | None = None

    @classmethod
    def of(
        cls,
        environment: str,
        migration_id: MigrationId,
        migration: MigrationSettings,
        point_in_time: PointInTime | None = None,
    ) -> "Arming":
        """The arming of a migration in this environment; with a restore point where the target has backup settings."""
        names = RecoveryNames.of(environment, migration.target, migration_id, migration.sessions)
        return cls(migration_id, migration, names, point_in_time)

    def dry_run(self, db: Connection) -> list[tuple[str, str]]:
        """What each step that :meth:`arm` would take now says, and what it runs; changes nothing.

        Raises TableMissing, and what PointInTime.choose raises.
        """
        tables = read_tables(db, self.migration.tables)
        wanted = [step for step in steps(self._new(), tables, db.info.server_version) if not step.done(db)]
        shown = [(step.says, f"{step.do.as_string(db)};") for step in wanted]
        if self.point_in_time is None or not shown:
            return shown
        backup, point = self.point_in_time.dry_run(db, self.names.restore_point(ARMING))
        return [backup, *shown, point]

    def arm(self, db: Connection, told: Told = lambda _: None) -> journal.Recovery:
        """Do them, telling each; an armed one is left as it is, and one that was begun is gone on with.

        Raises TableMissing, GrantsMissing, TableProtected, RecoveryMoved, what PointInTime.prepare raises, and ArmRefused
        after everything was taken back.
        """
        if missing := lacking(db, db.info.user, self.migration, point_in_time=self.point_in_time is not None):
            needed = "; ".join(grant.run.as_string(db) for grant in missing)
            raise GrantsMissing(self.migration.target, f"role {db.info.user} lacks: {needed}")
        try:
            lay_out(db)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ArmRefused(self.migration_id, "the recovery's journal", _words(error)) from None
        found = journal.read(db, self.migration_id)
        if found is not None and found.state == "armed":
            return found
        if found is not None and found.state == "disarming":
            disarm(db, self.migration_id, told)
        backup = (
            self.point_in_time.prepare(db, told) if self.point_in_time else None
        )  # it may be long: no slot waits yet
        self._intend(db)
        recovery = journal.expect(db, self.migration_id, "preparing")
        step_at_hand = "the journal, closed to others"
        try:
            close_to_others(db)
            for step in steps(recovery, saved_tables(db, self.migration_id), db.info.server_version):
                step_at_hand = step.says
                if not step.done(db):
                    told(step.says)
                    self._do(db, step)
            point = None
            if self.point_in_time and backup:
                point = self.names.restore_point(secrets.token_hex(4))
                step_at_hand = f"restore point {point}, its WAL in the archive"
                told(step_at_hand)
                timeout_seconds = self.point_in_time.settings.archive_timeout_seconds
                restore_point.make(db, self.migration_id, point, backup, timeout_seconds)
            self._armed(db, point)
        except (psycopg.Error, ArmRefused, NotArchived) as error:
            disarm(db, self.migration_id, told)
            raise ArmRefused(self.migration_id, step_at_hand, _words(error)) from None
        return journal.expect(db, self.migration_id, "armed")

    def _new(self) -> journal.Recovery:
        nonce = secrets.token_hex(16)
        return journal.Recovery.new(self.migration_id, self.migration.role, self.names.name, self.names.origins, nonce)

    def _intend(self, db: Connection) -> None:
        """Names, and what each table was before, are committed before anything is changed."""
        tables = read_tables(db, self.migration.tables)
        with db.transaction():
            if journal.begin(db, self._new()):
                for table in tables:
                    self._protect(db, table)

    def _protect(self, db: Connection, table: Table) -> None:
        statement = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING").format(
            journal.table("protected")
        )
        values = [
            table.table_oid,
            self.migration_id,
            table.name,
            table.named,
            table.replica_identity,
            table.replica_index,
        ]
        if db.execute(statement, values).rowcount:
            return
        owner = db.execute(
            sql.SQL("SELECT migration_id FROM {} WHERE table_oid = %s").format(journal.table("protected")),
            [table.table_oid],
        ).fetchone()
        raise TableProtected(table.name, owner[0] if owner else "another migration")

    def _do(self, db: Connection, step: Step) -> None:
        try:
            with_bounded_lock_waits(db, step.do, statement_seconds=SLOT_WAIT_SECONDS)
        except psycopg.errors.QueryCanceled as error:
            row = db.execute(OPEN_WRITERS).fetchone()
            blocking = row[0] if row and row[0] else "no session that we can see"
            raise ArmRefused(
                self.migration_id, step.says, f"{_words(error)}; open write transactions: {blocking}"
            ) from None

    def _armed(self, db: Connection, point: str | None) -> None:
        with db.transaction():
            journal.lock(db, self.migration_id, "preparing")
            row = db.execute(
                "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s", [self.names.name]
            ).fetchone()
            journal.keep_published(db, self.migration_id, self.names.name)
            journal.move(db, self.migration_id, "armed", armed_lsn=row[0] if row else None, restore_point=point)


def _words(error: Exception) -> str:
    return error.detail if isinstance(error, ArmRefused) else " ".join(str(error).split())
