"""A migration's row on the live view, as text. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast_schemas.metrics import Estimate, MigrationMetrics, TriggerReading
from holdfast_schemas.triggers import SEVERITY

from .figures import age, figure
from .liveness import liveness
from .situation import Situation

GRAVITY = {"tripped": 3, "breach": 2, "missing": 1}
"""How bad a trigger's reading is; of two alike the one with the severer action is shown."""


@dataclass(frozen=True)
class Row:
    """A migration's cells, as text."""

    name: str
    state: str
    progress: str
    rate: str
    ends: str
    trigger: str
    guard: str


def ordered(found: Sequence[Situation]) -> list[Situation]:
    """What goes on first, by id; then what is over, the newest end first."""
    over = [one for one in found if one.over]
    over.sort(key=lambda one: one.figures.updated_at if one.figures else datetime.min.replace(tzinfo=UTC), reverse=True)
    return [one for one in found if not one.over] + over


def row(one: Situation, at: datetime, short: bool = False) -> Row:
    """One migration's row at ``at``; ``short`` leaves out the total, the estimate's range and the verdict."""
    figures = one.figures
    guard = "–" if one.over else "OBSERVED" if one.observed_only else one.guard.word
    if figures is None:
        return Row(one.name, one.state(), "no report yet", "", "", "", guard)
    over = one.over
    return Row(
        one.name,
        _state(one),
        _progress(figures, short),
        "" if over else figure(figures.rows_per_second),
        ""
        if figures.estimate.expected is None and (over or figures.state == "dead")
        else _ends(figures.estimate, at, short),
        "" if over else _worst(figures.triggers, short),
        guard,
    )


def _state(one: Situation) -> str:
    """The state, with the seconds where nothing is heard or moves, and a word where the figures are too old to know."""
    found = liveness(one)
    seconds = {"dead": found.seconds_since_report, "stuck": found.seconds_since_progress}.get(found.verdict)
    since = "" if seconds is None else f" {age(seconds)}"
    return f"{one.state()}{since}" + (", stale" if found.verdict == "unknown" else "")


def _progress(figures: MigrationMetrics, short: bool) -> str:
    done = figures.rows_already_done + figures.rows_processed
    if figures.total_rows is None:
        return f"{done:,} rows"
    share = f"{100 * done / figures.total_rows:.1f} %" if figures.total_rows else f"{done:,} rows"
    return share if short else f"{share} of {figures.total_rows:,}"


def _ends(found: Estimate, at: datetime, short: bool) -> str:
    if found.expected is None:
        return found.state.replace("_", " ")
    if found.state == "done":
        return f"ended {_short(found.expected, at)}"
    earliest = "now" if found.earliest is None else _short(found.earliest, at)
    latest = "open" if found.latest is None else _short(found.latest, at)
    expected = _short(found.expected, at)
    return expected if short or earliest == expected == latest else f"{expected} ({earliest}–{latest})"


def _short(then: datetime, at: datetime) -> str:
    then = then.astimezone(UTC)
    return f"{then:%H:%M}" if then.date() == at.astimezone(UTC).date() else f"{then:%b %d %H:%M}"


def _worst(triggers: Sequence[TriggerReading], short: bool) -> str:
    """The gravest verdict, or just its reading; where none is grave, how many triggers read what."""
    if not triggers:
        return "no trigger"
    worst = max(triggers, key=lambda one: (GRAVITY.get(one.reading, 0), SEVERITY[one.action]))
    if worst.reading in GRAVITY:
        return f"{worst.action}: {worst.reading if short else worst.verdict}"
    return ", ".join(
        f"{number} {reading.replace('_', ' ')}"
        for reading, number in Counter(t.reading for t in triggers).most_common()
    )
