"""Many migrations at once, their runners, triggers and people simulated through the contracts: what actuators are driven by."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.runs import EpochAcknowledged, RunRequested, UndoReported
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher, partitions_of
from holdfast_schemas.transport.reading import plain_consumer, received_from
from holdfast_schemas.transport.security import KafkaSettings
from tests.actuators.conftest import decision_of

ANTI_ENTROPY_SECONDS = 2.0


@dataclass
class Runner:
    """One migration's only worker: it obeys a higher epoch, acknowledges an equal one again, refuses a lower."""

    migration_id: str
    run_id: str = field(default_factory=new_id)
    worker_id: str = field(default_factory=new_id)
    held: DesiredState | None = None
    obeyed: list[int] = field(default_factory=list)
    refused: int = 0
    repeated: int = 0
    acknowledged_at: float = 0.0

    def hear(self, state: DesiredState) -> bool:
        """Whether the state is to be acknowledged."""
        if state.run_id != self.run_id:
            return False
        if self.held is not None and state.epoch < self.held.epoch:
            self.refused += 1
            return False
        if self.held is not None and state.epoch == self.held.epoch:
            self.repeated += 1
            return True
        self.held = state
        self.obeyed.append(state.epoch)
        return True


class Fleet:
    """Runners that obey, in a thread; ``drive()`` sends what triggers and people would."""

    def __init__(self, kafka: KafkaSettings, migrations: int) -> None:
        self.kafka = kafka
        self.runners = {f"m{n:03}": Runner(f"m{n:03}") for n in range(migrations)}
        self.causes: list[str] = []
        """The id of every decision and request that was sent."""
        self._publisher = Publisher(kafka, "test", delivery_seconds=60.0)
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def __enter__(self) -> "Fleet":
        for runner in self.runners.values():
            self._ask(runner)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self._publisher.flush()

    def add(self, runner: Runner) -> None:
        """One more migration, and its request to run."""
        with self._lock:
            self.runners = {**self.runners, runner.migration_id: runner}
            self._ask(runner)

    def granted(self) -> bool:
        """Whether every run was granted."""
        self.check()
        return all(runner.held is not None for runner in self.runners.values())

    def epochs_obeyed(self) -> int:
        """How many epochs the runners have obeyed so far."""
        self.check()
        return sum(len(runner.obeyed) for runner in self.runners.values())

    def check(self) -> None:
        """Raise what ended the runners, if something did."""
        if self._failed is not None:
            raise self._failed

    def drive(self, every_seconds: float, until: threading.Event) -> None:
        """A trigger pauses what runs, a person resumes what is paused, one after another, until told to end."""
        while not until.is_set():
            for runner in self.runners.values():
                if until.wait(every_seconds):
                    return
                self.one_cause(runner)

    def one_cause(self, runner: Runner) -> None:
        """A decision or a request that fits what the runner holds."""
        with self._lock:
            state = runner.held
            if state is None or state.desired not in ("run", "pause"):
                return
            if state.desired == "run":
                self.decide(runner, "pause")
                return
            asked = PersonRequest(
                request_id=new_id(), kind="resume", migration_id=runner.migration_id, expected_epoch=state.epoch, actor="ana",
                reason="go on", occurred_at=now(),
            )  # fmt: skip
            self.causes.append(asked.request_id)
            self._publisher.publish(topics.requests, asked)

    def decide(self, runner: Runner, action: str) -> None:
        """A trigger's decision about the run."""
        with self._lock:
            assert runner.held is not None
            decision = decision_of(runner.run_id, action, runner.held.resumed_epoch, migration_id=runner.migration_id)
            self.causes.append(decision.decision_id)
            self._publisher.publish(topics.decisions, decision)

    def settled(self, desired: str) -> bool:
        """Whether every runner holds a state that desires this."""
        self.check()
        return all(r.held is not None and r.held.desired == desired for r in self.runners.values())

    def _ask(self, runner: Runner) -> None:
        asked = RunRequested(
            migration_id=runner.migration_id, run_id=runner.run_id, worker_id=runner.worker_id, request_id=new_id(),
            target="orders", occurred_at=now(), can_undo=True,
        )  # fmt: skip
        self._publisher.publish(topics.runs, asked)

    def _run(self) -> None:
        try:
            self._obey()
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits
            self._failed = error

    def _obey(self) -> None:
        consumer = plain_consumer(self.kafka, **{"fetch.wait.max.ms": 20})
        name = topics.control.full_name(self.kafka.topic_prefix)
        partitions = partitions_of(consumer, self.kafka, name)
        consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in range(partitions)])
        try:
            while not self._stop.is_set():
                first = consumer.poll(0.1)
                for message in (first, *consumer.consume(500, 0)) if first is not None else ():
                    received = None if message.error() else received_from(topics.control, message)
                    if received is not None:
                        self._hear(received.record)
                self._repeat()
        finally:
            consumer.close()

    def _hear(self, state: Any) -> None:
        runner = self.runners[state.migration_id]
        with self._lock:
            if runner.hear(state):
                self._acknowledge(runner)

    def _repeat(self) -> None:
        """Anti-entropy: what a runner holds, said again; one that was never answered asks again."""
        with self._lock:
            for runner in self.runners.values():
                if time.monotonic() - runner.acknowledged_at > ANTI_ENTROPY_SECONDS:
                    self._acknowledge(runner)

    def _acknowledge(self, runner: Runner) -> None:
        runner.acknowledged_at = time.monotonic()
        state = runner.held
        if state is None:
            self._ask(runner)
            return
        who: dict[str, Any] = {
            "migration_id": runner.migration_id, "run_id": runner.run_id, "worker_id": runner.worker_id, "occurred_at": now(),
        }  # fmt: skip
        stands = "paused" if state.desired == "pause" else "running"
        self._publisher.publish(topics.runs, EpochAcknowledged(**who, epoch=state.epoch, state=stands))
        if state.desired == "rollback" and state.undo_by == runner.worker_id:
            self._publisher.publish(
                topics.runs,
                UndoReported(**who, undo_token=state.undo_token, steps_left=0, rows_undone=10, outcome="done"),
            )
