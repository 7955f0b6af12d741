"""Sliding windows from panes of a twelfth: three windows (a sixth, one, five) are sums over the same panes.

Panes are aligned to log time, so every processor that reads the log cuts them at the same records. A report is in the pane
of its log time, whatever interval it covers: one that an outage held back counts when the broker had it (its rows are judged
late, never lost, and the engine needs no clock but the log's).
"""

from dataclasses import astuple, dataclass, field
from typing import Any

from holdfast_schemas.sketch import Buckets, merge
from holdfast_schemas.triggers import WINDOW_PANES

FAST_PANES = WINDOW_PANES // 6
SLOW_PANES = WINDOW_PANES * 5
COARSE = 5
"""Panes in one coarse pane: what only the slow window still reaches. Its far edge is exact to one of these."""


@dataclass(slots=True)
class Pane:
    """Sums over the reports of one pane: n rows attempted, k failed, k², kn, n² and reports for the evidence gate."""

    n: int = 0
    k: int = 0
    kk: int = 0
    kn: int = 0
    nn: int = 0
    reports: int = 0
    rows: int = 0
    busy_microseconds: int = 0
    active_ms: int = 0

    def add(self, other: "Pane") -> None:
        """Add another pane's sums, in place."""
        self.n += other.n
        self.k += other.k
        self.kk += other.kk
        self.kn += other.kn
        self.nn += other.nn
        self.reports += other.reports
        self.rows += other.rows
        self.busy_microseconds += other.busy_microseconds
        self.active_ms += other.active_ms


@dataclass(slots=True)
class Panes:
    """The panes of one window length; only panes in which something happened exist."""

    width_ms: int
    counts: dict[int, Pane] = field(default_factory=dict)
    older: dict[int, Pane] = field(default_factory=dict)
    sketches: dict[int, Buckets] = field(default_factory=dict)

    @classmethod
    def of(cls, window_seconds: float) -> "Panes":
        return cls(width_ms=max(1, round(window_seconds * 1000 / WINDOW_PANES)))

    def at(self, now_ms: int) -> Pane:
        """The pane of this moment; what left the window is made coarse, what no window reaches is let go."""
        index = now_ms // self.width_ms
        pane = self.counts.get(index)
        if pane is None:
            self._age(index)
            pane = self.counts[index] = Pane()
        return pane

    def sample(self, now_ms: int, buckets: Buckets) -> None:
        """Add latencies to this moment's pane; those that left the window are let go."""
        index = now_ms // self.width_ms
        if index not in self.sketches:
            for old in [i for i in self.sketches if i <= index - WINDOW_PANES]:
                del self.sketches[old]
        merge(self.sketches.setdefault(index, {}), buckets)

    def _age(self, index: int) -> None:
        for old in [i for i in self.counts if i <= index - WINDOW_PANES]:
            self.older.setdefault(old // COARSE, Pane()).add(self.counts.pop(old))
        for old in [i for i in self.older if (i + 1) * COARSE <= index - SLOW_PANES + 1]:
            del self.older[old]

    def total(self, now_ms: int, panes: int = WINDOW_PANES) -> Pane:
        """The sums over the newest ``panes`` panes up to this moment."""
        first = now_ms // self.width_ms - panes
        total = Pane()
        for index, pane in self.counts.items():
            if index > first:
                total.add(pane)
        if panes > WINDOW_PANES:
            for index, pane in self.older.items():
                if (index + 1) * COARSE > first + 1:
                    total.add(pane)
        return total

    def samples(self, now_ms: int, panes: int = WINDOW_PANES) -> Buckets:
        """The latencies of the newest ``panes`` panes, merged."""
        first = now_ms // self.width_ms - panes
        merged: Buckets = {}
        for index, buckets in self.sketches.items():
            if index > first:
                merge(merged, buckets)
        return merged

    def empty(self) -> None:
        """Forget everything: a resume starts its windows anew (protocol 15)."""
        self.counts.clear()
        self.older.clear()
        self.sketches.clear()

    def packed(self) -> list[Any]:
        """As plain arrays: the smallest JSON that is still read by eye."""
        return [
            self.width_ms,
            [[i, *astuple(p)] for i, p in self.counts.items()],
            [[i, *astuple(p)] for i, p in self.older.items()],
            [[i, list(b), list(b.values())] for i, b in self.sketches.items()],
        ]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> "Panes":
        """The inverse of ``packed``."""
        width_ms, counts, older, sketches = packed
        return cls(
            width_ms,
            {i: Pane(*sums) for i, *sums in counts},
            {i: Pane(*sums) for i, *sums in older},
            {i: dict(zip(buckets, n, strict=True)) for i, buckets, n in sketches},
        )
