"""A custom figure over a window: of each pane how many values, their sum, least, greatest and newest."""

from dataclasses import dataclass, field
from typing import Any

from holdfast_schemas.triggers import WINDOW_PANES, Aggregate


@dataclass(slots=True)
class Gauge:
    """Values by pane: [how many, sum, least, greatest, newest]."""

    panes: dict[int, list[float]] = field(default_factory=dict)

    def add(self, index: int, value: float) -> None:
        """Take one value in; panes that left the window are let go."""
        pane = self.panes.get(index)
        if pane is None:
            for old in [i for i in self.panes if i <= index - WINDOW_PANES]:
                del self.panes[old]
            self.panes[index] = [1, value, value, value, value]
            return
        pane[0] += 1
        pane[1] += value
        pane[2], pane[3], pane[4] = min(pane[2], value), max(pane[3], value), value

    def over(self, index: int, panes: int, aggregate: Aggregate) -> tuple[float | None, int]:
        """What ``aggregate`` makes of the newest ``panes`` panes, and of how many values; None of none."""
        within = [(i, p) for i, p in self.panes.items() if i > index - panes]
        if not within:
            return None, 0
        n = sum(round(p[0]) for _, p in within)
        match aggregate:
            case "mean":
                return sum(p[1] for _, p in within) / n, n
            case "min":
                return min(p[2] for _, p in within), n
            case "max":
                return max(p[3] for _, p in within), n
            case "last":
                return max(within)[1][4], n

    def packed(self) -> list[Any]:
        """As plain arrays."""
        return [[i, *p] for i, p in self.panes.items()]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> "Gauge":
        """The inverse of ``packed``."""
        return cls({i: list(values) for i, *values in packed})
