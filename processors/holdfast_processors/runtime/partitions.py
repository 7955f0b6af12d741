"""The partitions that this worker owns: their engine state, what is not durable yet, and where their logs stand."""

from dataclasses import dataclass, field

from holdfast_schemas.identity import new_id

from ..engine.state import PartitionState


@dataclass(slots=True)
class Owned:
    """One partition. ``changelog_end``: the offset after our last write there; None while loading, or once another wrote."""

    state: PartitionState
    touched: set[str] = field(default_factory=set)
    urgent: set[str] = field(default_factory=set)
    recovered: set[str] = field(default_factory=set)
    """Keys as they were loaded; written once more a minute later, over whatever a zombie may have written since."""
    loaded_at: float = 0.0
    changelog_end: int | None = None
    committed: int | None = None
    decisions_end: int = 0
    events_end: int = 0
    """The end of the partition's events at assignment: a log that holds records is named by them, not by us."""
    sought_from: int | None = None
    """The first offset of the batch that made us seek back; met again, the offsets between do not exist."""
    first_log_id: str = field(default_factory=new_id)
    """What this partition's first Tick will name the log, if no Tick did yet."""

    def wrote(self, offset: int) -> None:
        """Note a write of ours to the changelog: ours alone as long as each follows the one before."""
        self.changelog_end = offset + 1 if offset == self.changelog_end else None


class Partitions:
    """The owned partitions by number. ``ready`` are loaded and flow; the others are known from before, or being loaded."""

    def __init__(self) -> None:
        self.owned: dict[int, Owned] = {}
        self.ready: set[int] = set()

    def flows(self, partition: int) -> bool:
        """Whether the partition's events may be judged now."""
        return partition in self.ready

    def drop(self, partition: int) -> None:
        """Forget a partition: it is another's, or must be loaded anew."""
        self.owned.pop(partition, None)
        self.ready.discard(partition)

    def close_all(self) -> None:
        """Nothing flows until the next assignment says what was kept."""
        self.ready = set()
