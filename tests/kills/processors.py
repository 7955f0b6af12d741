"""Two processors that stand in for each other, and what the log must say after whatever happened to them."""

from itertools import pairwise
from pathlib import Path

from holdfast_consoles.cli.evidence import collect
from holdfast_processors.verify import verify_log
from holdfast_schemas.record import to_milliseconds
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.workers import Worker, processor


def caught_up(kafka: KafkaSettings, since_ms: int) -> bool:
    """Whether a Tick later than ``since_ms`` (broker time) is watched on every partition."""
    newest = {r.record.partition: to_milliseconds(r.record.tick_at) for r in read_to_end(kafka, topics.watches)}
    return len(newest) == 12 and min(newest.values()) > since_ms


def longest_silence_seconds(kafka: KafkaSettings) -> float:
    """The longest time that a partition was not watched, between its first Watched and its last."""
    times: dict[int, list[int]] = {}
    for received in read_to_end(kafka, topics.watches):
        times.setdefault(received.partition, []).append(received.timestamp_ms)
    return max((later - earlier) / 1000 for t in times.values() for earlier, later in pairwise(t))


class Pair:
    """Two processors, each started again when it is killed."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.kafka, self.folder = kafka, folder
        self.starts = 0
        self.workers = [self._start(), self._start()]

    def _start(self) -> Worker:
        self.starts += 1
        return processor(self.folder, self.kafka, f"processor-{self.starts}")

    def kill(self, which: int) -> None:
        self.workers[which].kill()
        self.workers[which] = self._start()

    def restart(self, which: int) -> None:
        assert self.workers[which].stop() == 0, self.workers[which].log()[-3000:]
        self.workers[which] = self._start().wait_ready()

    def stop(self) -> None:
        for worker in self.workers:
            assert worker.stop() == 0, worker.log()[-3000:]

    def __enter__(self) -> "Pair":
        for worker in self.workers:
            worker.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()


def assert_verified(kafka: KafkaSettings) -> None:
    """What `holdfast verify` judges finds nothing wrong; all but the audit trail, as no actuator ran."""
    evidence = collect(kafka)
    found = verify_log(evidence.records, evidence.decisions, evidence.metrics, until=evidence.until)
    assert found.ok, found.faults[:10]
    assert all(segment.judged for segment in found.segments), found.segments
    assert found.counts["compared"] > 0
    print(f"verified: {dict(found.counts)}")
