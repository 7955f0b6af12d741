"""A replication slot that cannot be read, and what the server says is the matter with it."""

from dataclasses import dataclass

from .recovery import SlotUnreadable


@dataclass
class SlotInUse(SlotUnreadable):
    """Somebody else reads the slot, and went on for as long as we waited."""

    def __str__(self) -> str:
        return (
            f"slot {self.slot} is being read by somebody else: {self.detail}; wait for a preview or a rollback of the same"
            " migration to end, or end that process by SELECT pg_terminate_backend(pid), and try again"
        )


@dataclass
class SlotLost(SlotUnreadable):
    """The slot is gone, or the server gave up what it held: the old rows are not in the log any more."""

    def __str__(self) -> str:
        return (
            f"slot {self.slot} is lost: {self.detail}; the old rows are not in the log any more, only a clone has them:"
            " holdfast clone; see max_slot_wal_keep_size, slot_bytes_max and slot_days_max before the next holdfast arm"
        )
