"""The recoverer: what stands armed on the targets, and undos from the log that are due.

Its own thread, for an undo takes minutes. Who it dies with matters to nobody: the next actuator that gets the lease goes on from
what the target's journal says.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

import psycopg

from holdfast_schemas.errors import (
    GrantsMissing,
    HoldfastError,
    RecoveryTaken,
    SlotInUse,
    TargetUnreachable,
    UndoBlocked,
)
from holdfast_schemas.identity import MigrationId
from holdfast_schemas.settings import MigrationSettings, Settings

from .figures import Figures
from .ledger import AWAY, Ledger, LogUndo
from .postgres import journal
from .postgres.arming import Arming
from .postgres.connecting import Connection, connect
from .postgres.disarming import disarm
from .postgres.journal_retention import remove_old_rows
from .postgres.point_in_time import PointInTime
from .postgres.preflight.looking import look_what_is_at_stake
from .postgres.preflight.report import refuse_what_blocks
from .postgres.slots import SlotsSeen, give_up, look_at_slots
from .postgres.undo.applying import Undone
from .postgres.undo.resolving import OnConflict
from .postgres.undo.rolling_back import LogRollback
from .protection import Major
from .recovery_lease import RecoveryLease

log = logging.getLogger("holdfast.actuator")
EVERY_SECONDS = 1.0
AT_STAKE_SECONDS = 30.0
OLD_ROWS_SECONDS = 3_600.0
AGAIN_SECONDS = 5.0
"""After a target that was away, or a slot or locks that were held: the lease ends then, and whoever is free goes on."""


class _Stopped(Exception):
    """The service ends: what is committed stays, and another one goes on."""


class Recoverer:
    """Looks at the targets each second, and works at one undo at a time; it and its lease have a connection each."""

    def __init__(
        self, ledger: Ledger, leasing: Ledger, settings: Settings, wake: threading.Event, figures: Figures
    ) -> None:
        self._ledger = ledger
        self._leasing = leasing
        self._settings = settings
        self._wake = wake
        self._figures = figures
        self._endangered: set[str] = set()
        self._migrations: dict[MigrationId, MigrationSettings] = {
            name: one for name, one in settings.migrations.items() if one.target in settings.targets
        }
        self._targets: dict[str, Connection] = {}
        self._old_rows_at: float | None = None
        self._majors: dict[MigrationId, tuple[Major, float]] = {}
        self._away: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. Without migrations in the settings there is nothing to do."""
        while self._migrations and not stop.wait(EVERY_SECONDS):
            try:
                self._look()
                self._arm()
                self._disarm()
                self._remove_old_rows()
                undo = self._ledger.take_log_undo(self._settings.actuator.name, list(self._migrations))
                if undo is not None:
                    self._work(undo, stop)
            except AWAY as error:
                log.warning("recoveries wait for the ledger: %s", error)
                self._ledger.close()
        for db in self._targets.values():
            db.close()
        self._ledger.close()

    def _look(self) -> None:
        """What each target's journal says goes to the ledger, which decides by it."""
        for migration_id, migration in self._migrations.items():
            try:
                db = self._target(migration.target)
                found = journal.read(db, migration_id)
                if (given_up := give_up(db, migration_id, migration)) is not None:
                    log.error("%s", given_up, extra={"migration_id": migration_id})
                    self._figures.slot_given_up(migration.target)
                self._watch_slots(migration.target, look_at_slots(db))
                major = self._at_stake(db, migration_id, migration)
            except (psycopg.Error, TargetUnreachable) as error:
                if migration.target not in self._away:
                    log.warning("target %s: %s", migration.target, error)
                self._away.add(migration.target)
                self._targets.pop(migration.target, None)
                continue
            self._away.discard(migration.target)
            self._ledger.recovery_seen(migration_id, "new" if found is None else found.state, migration.protect, major)

    def _at_stake(self, db: Connection, migration_id: MigrationId, migration: MigrationSettings) -> Major:
        """Looked at now and then: a plan is parsed, and the files of each table are measured."""
        major, looked_at = self._majors.get(migration_id, (None, 0.0))
        if major is None or time.monotonic() - looked_at > AT_STAKE_SECONDS:
            major = look_what_is_at_stake(db, migration)
            self._majors[migration_id] = major, time.monotonic()
        return major

    def _watch_slots(self, target: str, seen: SlotsSeen) -> None:
        self._figures.slots(target, seen)
        for slot in set(seen.endangered) - self._endangered:
            log.error(
                "target %s: slot %s is lost or about to be: what it keeps can soon not be taken back", target, slot
            )
        self._endangered |= set(seen.endangered)

    def _arm(self) -> None:
        """Runs that wait at the start gate: armed, or refused with the reason."""
        for migration_id, run_id in self._ledger.to_arm(list(self._migrations)):
            migration = self._migrations[migration_id]
            try:
                db = self._target(migration.target)
                with _alone(db, migration_id) as alone:
                    if alone:
                        disarm(db, migration_id)  # an earlier run's
                        point = PointInTime.of(self._settings, migration.target, makes_backups=False)
                        refuse_what_blocks(db, migration_id, migration, point)
                        Arming.of(self._settings.environment, migration_id, migration, point).arm(db)
                        self._ledger.armed(migration_id, run_id)
                        self._ledger.recovery_seen(migration_id, "armed", migration.protect)
                        log.info("%s is armed", migration_id, extra={"migration_id": migration_id, "run_id": run_id})
            except psycopg.errors.InsufficientPrivilege as error:
                refusal = GrantsMissing(migration.target, " ".join(str(error).split()))
                self._ledger.arm_refused(migration_id, run_id, str(refusal))
            except (psycopg.Error, TargetUnreachable) as error:
                log.warning("%s is not armed yet: %s", migration_id, error)
                self._targets.pop(migration.target, None)
            except HoldfastError as refusal:
                log.error("%s", refusal, extra={"migration_id": migration_id, "run_id": run_id})
                self._ledger.arm_refused(migration_id, run_id, str(refusal))

    def _disarm(self) -> None:
        """What a run that is closed was armed with goes: a slot that is forgotten fills the disk."""
        for migration_id in self._ledger.to_disarm(list(self._migrations)):
            target = self._migrations[migration_id].target
            try:
                db = self._target(target)
                with _alone(db, migration_id) as alone:
                    if alone:
                        disarm(db, migration_id)
                        self._ledger.disarmed(migration_id)
                        log.info("%s is disarmed", migration_id, extra={"migration_id": migration_id})
            except (psycopg.Error, HoldfastError) as error:
                log.warning("%s is not disarmed yet: %s", migration_id, error)

    def _remove_old_rows(self) -> None:
        """Now and then: what is no longer needed goes, and what is needed for so long is said."""
        if self._old_rows_at is not None and time.monotonic() - self._old_rows_at < OLD_ROWS_SECONDS:
            return
        self._old_rows_at = time.monotonic()
        for target in {migration.target for migration in self._migrations.values()}:
            try:
                found = remove_old_rows(self._target(target), self._settings.actuator.journal_keep_days)
            except (psycopg.Error, TargetUnreachable) as error:
                log.warning("target %s: its journal is not looked through for old rows: %s", target, error)
                continue
            for old in found:
                log.log(logging.WARNING if old.removed is None else logging.INFO, "target %s: %s", target, old.sentence)

    def _target(self, name: str) -> Connection:
        db = self._targets.get(name)
        if db is None or db.closed:
            db = self._targets[name] = connect(name, self._dsn(name))
        return db

    def _dsn(self, target: str) -> str:
        return self._settings.targets[target].dsn.get_secret_value()

    def _work(self, undo: LogUndo, stop: threading.Event) -> None:
        extra = {"migration_id": undo.migration_id, "run_id": undo.run_id}
        log.info("taking %s back from the log", undo.migration_id, extra=extra)
        target = self._migrations[undo.migration_id].target
        lease = RecoveryLease(self._leasing, undo, target, self._dsn(target))
        try:
            with lease:
                done = self._roll_back(undo, stop)
        except (_Stopped, RecoveryTaken) as why:
            log.info("%s: another one goes on: %s", undo.migration_id, why, extra=extra)
            self._ledger.renew_log_undo(undo, 0.0)
        except (TargetUnreachable, SlotInUse, UndoBlocked, psycopg.OperationalError) as error:
            log.warning("%s: %s; again in %g s", undo.migration_id, error, AGAIN_SECONDS, extra=extra)
            lease.waits(" ".join(str(error).split()))
            self._ledger.renew_log_undo(undo, AGAIN_SECONDS)
        except HoldfastError as refusal:
            log.error("%s", refusal, extra=extra)
            self._ledger.log_undo_refused(undo, str(refusal))
        else:
            self._ledger.log_undone(undo, done.rows, done.conflicts, done.seconds)
        self._wake.set()

    def _roll_back(self, undo: LogUndo, stop: threading.Event) -> Undone:
        def told(says: str) -> None:
            log.info("%s: %s", undo.migration_id, says, extra={"migration_id": undo.migration_id})
            if stop.is_set():
                raise _Stopped("this actuator ends")

        target = self._migrations[undo.migration_id].target
        on_conflict: OnConflict = "keep"
        if undo.on_conflict in ("cascade", "force"):
            on_conflict = "cascade" if undo.on_conflict == "cascade" else "force"
        return LogRollback(target, self._dsn(target), undo.migration_id, on_conflict).run(told)


@contextlib.contextmanager
def _alone(db: Connection, migration_id: MigrationId) -> Iterator[bool]:
    """Whether no other actuator arms or disarms the migration now."""
    key = f"holdfast recovery {migration_id}"
    row = db.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key]).fetchone()
    alone = bool(row and row[0])
    try:
        yield alone
    finally:
        if alone and not db.closed:
            db.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [key])
