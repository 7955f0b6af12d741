"""Load on holdfast.events: migrations that report, and pass both error rates at a moment of their own."""

import threading
import time

from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import Migration

STEP_SECONDS = 0.05


class Load:
    """``events_per_second`` reports of ``migrations`` migrations until ``stop()``, in a thread."""

    def __init__(self, kafka: KafkaSettings, migrations: int, events_per_second: int) -> None:
        self._kafka = kafka
        self._migrations = migrations
        self._per_step = max(1, round(events_per_second * STEP_SECONDS))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.sent = 0
        self.failed: BaseException | None = None

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No more reports; all are delivered. Raises what went wrong."""
        self._stop.set()
        self._thread.join(60)
        if self.failed is not None:
            raise self.failed

    def _run(self) -> None:
        try:
            with Publisher(self._kafka, "test", delivery_seconds=60.0) as publisher:
                self._report(publisher)
        except BaseException as error:  # noqa: BLE001 - raised by stop()
            self.failed = error

    def _report(self, publisher: Publisher) -> None:
        migrations = [Migration(publisher, f"m{n:04}") for n in range(self._migrations)]
        for migration in migrations:
            migration.start()
        due = time.monotonic()
        turn = 0
        while not self._stop.is_set():
            for _ in range(self._per_step):
                migration = migrations[turn % len(migrations)]
                # Each passes the error rates after a number of reports of its own, so breaches come all the time.
                breached = migration.seq > 10 + (turn % len(migrations)) % 50
                migration.report(100, 40 if breached else 0)
                turn += 1
            self.sent = turn
            due += STEP_SECONDS
            time.sleep(max(0.0, due - time.monotonic()))
