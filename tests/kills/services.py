"""Both services as processes, told to stop by SIGTERM and timed."""

import signal
import time
from pathlib import Path
from typing import Any, Literal

import psycopg

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.workers import Worker, environment
from tests.waiting import wait_for

Name = Literal["processor", "actuator"]
NAMES: tuple[Name, Name] = ("processor", "actuator")
STOPS_IN_SECONDS = 10.0


class Services:
    """A processor and an actuator on one Kafka and one ledger."""

    def __init__(self, kafka: KafkaSettings, dsn: str, folder: Path) -> None:
        self.kafka, self.dsn, self._folder = kafka, dsn, folder
        self.running: dict[Name, Worker] = {}
        self._started = 0

    def start(self, *names: Name) -> None:
        env = environment(
            self.kafka,
            HOLDFAST_LEDGER__DSN=self.dsn,
            HOLDFAST_ACTUATOR__WEB_PORT="0",
            HOLDFAST_ACTUATOR__SESSION_TIMEOUT_SECONDS="6",
        )
        for name in names:
            self._started += 1
            log = self._folder / f"{name}-{self._started}.log"
            self.running[name] = Worker(log, "-m", "holdfast_consoles", name, env=env)

    def wait_ready(self, *names: Name) -> None:
        for name in names:
            self.running[name].wait_ready()

    def stop(self, *names: Name) -> dict[Name, float]:
        """SIGTERM to each at once; the seconds that each took. Fails when it ended otherwise than with 0, or too late."""
        began = time.monotonic()
        for name in names:
            self.running[name].signal(signal.SIGTERM)
        took = {}
        for name in names:
            worker = self.running.pop(name)
            try:
                code = worker.process.wait(STOPS_IN_SECONDS - (time.monotonic() - began))
            finally:
                worker.kill()
            assert code == 0, worker.log()[-3000:]
            took[name] = time.monotonic() - began
            print(f"{name} ended in {took[name]:.1f} s")
        return took

    def close(self) -> None:
        for worker in self.running.values():
            worker.kill()

    # what must be so in the end

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, options="-c search_path=holdfast") as db:
            return db.execute(query).fetchall()  # type: ignore[arg-type]

    def wait_until_acted_on(self, deadline_seconds: float = 60) -> int:
        """Every decision of the log is in the ledger once, and nothing is owed; how many there are."""
        decided = {received.record.decision_id for received in read_to_end(self.kafka, topics.decisions)}

        def taken_in() -> bool:
            known = {row[0] for row in self.rows("SELECT cause_id FROM action")}
            return decided <= known and not self.rows("SELECT 1 FROM outbox LIMIT 1")

        wait_for(taken_in, deadline_seconds, f"{len(decided)} decisions in the ledger", 0.2)
        return len(decided)


def hears_signals(worker: Worker) -> bool:
    """Whether the process has come as far as waiting for SIGTERM itself: it is blocked in its main thread."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(blocked.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
