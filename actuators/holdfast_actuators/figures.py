"""The actuator's figures (docs/metrics.md), and whether it is ready."""

import time
from collections import Counter

from holdfast_schemas import exposition
from holdfast_schemas.exposition import Figure, labelled, plain

from .lease import REASONS
from .ledger import Load
from .postgres.slots import SlotsSeen

READY_SECONDS = 10.0
LOAD_SECONDS = 30.0
"""What was read of the ledger longer ago is not shown: it was true then."""


class Figures:
    """Counts since the start, what the last beat found, and what the ledger had before it when it was last read."""

    def __init__(self) -> None:
        self.relayed = 0
        self._taken: dict[str, int] = {}
        self._notifications = dict.fromkeys(("sent", "retried", "given_up", "failed"), 0)
        self._deleted = dict.fromkeys(("action", "run", "worker"), 0)
        self._partitions = 0
        self._renewed = 0
        self._withheld = dict.fromkeys(REASONS, 0)
        self._withheld_now = dict.fromkeys(REASONS, 0)
        self._ledger_missing: str | None = "not connected yet"
        self._beat_at: float | None = None
        self._load: Load | None = None
        self._load_at = 0.0
        self._owed_since: tuple[int, float] | None = None
        self._slots: dict[str, tuple[SlotsSeen, float]] = {}
        self._slots_given_up: dict[str, int] = {}

    def taken(self, topic: str) -> None:
        """One record was taken in."""
        self._taken[topic] = self._taken.get(topic, 0) + 1

    def notification(self, result: str) -> None:
        """One try of a notification: sent, retried or given_up; failed: a bug kept it from being tried."""
        self._notifications[result] += 1

    def deleted(self, **rows: int) -> None:
        """Rows that the ledger forgot, by table."""
        for table, count in rows.items():
            self._deleted[table] += count

    def beat(self, partitions: int, withheld: Counter[str], ledger_missing: str | None) -> None:
        """A beat went out to each partition; ``withheld``: how many renewed no lease, by what was missing."""
        self._partitions, self._ledger_missing = partitions, ledger_missing
        self._renewed = partitions - withheld.total()
        self._withheld_now = {reason: withheld[reason] for reason in REASONS}
        for reason, count in self._withheld_now.items():
            self._withheld[reason] += count
        self._beat_at = time.monotonic()

    def load(self, load: Load) -> None:
        """What the ledger has before it now. A row that is still the first was owed since it was first seen so."""
        self._load, self._load_at = load, time.monotonic()
        if load.oldest_owed is None:
            self._owed_since = None
        elif self._owed_since is None or self._owed_since[0] != load.oldest_owed:
            self._owed_since = (load.oldest_owed, self._load_at)

    def slots(self, target: str, seen: SlotsSeen) -> None:
        """What our slots keep on a target now."""
        self._slots[target] = seen, time.monotonic()

    def slot_given_up(self, target: str) -> None:
        """One of our slots was dropped at a limit of its migration's settings."""
        self._slots_given_up[target] = self._slots_given_up.get(target, 0) + 1

    def not_ready(self) -> str | None:
        """What is missing, None when ready: a writable ledger, partitions, a recent beat."""
        if self._ledger_missing is not None:
            return f"ledger: {self._ledger_missing}"
        if self._beat_at is None or time.monotonic() - self._beat_at > READY_SECONDS:
            return "no beat lately"
        return None if self._partitions else "no partition is assigned yet"

    def text(self) -> str:
        """The figures as /metrics shows them."""
        return exposition.text(
            [
                *exposition.of_the_process("actuator"),
                *self._of_the_actuator(),
                *self._of_the_ledger(),
                *self._of_recovery(),
            ]
        )

    def _of_the_actuator(self) -> list[Figure]:
        name = "holdfast_actuator_"
        beat_at = None if self._beat_at is None else round(time.time() - time.monotonic() + self._beat_at, 3)
        writable = int(self._ledger_missing is None)
        return [
            labelled(f"{name}records_taken_total", "counter", "Records taken in, by topic.", "topic", self._taken),
            plain(f"{name}records_relayed_total", "counter", "Records sent from the outbox.", self.relayed),
            plain(f"{name}partitions", "gauge", "Partitions assigned.", self._partitions),
            plain(f"{name}leases_renewed", "gauge", "Guard leases renewed at the last beat.", self._renewed),
            labelled(
                f"{name}leases_withheld",
                "gauge",
                "Guard leases not renewed at the last beat, by what was missing.",
                "reason",
                self._withheld_now,
            ),
            labelled(
                f"{name}leases_withheld_total",
                "counter",
                "Beats that renewed no guard lease, by what was missing.",
                "reason",
                self._withheld,
            ),
            plain(f"{name}last_beat_timestamp_seconds", "gauge", "When it last beat, in seconds since 1970.", beat_at),
            plain(f"{name}ledger_writable", "gauge", "1 when the last beat was written to the ledger.", writable),
            labelled(
                f"{name}notifications_total",
                "counter",
                "Tries of notifications, by what became of them.",
                "result",
                self._notifications,
            ),
            labelled(
                f"{name}ledger_rows_deleted_total",
                "counter",
                "Rows older than keep_days that were deleted, by table.",
                "table",
                self._deleted,
            ),
        ]

    def _of_the_ledger(self) -> list[Figure]:
        name, at = "holdfast_ledger_", time.monotonic()
        load = None if self._load is None or at - self._load_at > LOAD_SECONDS else self._load
        oldest = None
        if load is not None:
            oldest = 0.0 if self._owed_since is None else round(at - self._owed_since[1], 3)
        return [
            plain(f"{name}outbox_rows", "gauge", "Records owed to Kafka.", None if load is None else load.outbox_rows),
            plain(
                f"{name}outbox_oldest_age_seconds",
                "gauge",
                "How long the oldest record owed has been seen to be owed, at least.",
                oldest,
            ),
            plain(
                f"{name}notification_rows",
                "gauge",
                "Notifications owed to the webhook.",
                None if load is None else load.notification_rows,
            ),
            labelled(
                f"{name}actions",
                "gauge",
                "Actions that are open, by state.",
                "state",
                {} if load is None else load.actions,
            ),
            labelled(
                f"{name}runs",
                "gauge",
                "Runs that are not closed, by state.",
                "state",
                {} if load is None else load.runs,
            ),
        ]

    def _of_recovery(self) -> list[Figure]:
        since = time.monotonic() - LOAD_SECONDS
        seen = {target: slots for target, (slots, at) in self._slots.items() if at > since}
        safe = {target: slots.safe_wal_bytes for target, slots in seen.items()}
        name = "holdfast_recovery_"
        return [
            labelled(
                f"{name}slots", "gauge", "Slots of ours on a target.", "target",
                {target: slots.slots for target, slots in seen.items()},
            ),
            labelled(
                f"{name}slots_endangered", "gauge", "Of them, lost or about to be.", "target",
                {target: len(slots.endangered) for target, slots in seen.items()},
            ),
            labelled(
                f"{name}slots_given_up_total", "counter", "Slots of ours dropped at a limit of the settings.", "target",
                self._slots_given_up,
            ),
            labelled(
                f"{name}slot_retained_bytes", "gauge", "The most WAL that one of our slots keeps on a target.", "target",
                {target: slots.retained_bytes for target, slots in seen.items()},
            ),
            labelled(
                f"{name}slot_safe_bytes", "gauge", "WAL that may still be written until one of our slots is lost.", "target",
                {target: left for target, left in safe.items() if left is not None},
            ),
            labelled(
                f"{name}free_disk_bytes", "gauge", "Free on the disk of a target's WAL, where it is on this machine.", "target",
                {target: slots.free_disk_bytes for target, slots in seen.items() if slots.free_disk_bytes is not None},
            ),
            labelled(
                f"{name}slot_catalog_transactions", "gauge", "Age of the oldest catalog horizon that our slots hold.", "target",
                {target: slots.catalog_transactions for target, slots in seen.items()},
            ),
        ]  # fmt: skip
