"""The executor: what is due by the ledger server's clock. Deadlines run from rows, so a restart has no special path."""

import logging
import threading

from .ledger import AWAY, Ledger

log = logging.getLogger("holdfast.actuator")
EVERY_SECONDS = 0.5
AWAY_SECONDS = 1.0


class Executor:
    """Looks for what is due twice a second, and wakes the relay when something was done."""

    def __init__(self, ledger: Ledger, wake: threading.Event, partitions: int) -> None:
        self._ledger = ledger
        self._wake = wake
        self._partitions = partitions

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. While the ledger is away nothing is due."""
        while not stop.wait(EVERY_SECONDS):
            try:
                if self._ledger.deadlines(self._partitions):
                    self._wake.set()
            except AWAY as error:
                log.warning("deadlines wait: %s", error)
                self._ledger.close()
                stop.wait(AWAY_SECONDS)
        self._ledger.close()
