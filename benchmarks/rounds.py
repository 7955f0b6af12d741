"""Rounds in which a peer and ours take turns on one machine, and the table of what they measured."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Measured = dict[str, float]
"""Figures of one side in one round, by name."""


@dataclass
class Comparison:
    """One line of the table: a figure of ours against the same of the peer, a value a round."""

    name: str
    unit: str
    aim: str
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Ours over the peer's of the same round: what the machine did to both is in neither."""
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]


def alternate(
    rounds: int, peer: Callable[[], Measured], ours: Callable[[], Measured], say: Callable[[str], None] = print
) -> tuple[list[Measured], list[Measured]]:
    """Run both ``rounds`` times in turn, the order changing each time; (the peer's, ours)."""
    found: tuple[list[Measured], list[Measured]] = ([], [])
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        for side in order:
            found[side].append((peer, ours)[side]())
        shown = ("; ".join(f"{name} {value:,.6g}" for name, value in found[side][-1].items()) for side in (0, 1))
        say(f"round {number + 1} of {rounds}: peer {next(shown)} | ours {next(shown)}")
    return found


def spread(values: Sequence[float]) -> str:
    """``median (least to greatest)``."""
    return f"{_figure(statistics.median(values))} ({_figure(min(values))} to {_figure(max(values))})"


def table(rows: Sequence[Comparison]) -> str:
    """As Markdown, medians with the least and the greatest of the rounds."""
    lines = ["| figure | ours | peer | ratio | aim |", "|---|---|---|---|---|"]
    for row in rows:
        unit = f" {row.unit}" if row.unit else ""
        lines.append(
            f"| {row.name} | {spread(row.ours)}{unit} | {spread(row.peer)}{unit} | {spread(row.ratios)} | {row.aim} |"
        )
    return "\n".join(lines)


def write(path: Path | None, rows: Sequence[Comparison]) -> None:
    """The rounds as JSON, where a file is asked for."""
    if path is not None:
        plain = [{"name": r.name, "unit": r.unit, "aim": r.aim, "ours": r.ours, "peer": r.peer} for r in rows]
        path.write_text(json.dumps(plain, indent=1) + "\n")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
