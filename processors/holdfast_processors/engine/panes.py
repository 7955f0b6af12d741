"""Sliding windows from panes of a twelfth: three windows (a sixth, one, five) are sums over the same panes.

Panes are aligned to log time, so every processor that reads the log cuts them at the same records. A report is in the pane
of its log time, whatever interval it covers: one that an outage held back counts when the broker had it (its rows are judged
late, never lost, and the engine needs no clock but the log's).
"""

from dataclasses import dataclass, field
from typing import Any

from holdfast_schemas.sketch import Buckets, LatencySketch, merge
from holdfast_schemas.triggers import WINDOW_PANES

from .gauges import Gauge
from .packed_sketch import PackedSketch, merge_packed, pack, unpack

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

    def packed(self) -> tuple[int, ...]:
        """The sums in the order of the fields."""
        return (
            self.n, self.k, self.kk, self.kn, self.nn, self.reports, self.rows, self.busy_microseconds, self.active_ms
        )  # fmt: skip


@dataclass(slots=True)
class Panes:
    """The panes of one window length; only panes in which something happened exist."""

    width_ms: int
    phases: tuple[str, ...] = ()
    """Only what was reported in these phases is in them; empty: in any."""
    counts: dict[int, Pane] = field(default_factory=dict)
    older: dict[int, Pane] = field(default_factory=dict)
    sketches: dict[int, "Buckets | PackedSketch"] = field(default_factory=dict)
    """Of the newest pane live, of those before it packed: a tenth of the memory."""
    gauges: dict[str, Gauge] = field(default_factory=dict)
    """Of each custom figure that a trigger asks for, by its name."""
    _totals_at: int = -1
    _totals: dict[int, Pane] = field(default_factory=dict)
    """The sums that were asked for, by their panes, as long as they end in pane ``_totals_at``: kept in step."""
    _sampled: int = -1
    _samples: Buckets = field(default_factory=dict)
    """The same for the latencies."""

    @classmethod
    def of(cls, window_seconds: float, phases: tuple[str, ...] = ()) -> "Panes":
        return cls(max(1, round(window_seconds * 1000 / WINDOW_PANES)), phases)

    def add(self, now_ms: int, more: Pane) -> None:
        """Add to this moment's pane; what left the window is made coarse, what no window reaches is let go."""
        index = now_ms // self.width_ms
        pane = self.counts.get(index)
        if pane is None:
            self._age(index)
            self._totals_at = (
                -1
            )  # aging rounds the slow window's edge: a sum from before would not be met again in a replay
            pane = self.counts[index] = Pane()
        pane.add(more)
        for total in self._totals.values() if index == self._totals_at else ():
            total.add(more)

    def add_active(self, now_ms: int, milliseconds: int) -> None:
        """Add active time to this moment's pane."""
        index = now_ms // self.width_ms
        if index == self._totals_at and (pane := self.counts.get(index)) is not None:
            pane.active_ms += milliseconds
            for total in self._totals.values():
                total.active_ms += milliseconds
        else:
            self.add(now_ms, Pane(active_ms=milliseconds))

    def sample(self, now_ms: int, sketch: LatencySketch) -> None:
        """Add latencies to this moment's pane; those that left the window are let go."""
        index = now_ms // self.width_ms
        kept = self.sketches.get(index)
        if not isinstance(kept, dict):
            self.sketches = {
                i: pack(b) if isinstance(b, dict) else b for i, b in self.sketches.items() if i > index - WINDOW_PANES
            }
            kept = self.sketches[index] = {} if kept is None else unpack(kept)
        sketch.merge_into(kept)
        if index == self._sampled:
            sketch.merge_into(self._samples)

    def gauge(self, now_ms: int, figures: dict[str, float]) -> None:
        """Take the figures in that a trigger asks for."""
        for name, gauge in self.gauges.items():
            if (value := figures.get(name)) is not None:
                gauge.add(now_ms // self.width_ms, value)

    def _age(self, index: int) -> None:
        for old in [i for i in self.counts if i <= index - WINDOW_PANES]:
            self.older.setdefault(old // COARSE, Pane()).add(self.counts.pop(old))
        for old in [i for i in self.older if (i + 1) * COARSE <= index - SLOW_PANES + 1]:
            del self.older[old]

    def total(self, now_ms: int, panes: int = WINDOW_PANES) -> Pane:
        """The sums over the newest ``panes`` panes up to this moment; not to be changed."""
        last = now_ms // self.width_ms
        if last != self._totals_at:
            self._totals, self._totals_at = {}, last
        elif (known := self._totals.get(panes)) is not None:
            return known
        first = last - panes
        total = self._totals[panes] = Pane()
        for index, pane in self.counts.items():
            if index > first:
                total.add(pane)
        if panes > WINDOW_PANES:
            for index, pane in self.older.items():
                if (index + 1) * COARSE > first + 1:
                    total.add(pane)
        return total

    def samples(self, now_ms: int, panes: int = WINDOW_PANES) -> Buckets:
        """The latencies of the newest ``panes`` panes, merged; not to be changed."""
        if panes != WINDOW_PANES:
            return self._merged(now_ms, panes)
        index = now_ms // self.width_ms
        if index != self._sampled:
            self._samples, self._sampled = self._merged(now_ms, panes), index
        return self._samples

    def _merged(self, now_ms: int, panes: int) -> Buckets:
        first = now_ms // self.width_ms - panes
        merged: Buckets = {}
        for index, kept in self.sketches.items():
            if index > first:
                merge(merged, kept) if isinstance(kept, dict) else merge_packed(merged, kept)
        return merged

    def empty(self) -> None:
        """Forget everything: a resume starts its windows anew (protocol 15)."""
        self.counts.clear()
        self.older.clear()
        self.sketches.clear()
        self.gauges = {name: Gauge() for name in self.gauges}
        self._totals_at = self._sampled = -1

    def packed(self) -> list[Any]:
        """As plain arrays: the smallest JSON that is still read by eye."""
        return [
            self.width_ms,
            [[i, *p.packed()] for i, p in self.counts.items()],
            [[i, *p.packed()] for i, p in self.older.items()],
            [[i, list(b), list(b.values())] for i, b in ((i, _live(b)) for i, b in self.sketches.items())],
            self.phases,
            {name: gauge.packed() for name, gauge in self.gauges.items()},
        ]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> "Panes":
        """The inverse of ``packed``; state version 1 had neither phases nor gauges."""
        width_ms, counts, older, sketches, phases, gauges = packed if len(packed) > 4 else (*packed, (), {})
        return cls(
            width_ms,
            tuple(phases),
            {i: Pane(*sums) for i, *sums in counts},
            {i: Pane(*sums) for i, *sums in older},
            {i: pack(dict(zip(buckets, n, strict=True))) for i, buckets, n in sketches},
            {name: Gauge.unpacked(values) for name, values in gauges.items()},
        )


def _live(sketch: "Buckets | PackedSketch") -> Buckets:
    return sketch if isinstance(sketch, dict) else unpack(sketch)
