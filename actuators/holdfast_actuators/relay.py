"""The relay: what the ledger owes to Kafka, in order, one relay at a time. Produce, all delivered, delete, commit."""

import logging
import threading

from holdfast_schemas.errors import Unreachable
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.topics import CONTRACT_TOPICS

from .figures import Figures
from .ledger import AWAY, Ledger

log = logging.getLogger("holdfast.actuator")
WAITS: tuple[type[Exception], ...] = (*AWAY, Unreachable)
IDLE_SECONDS = 0.5
AWAY_SECONDS = 1.0
TOPICS = {topic.name: topic for topic in CONTRACT_TOPICS}


class Relay:
    """Sends what is owed; woken in process after each transaction, else it looks every 0.5 s."""

    def __init__(
        self, ledger: Ledger, publisher: Publisher, prefix: str, wake: threading.Event, figures: Figures
    ) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._prefix = prefix
        self._wake = wake
        self._figures = figures

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop, and what is owed then, unless ledger or broker are away: it stays owed."""
        sent = True
        while not stop.is_set():
            self._wake.wait(IDLE_SECONDS)
            self._wake.clear()
            sent = self._send(stop)
        if sent:
            self._send(stop)
        self._ledger.close()

    def _send(self, stop: threading.Event) -> bool:
        try:
            while self.send_once():
                pass
            return True
        except WAITS as error:
            # Everything stays owed: the transaction was rolled back, so nothing is lost, and a repeat is dropped by readers.
            log.warning("the relay waits: %s", error)
            self._ledger.close()
            stop.wait(AWAY_SECONDS)
            return False

    def send_once(self) -> int:
        """One transaction of the outbox; returns the number of records sent. Raises NotDelivered: all stay owed."""
        with self._ledger.owed() as owed:
            for row in owed.rows:
                topic = f"{self._prefix}.{row.topic}"
                partitions: list[int | None] = [row.partition]
                if row.every_partition:
                    partitions = list(range(self._publisher.partitions(TOPICS[row.topic])))
                for partition in partitions:
                    self._publisher.publish_bytes(topic, row.key, row.value, row.headers, partition)
            if not owed.rows:
                return 0
            self._publisher.flush()
            owed.sent()
        self._figures.relayed += len(owed.rows)
        return len(owed.rows)
