"""Six figures of the actuator, in Prometheus' text format, and whether it is ready."""

import time

READY_SECONDS = 10.0


class Figures:
    """Counts since the start."""

    def __init__(self) -> None:
        self.relayed = 0
        self._taken: dict[str, int] = {}
        self._notifications = dict.fromkeys(("sent", "retried", "given_up", "failed"), 0)
        self._deleted = dict.fromkeys(("action", "run", "worker"), 0)
        self._partitions = 0
        self._renewed = 0
        self._ledger_missing: str | None = "not connected yet"
        self._beat_at: float | None = None

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

    def beat(self, partitions: int, renewed: int, ledger_missing: str | None) -> None:
        """A beat went out to each partition."""
        self._partitions, self._renewed, self._ledger_missing = partitions, renewed, ledger_missing
        self._beat_at = time.monotonic()

    def not_ready(self) -> str | None:
        """What is missing, None when ready: a writable ledger, partitions, a recent beat."""
        if self._ledger_missing is not None:
            return f"ledger: {self._ledger_missing}"
        if self._beat_at is None or time.monotonic() - self._beat_at > READY_SECONDS:
            return "no beat lately"
        return None if self._partitions else "no partition is assigned yet"

    def text(self) -> str:
        """The figures as /metrics shows them."""
        rows = [
            ("holdfast_actuator_records_relayed_total", "counter", "Records sent from the outbox.", self.relayed),
            ("holdfast_actuator_partitions", "gauge", "Partitions assigned.", self._partitions),
            ("holdfast_actuator_leases_renewed", "gauge", "Guard leases renewed at the last beat.", self._renewed),
            (
                "holdfast_actuator_ledger_writable",
                "gauge",
                "1 when the last beat was written.",
                int(self._ledger_missing is None),
            ),
        ]
        lines = [f"# HELP {n} {h}\n# TYPE {n} {t}\n{n} {v}\n" for n, t, h, v in rows]
        name = "holdfast_actuator_records_taken_total"
        lines.append(f"# HELP {name} Records taken in, by topic.\n# TYPE {name} counter\n")
        lines += [f'{name}{{topic="{topic}"}} {count}\n' for topic, count in sorted(self._taken.items())]
        name = "holdfast_actuator_notifications_total"
        lines.append(f"# HELP {name} Tries of notifications, by what became of them.\n# TYPE {name} counter\n")
        lines += [f'{name}{{result="{result}"}} {count}\n' for result, count in self._notifications.items()]
        name = "holdfast_actuator_ledger_rows_deleted_total"
        lines.append(f"# HELP {name} Rows older than keep_days that were deleted, by table.\n# TYPE {name} counter\n")
        lines += [f'{name}{{table="{table}"}} {count}\n' for table, count in self._deleted.items()]
        return "".join(lines)
