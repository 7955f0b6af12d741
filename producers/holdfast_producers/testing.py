"""For a runner's own tests: a sink in memory that records what was sent, grants runs, and pauses or rolls back on demand."""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, TypeVar

from holdfast_schemas.desired_state import Answer, DesiredState
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.record import Record
from holdfast_schemas.record import now as wall_clock
from holdfast_schemas.runs import RunRequested
from holdfast_schemas.states import AnswerResult, Desired
from holdfast_schemas.transport.codec import decode, encode
from holdfast_schemas.transport.topics import Topic

from .sink import Hearing, Settled

log = logging.getLogger("holdfast.producers")
BEAT_SECONDS = 0.05
PARTITIONS = 3
"""Of each of its topics."""
T = TypeVar("T", bound=Record)


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivered record, the short name of its topic, and the partition where one was named."""

    topic: str
    record: Record
    partition: int | None = None


class MemorySink:
    """Keeps the Sink protocol without a broker, and plays the ledger and the guard.

    ::

        sink = MemorySink()
        with Reporter(settings, sink).run("m", target="t") as run:
            sink.desire("pause", reason="test")     # run.checkpoint() blocks now
        assert sink.of(ProgressReported)[-1].rows_processed == 10

    ``answer`` is what a request to run gets; ``broken = True`` delivers nothing; ``beating = False`` stops the guard.
    """

    def __init__(self, answer: AnswerResult = "granted") -> None:
        self.answer: AnswerResult = answer
        self.broken = False
        self.beating = True
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._sent: list[Sent] = []
        self._undelivered: list[tuple[Topic[Any], Record, Settled, int | None]] = []
        self._followers: list[MemoryFollower] = []
        self._epoch = 0
        self._states: dict[str, DesiredState] = {}

    @property
    def sent(self) -> list[Sent]:
        """Everything delivered so far, in order."""
        with self._lock:
            return list(self._sent)

    def of(self, kind: type[T]) -> list[T]:
        """The delivered records of one contract, in order."""
        return [sent.record for sent in self.sent if isinstance(sent.record, kind)]

    def send(self, topic: Topic[Any], record: Record, settled: Settled, partition: int | None = None) -> None:
        """See Sink. The record goes through its encoding, so what Kafka would refuse is refused here."""
        encoded = encode(record)
        self._undelivered.append((topic, decode(topic, encoded.value, encoded.key), settled, partition))

    def partitions(self, topic: Topic[Any]) -> int | None:
        """See Sink."""
        return None if self.broken else PARTITIONS

    def poll(self, seconds: float) -> None:
        """See Sink."""
        if self.broken or not self._undelivered:
            time.sleep(seconds)
        if self.broken:
            return
        undelivered, self._undelivered = self._undelivered, []
        for topic, record, settled, partition in undelivered:
            with self._lock:
                self._sent.append(Sent(topic.name, record, partition))
            try:
                settled(None)
                if isinstance(record, RunRequested):
                    self._answer(record)
            except Exception:
                log.exception("a callback raised inside poll()")

    def refuse_undelivered(self, why: str) -> None:
        """Tell the sender that what it handed over has failed."""
        undelivered, self._undelivered = self._undelivered, []
        for _, _, settled, _ in undelivered:
            settled(why)

    def follow(self, migration_id: str, hearing: Hearing) -> "MemoryFollower":
        """See Sink."""
        return MemoryFollower(self, migration_id, hearing)

    def close(self) -> int:
        """See Sink."""
        left, self._undelivered = len(self._undelivered), []
        return left

    def forked(self) -> None:
        """See Sink: what a child sends stays in the child."""
        self._begin()

    # the ledger's part

    def desire(self, desired: Desired, *, migration_id: str | None = None, **fields: Any) -> DesiredState:
        """Ask for a state under the next epoch: ``desire("pause")``, ``desire("rollback", undo_by=..., undo_token=1)``."""
        with self._lock:
            key = migration_id or next(iter(self._states))
            was = self._states[key]
            self._epoch += 1
            resumed = self._epoch if desired == "run" else was.resumed_epoch
            changed = {"epoch": self._epoch, "desired": desired, "resumed_epoch": resumed, "answers": None, **fields}
            state = self._states[key] = was.model_copy(update=changed)
        self._tell(state)
        return state

    def _answer(self, request: RunRequested) -> None:
        with self._lock:
            state = self._states.get(request.migration_id)
            if state is None or (state.run_id != request.run_id and self.answer == "granted"):
                self._epoch += 1
                state = DesiredState(
                    migration_id=request.migration_id,
                    run_id=request.run_id,
                    epoch=self._epoch,
                    start_epoch=self._epoch,
                    resumed_epoch=self._epoch,
                    desired="run",
                    set_by="memory",
                    reason="granted",
                    occurred_at=wall_clock(),
                )
                self._states[request.migration_id] = state
            answer = Answer(request_id=request.request_id, result=self.answer, reason=f"memory says {self.answer}")
        self._tell(state.model_copy(update={"answers": answer}))

    def _tell(self, state: DesiredState) -> None:
        with self._lock:
            followers = [one for one in self._followers if one.migration_id == state.migration_id]
        for follower in followers:
            follower.hearing.heard(state)

    def attach(self, follower: "MemoryFollower") -> DesiredState | None:
        """A follower started: it is told what control holds for its migration."""
        with self._lock:
            self._followers.append(follower)
            return self._states.get(follower.migration_id)

    def detach(self, follower: "MemoryFollower") -> None:
        """A follower stopped."""
        with self._lock:
            self._followers = [one for one in self._followers if one is not follower]


class MemoryFollower:
    """Follows a MemorySink: a beat each 50 ms while it is beating."""

    def __init__(self, sink: MemorySink, migration_id: str, hearing: Hearing) -> None:
        self.migration_id = migration_id
        self.hearing = hearing
        self._sink = sink
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="holdfast-memory-follower", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def forked(self) -> None:
        self._thread = None

    def _loop(self) -> None:
        self.hearing.placed(0, 0)
        if (state := self._sink.attach(self)) is not None:
            self.hearing.heard(state)
        self.hearing.reached_end()
        seq = 0
        while not self._stopping.wait(BEAT_SECONDS):
            self.hearing.polled(BEAT_SECONDS, BEAT_SECONDS)
            if self._sink.beating:
                seq += 1
                beat = GuardLease(
                    partition=0, actuator="memory", seq=seq, renewed=True, lease_seconds=1.0, occurred_at=wall_clock()
                )
                self.hearing.beat(seq, beat)
        self._sink.detach(self)
