"""The demo on a terminal: one line that moves for the progress, plain lines for everything that happened."""

import sys
import time
from typing import TextIO

from rich.console import Console

from holdfast_schemas.metrics import MigrationMetrics

from .report import decision_reports
from .story import Story

PLAIN_EVERY_SECONDS = 2.0


class Live:
    """Prints what is new in the story. On a terminal the progress stays in one line; elsewhere it is printed every 2 s."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._console = Console(file=out or sys.stdout, highlight=False, soft_wrap=True)
        self._terminal = self._console.is_terminal
        self._status = self._console.status("") if self._terminal else None
        self._started = time.monotonic()
        self._printed = 0.0
        self._told: set[str] = set()
        if self._status:
            self._status.start()

    def say(self, text: str, style: str | None = None) -> None:
        """One line, with the seconds since the start before it."""
        self._console.print(f"{time.monotonic() - self._started:6.1f} s  {text}", style=style, markup=False)

    def close(self) -> None:
        """Take the moving line away."""
        if self._status:
            self._status.stop()
            self._status = None

    def show(self, story: Story) -> None:
        """What is new: progress, verdicts, outcomes."""
        if story.metrics is not None:
            self._progress(story.metrics)
        for received in story.decisions:
            decision = received.record
            if decision.decision_id not in self._told:
                self._told.add(decision.decision_id)
                by = " (a severer one on the same event acts)" if decision.superseded_by else ""
                self.say(f"{decision.trigger_id}: {decision.verdict} → {decision.action}{by}", "bold yellow")
        for action in story.actions:
            record = action.record
            if record.identity() not in self._told and record.kind in ("pause", "resume", "rollback", "warn"):
                self._told.add(record.identity())
                at = f" at epoch {record.epoch}" if record.epoch is not None else ""
                self.say(f"{record.kind} {record.outcome}{at}, by {record.actor}{_because(record.reason)}", "cyan")

    def times(self, story: Story) -> None:
        """Each decision's way through the loop, in milliseconds."""
        for report in decision_reports(story):
            if report.outcome != "effective":
                self.say(f"{report.trigger_id}: {report.outcome}")
                continue
            self.say(
                f"{report.trigger_id}: breach → decision {_ms(report.breach_to_decision_ms)}, "
                f"decision → acknowledged {_ms(report.decision_to_acknowledged_ms)}, "
                f"→ effective {_ms(report.decision_to_effective_ms)}"
            )

    def _progress(self, m: MigrationMetrics) -> None:
        line = progress_line(m)
        if self._status:
            self._status.update(line)
        elif time.monotonic() - self._printed >= PLAIN_EVERY_SECONDS and line not in self._told:
            self._printed = time.monotonic()
            self.say(line)


def progress_line(m: MigrationMetrics) -> str:
    """A migration in one line: state, progress, pace, error rate, and the estimate with its range."""
    share = f" of {m.total_rows:,} ({m.rows_processed / m.total_rows:.0%})" if m.total_rows else ""
    pace = "no pace yet" if m.rows_per_second is None else f"{m.rows_per_second:,.0f} rows/s"
    rate = "no error rate yet" if m.error_rate is None else f"error_rate {m.error_rate:.3f}"
    undone = f", {m.rows_undone:,} rows undone" if m.rows_undone else ""
    return f"{m.migration_id}#{m.applied_epoch} {m.state}: {m.rows_processed:,}{share}, {pace}, {rate}{undone}, {_estimate(m)}"


def _estimate(m: MigrationMetrics) -> str:
    e = m.estimate
    if e.expected is None or e.state == "done":
        return f"estimate {e.state}"
    left = (e.expected - m.updated_at).total_seconds()
    earliest = (e.earliest - m.updated_at).total_seconds() if e.earliest else left
    latest = f"{(e.latest - m.updated_at).total_seconds():.0f}" if e.latest else "?"
    return f"done in {left:.0f} s ({earliest:.0f} to {latest})"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _ms(value: int | None) -> str:
    return "not seen" if value is None else f"{value} ms"
