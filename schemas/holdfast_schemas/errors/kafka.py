"""The broker, its topics, and what is sent to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from .tree import Refused, Unreachable, Unusable


@dataclass
class BrokerUnreachable(Unreachable):
    """No broker answered."""

    bootstrap_servers: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"no Kafka broker answered at {self.bootstrap_servers} in {self.seconds:g} s; "
            "check HOLDFAST_KAFKA__BOOTSTRAP_SERVERS and that the broker is up"
        )


@dataclass
class TopicMissing(Unreachable):
    """A topic that is needed does not exist on the broker."""

    topic: str

    def __str__(self) -> str:
        return f"topic {self.topic} does not exist; create it: holdfast topics create"


@dataclass
class RecordTooLarge(Unusable):
    """A record is larger than the contract allows."""

    topic: str
    size_bytes: int
    limit_bytes: int

    def __str__(self) -> str:
        return f"a record for {self.topic} has {self.size_bytes} bytes; at most {self.limit_bytes} are allowed"


@dataclass
class NotDelivered(Unreachable):
    """The broker did not confirm a record in time."""

    topic: str
    detail: str

    def __str__(self) -> str:
        return f"a record for {self.topic} was not delivered: {self.detail}; is the broker up?"


@dataclass
class TopicsWrong(Refused):
    """Topics on the broker are not as Holdfast needs them; a topic is never changed in place."""

    problems: Sequence[tuple[str, str, str]]
    """(topic, what was found, what is needed)"""

    def __str__(self) -> str:
        lines = [f"  {topic}: found {found}; needed {needed}" for topic, found, needed in self.problems]
        cure = "holdfast topics create makes what is missing; delete and create again what is wrong"
        return "\n".join([f"topics are not as they must be ({cure}):", *lines])


@dataclass
class PartitionsDiffer(Refused):
    """Topics that must be co-partitioned are not."""

    counts: dict[str, int]

    def __str__(self) -> str:
        shown = ", ".join(f"{name} has {count}" for name, count in sorted(self.counts.items()))
        return f"topics must have the same number of partitions: {shown}; recreate the odd ones: holdfast topics check"
