"""Whether a partition is guarded: its newest lease beats and the proof that it is judged, read from the log's tail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from holdfast_schemas.leases import GuardLease
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import partitions_of
from holdfast_schemas.transport.reading import Received, plain_consumer, read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.watches import Watched

from .figures import age

BEATS_READ = 40
"""Of leases and watches only this many offsets a partition are read: more than a lease's length of beats."""


@dataclass(frozen=True)
class Guard:
    """The guard of one partition, as the log shows it at ``at``."""

    beat: Received[GuardLease] | None
    renewed: Received[GuardLease] | None
    watched: Received[Watched] | None
    at: datetime

    @property
    def held(self) -> bool:
        """Whether a lease that was renewed has not run out."""
        return self.renewed is not None and self._since(self.renewed) < self.renewed.record.lease_seconds

    @property
    def judged_seconds_ago(self) -> float | None:
        """Since the processor last said that it judges the partition; None where it never did."""
        return None if self.watched is None else self._since(self.watched)

    @property
    def word(self) -> str:
        """In a word or three: ``held``, ``runs out`` (its time is running, unrenewed) or ``NO GUARD``."""
        if self._silent() or not self.held:
            return "NO GUARD"
        return "held" if self.beat is not None and self.beat.record.renewed else "runs out"

    def sentence(self) -> str:
        """The lease's age, or the link that is missing and whom to ask."""
        if self.beat is None or self._silent():
            heard = "" if self.beat is None else f" for {age(self._since(self.beat))}"
            return f"NO GUARD: no lease beat{heard}: is holdfast actuator running?"
        if not self.beat.record.renewed:
            still = "lease runs out" if self.held else "NO GUARD"
            return f"{still}: {self.beat.record.missing}"
        judged = "never judged" if self.watched is None else f"judged {age(self._since(self.watched))} ago"
        return f"lease renewed {age(self._since(self.beat))} ago by {self.beat.record.actuator}, {judged}"

    def _silent(self) -> bool:
        return self.beat is None or self._since(self.beat) > self.beat.record.lease_seconds

    def _since(self, received: Received[GuardLease] | Received[Watched]) -> float:
        return (self.at - from_milliseconds(received.timestamp_ms)).total_seconds()


def newest_watched(kafka: KafkaSettings) -> Mapping[int, Received[Watched] | None]:
    """Each partition's newest Watched; None where there is none."""
    found: dict[int, Received[Watched] | None] = dict.fromkeys(range(partitions(kafka)))
    found.update({r.partition: r for r in read_to_end(kafka, topics.watches, last=BEATS_READ)})
    return found


def partitions(kafka: KafkaSettings) -> int:
    """How many partitions the topics have. Raises TopicMissing, BrokerUnreachable."""
    consumer = plain_consumer(kafka)
    try:
        return partitions_of(consumer, kafka, topics.metrics.full_name(kafka.topic_prefix))
    finally:
        consumer.close()
