"""While an undo from the log works: its lease is held, and how far it is is told, as the target's journal has it."""

import logging
import threading
from typing import Self

import psycopg

from holdfast_schemas.desired_state import Recovering
from holdfast_schemas.errors import TargetUnreachable
from holdfast_schemas.identity import TargetName
from holdfast_schemas.record import now

from .ledger import AWAY, Ledger, LogUndo
from .postgres import journal
from .postgres.connecting import Connection, connect

log = logging.getLogger("holdfast.actuator")
EVERY_SECONDS = 2.0
READ_TIMEOUT = "5s"
WORDS_MAX = 500


class RecoveryLease:
    """Renews the lease of one undo in a thread. One that is lost is not noticed here: the target's token is what counts."""

    def __init__(self, ledger: Ledger, undo: LogUndo, target: TargetName, dsn: str) -> None:
        """``ledger``: a connection of its own."""
        self._ledger = ledger
        self._undo = undo
        self._target = target
        self._dsn = dsn
        self._over = threading.Event()
        self._db: Connection | None = None
        self._newest = Recovering(state="armed", reported_at=now())
        self._thread = threading.Thread(target=self._renew, name="recovery-lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._db is not None:
            self._db.close()
        self._ledger.close()

    def waits(self, why: str) -> None:
        """Tell for what it stands still, after it was left: whoever is free goes on with it. Raises one of AWAY."""
        self._tell(self._newest.model_copy(update={"waits": why[:WORDS_MAX], "reported_at": now()}))
        self._ledger.close()

    def _renew(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            try:
                self._ledger.renew_log_undo(self._undo)
                if (found := self._read()) is not None:
                    self._tell(found)
            except AWAY as error:
                log.warning("the lease on the undo of %s is not renewed: %s", self._undo.migration_id, error)
                self._ledger.close()

    def _tell(self, progress: Recovering) -> None:
        self._newest = progress
        self._ledger.log_undo_goes_on(self._undo, progress)

    def _read(self) -> Recovering | None:
        """None while the target is away: whoever works at the undo says so."""
        try:
            if self._db is None or self._db.closed:
                self._db = connect(self._target, self._dsn, statement_timeout=READ_TIMEOUT)
            found = journal.read(self._db, self._undo.migration_id)
        except (psycopg.Error, TargetUnreachable):
            return None
        if found is None:
            return None
        return Recovering(
            state=found.state,
            rows_undone=found.rows_undone,
            steps=found.chunks,
            steps_left=found.next_chunk,
            reported_at=now(),
        )
