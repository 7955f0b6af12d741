"""A scripted ledger and guard for tests on a real Kafka: it answers requests, beats, and says what the test asks."""

import threading
from collections import deque
from types import TracebackType
from typing import Any, Self

from holdfast_schemas.desired_state import TOMBSTONE_EPOCH, TOMBSTONE_RUN_ID, Answer, DesiredState
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.record import now
from holdfast_schemas.runs import EpochAcknowledged, RunnerRecord, RunRequested
from holdfast_schemas.states import AnswerResult, Desired
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.partitioner import partition_of
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.transport.subscription import Subscription

BEAT_SECONDS = 0.1


class ScriptedLedger:
    """One migration's ledger. ``answer`` is what requests get; ``missing`` makes beats that renew nothing."""

    def __init__(self, kafka: KafkaSettings, migration_id: str, answer: AnswerResult = "granted") -> None:
        self.answer: AnswerResult | None = answer
        self.missing: str | None = None
        self.beating = True
        self.lease_seconds = 2.0
        self.heard: deque[RunnerRecord] = deque()
        self.state: DesiredState | None = None
        self._kafka = kafka
        self._migration_id = migration_id
        self._publisher = Publisher(kafka, "test/ledger")
        self._partition = partition_of(migration_id, self._publisher.partitions(topics.leases))
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._beat)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self._publisher.flush()

    def desire(self, desired: Desired, **fields: Any) -> DesiredState:
        """The next epoch's state."""
        assert self.state is not None
        epoch = self.state.epoch + 1
        resumed = epoch if desired == "run" else self.state.resumed_epoch
        changed = {"epoch": epoch, "desired": desired, "resumed_epoch": resumed, "answers": None, **fields}
        return self.publish(self.state.model_copy(update=changed))

    def publish(self, state: DesiredState) -> DesiredState:
        with self._lock:
            self.state = state
            self._publisher.publish(topics.control, state)
            self._publisher.flush()
        return state

    def close_run(self, run_id: str, epoch: int) -> None:
        """A tombstone."""
        headers = [(TOMBSTONE_RUN_ID, run_id.encode()), (TOMBSTONE_EPOCH, str(epoch).encode())]
        name = topics.control.full_name(self._kafka.topic_prefix)
        self._publisher.publish_bytes(name, self._migration_id.encode(), None, headers)
        self._publisher.flush()

    def acknowledged(self) -> list[tuple[int, str]]:
        return [(one.epoch, one.state) for one in list(self.heard) if isinstance(one, EpochAcknowledged)]

    def of(self, kind: type[RunnerRecord]) -> list[Any]:
        return [one for one in list(self.heard) if isinstance(one, kind)]

    def _listen(self) -> None:
        with Subscription(topics.runs, self._kafka, idle_seconds=0.2) as records:
            while not self._stopping.is_set():
                for received in records:
                    self.heard.append(received.record)
                    if isinstance(received.record, RunRequested) and self.answer is not None:
                        self._answer(received.record, self.answer)

    def _answer(self, request: RunRequested, result: AnswerResult) -> None:
        answer = Answer(request_id=request.request_id, result=result, reason=f"scripted {result}")
        if self.state is None or self.state.run_id != request.run_id:
            epoch = 1 if self.state is None else self.state.epoch + 1
            fresh = DesiredState(
                migration_id=self._migration_id,
                run_id=request.run_id,
                epoch=epoch,
                start_epoch=epoch,
                resumed_epoch=epoch,
                desired="run",
                set_by="ledger",
                reason="granted",
                occurred_at=now(),
            )
            if result == "granted":
                self.publish(fresh.model_copy(update={"answers": answer}))
                return
            self.state = self.state or fresh
        self.publish(self.state.model_copy(update={"answers": answer}))

    def _beat(self) -> None:
        seq = 0
        while not self._stopping.wait(BEAT_SECONDS):
            if self.beating:
                seq += 1
                beat = GuardLease(
                    partition=self._partition,
                    actuator="scripted",
                    seq=seq,
                    renewed=self.missing is None,
                    missing=self.missing,
                    lease_seconds=self.lease_seconds,
                    occurred_at=now(),
                )
                with self._lock:
                    self._publisher.publish(topics.leases, beat, partition=self._partition)
