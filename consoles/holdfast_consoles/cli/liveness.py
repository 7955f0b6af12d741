"""Whether a migration is alive, stuck or dead, with the seconds that say so: from its figures, and from how old these are."""

from dataclasses import dataclass
from typing import Literal

from holdfast_schemas.metrics import MigrationMetrics

from .figures import age
from .situation import Situation

Verdict = Literal["alive", "stuck", "dead", "over", "unknown"]
STALE_SECONDS = 10.0
"""Figures come each second until a run is closed; older ones say nothing about now."""


@dataclass(frozen=True)
class Liveness:
    """``seconds_since_report``: since a worker was last heard. ``seconds_since_progress``: running time since rows moved."""

    verdict: Verdict
    seconds_since_report: float | None
    seconds_since_progress: float | None
    sentence: str


def liveness(one: Situation) -> Liveness:
    """The verdict; unknown, with the reason, where nobody can tell."""
    figures = one.figures
    if figures is None:
        return Liveness("unknown", None, None, "unknown: no report of this run was judged yet")
    progress = figures.seconds_since_progress
    old = max((one.guard.at - figures.updated_at).total_seconds(), 0.0)
    if one.over:
        return Liveness("over", figures.seconds_since_report, progress, f"over: {one.state()}")
    if old > STALE_SECONDS:
        why = f"unknown: its newest figures are {age(old)} old: is holdfast processor running?"
        return Liveness("unknown", None, None, why)
    if not figures.workers:
        return Liveness("unknown", None, progress, "unknown: no worker has reported")
    report = None if figures.seconds_since_report is None else figures.seconds_since_report + old
    verdict: Verdict = "dead" if figures.state == "dead" else "stuck" if figures.state == "stuck" else "alive"
    return Liveness(verdict, report, progress, f"{verdict}: {_why(verdict, figures, report, progress)}")


def _why(verdict: Verdict, figures: MigrationMetrics, report: float | None, progress: float | None) -> str:
    heard = "some time" if report is None else age(report)  # an older release's figures have no seconds
    moved = "some time" if progress is None else age(progress)
    if verdict == "dead":
        return f"no worker was heard for {heard}"
    workers = f"{figures.workers_live} of {figures.workers} workers are heard, the last {heard} ago"
    if verdict == "stuck":
        return f"{workers}, but no row moved for {moved} of running time"
    return f"{workers}; a row moved {moved} of running time ago"
