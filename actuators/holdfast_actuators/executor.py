"""The executor: what is due by the ledger server's clock. Deadlines run from rows, so a restart has no special path."""

import logging
import threading
import time

from .figures import Figures
from .ledger import AWAY, Ledger

log = logging.getLogger("holdfast.actuator")
EVERY_SECONDS = 0.5
AWAY_SECONDS = 1.0
FORGET_EVERY_SECONDS = 60.0
LOOK_EVERY_SECONDS = 5.0


class Executor:
    """Looks for what is due twice a second, and wakes the relay when something was done.

    In between the ledger forgets what is older than ``keep_days``: a batch a turn while there is some, else each minute; and
    what is open and owed is counted for /metrics.
    """

    def __init__(
        self, ledger: Ledger, wake: threading.Event, partitions: int, keep_days: int, figures: Figures
    ) -> None:
        self._ledger = ledger
        self._keep_days = keep_days
        self._figures = figures
        self._forget_at = 0.0
        self._look_at = 0.0
        self._wake = wake
        self._partitions = partitions

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. While the ledger is away nothing is due."""
        while not stop.wait(EVERY_SECONDS):
            try:
                if self._ledger.deadlines(self._partitions):
                    self._wake.set()
                self._forget()
                self._look()
            except AWAY as error:
                log.warning("deadlines wait: %s", error)
                self._ledger.close()
                stop.wait(AWAY_SECONDS)
        self._ledger.close()

    def _look(self) -> None:
        if time.monotonic() >= self._look_at:
            self._figures.load(self._ledger.load())
            self._look_at = time.monotonic() + LOOK_EVERY_SECONDS

    def _forget(self) -> None:
        if time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + FORGET_EVERY_SECONDS  # when it fails too: deadlines come first
        deleted = self._ledger.delete_old(self._keep_days)
        self._figures.deleted(action=deleted.actions, run=deleted.runs, worker=deleted.workers)
        if deleted.more:
            self._forget_at = 0.0
