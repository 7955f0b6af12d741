"""The topics: one contract each, their key, their retention. The only place where a topic's name stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from ..actions import ActionRecorded
from ..decisions import Decision
from ..desired_state import DesiredState
from ..events import Event
from ..leases import GuardLease
from ..metrics import MigrationMetrics
from ..record import Record
from ..requests import PersonRequest
from ..runs import RunRecord
from ..watches import Watched

T = TypeVar("T", bound=Record)
PARTITIONS = 12
"""What `topics create` makes and `topics check` demands; the code reads the number from the topic."""
DEFAULT_PREFIX = "holdfast"
MAX_RECORD_BYTES = 256 * 1024

DAY = 86_400_000
COMPACTED = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": str(600_000),
    "segment.ms": str(300_000),
    "min.cleanable.dirty.ratio": "0.1",
}


def _kept(milliseconds: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds)}


@dataclass(frozen=True)
class Topic(Generic[T]):
    """A topic: its short name, its contract (T) and its broker settings. Key = migration_id unless it begins with ~."""

    name: str
    contract: TypeAdapter[T]
    types: Mapping[str, type[Record]]
    """The contract's records by their ``type``."""
    config: Mapping[str, str] = field(default_factory=dict)

    def full_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """The name on the broker, for instance ``holdfast.events``."""
        return f"{prefix}.{self.name}"

    def broker_config(self) -> dict[str, str]:
        """The topic's settings on the broker. All topics are LogAppendTime: time is in the log."""
        return {"message.timestamp.type": "LogAppendTime", **self.config}


def _topic(name: str, contract: Any, config: Mapping[str, str]) -> Topic[Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(contract)
    members: list[Any] = [contract]
    if not (isinstance(contract, type) and issubclass(contract, Record)):
        members = list(contract.__origin__.__args__)
    return Topic(name, adapter, {m.__name__: m for m in members}, config)


events: Topic[Event] = _topic("events", Event, _kept(7 * DAY))
watches: Topic[Watched] = _topic("watches", Watched, _kept(3_600_000))
runs: Topic[RunRecord] = _topic("runs", RunRecord, _kept(7 * DAY))
metrics: Topic[MigrationMetrics] = _topic(
    "metrics",
    MigrationMetrics,
    {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(90 * DAY),
        "min.compaction.lag.ms": str(3_600_000),
        "segment.ms": str(1_800_000),
    },
)
decisions: Topic[Decision] = _topic("decisions", Decision, _kept(90 * DAY))
requests: Topic[PersonRequest] = _topic("requests", PersonRequest, _kept(90 * DAY))
control: Topic[DesiredState] = _topic(
    "control", DesiredState, {"cleanup.policy": "compact", "segment.ms": str(3_600_000)}
)
leases: Topic[GuardLease] = _topic("leases", GuardLease, _kept(3_600_000))
actions: Topic[ActionRecorded] = _topic("actions", ActionRecorded, _kept(90 * DAY))

CONTRACT_TOPICS: tuple[Topic[Any], ...] = (
    events,
    watches,
    runs,
    metrics,
    decisions,
    requests,
    control,
    leases,
    actions,
)

DEAD_LETTERS = "dead-letters"
"""The bytes as they came; headers: source topic, partition, offset, error. It has no contract of its own."""
CHANGELOG = "processor-changelog"
"""The processors' state, a key a migration, beside ``~partition`` and ``~target/<name>``."""


def all_topics(prefix: str = DEFAULT_PREFIX) -> dict[str, dict[str, str]]:
    """Every topic that Holdfast needs, by its full name, with its broker settings."""
    stamped = {"message.timestamp.type": "LogAppendTime"}
    return {
        **{topic.full_name(prefix): topic.broker_config() for topic in CONTRACT_TOPICS},
        f"{prefix}.{DEAD_LETTERS}": {**stamped, **_kept(30 * DAY), "max.message.bytes": str(4 * 1024 * 1024)},
        f"{prefix}.{CHANGELOG}": {**stamped, **COMPACTED},
    }
