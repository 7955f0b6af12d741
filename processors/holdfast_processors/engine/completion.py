"""``estimated_completion`` as a signal: the estimated end against a moment, in seconds from the run's start."""

from datetime import datetime

from holdfast_schemas.clock_times import completion_limit, time_zone
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.triggers import OPS, Trigger

from . import verdicts
from .estimator import estimate
from .rules import display_window
from .seen import Seen
from .state import Migration, PartitionState


def completion(state: PartitionState, migration: Migration, trigger: Trigger) -> Seen:
    """The estimate's expected end against the limit; a run that is past its limit will end after it, estimate or not."""
    now, started = from_milliseconds(state.now or 0), from_milliseconds(migration.started_ms)
    limit = completion_limit(trigger.threshold, trigger.time_zone, started)
    found = estimate(state, migration)
    expected = found.expected
    if expected is None:
        if now <= limit:
            return Seen("no_data", lambda: f"{trigger.metric} has no estimate ({found.state.replace('_', ' ')})")
        expected = now
    observed, by = (expected - started).total_seconds(), limit_seconds(trigger, migration)
    breach = OPS[trigger.op](observed, by)

    def words() -> str:
        zone = trigger.time_zone
        if found.expected is None:
            note = "the limit is past and the run is not complete"
        else:
            ends = [at and _shown(at, limit, zone) for at in (found.earliest, found.latest)]
            note = f"between {ends[0] or 'now'} and {ends[1] or 'open'}"
        shown, against = _shown(expected, limit, zone), f"{_shown(limit, expected, zone)} {zone}"
        return verdicts.completed_by(trigger, shown, against, display_window(state), note, breach=breach)

    return Seen("breach" if breach else "ok", words, observed)


def limit_seconds(trigger: Trigger, migration: Migration) -> float:
    """The trigger's limit as seconds from the run's start."""
    started = from_milliseconds(migration.started_ms)
    return (completion_limit(trigger.threshold, trigger.time_zone, started) - started).total_seconds()


def threshold_of(trigger: Trigger, migration: Migration) -> float:
    """The threshold as the number that records carry."""
    return limit_seconds(trigger, migration) if trigger.metric == "estimated_completion" else trigger.limit


def _shown(at: datetime, beside: datetime, zone: str) -> str:
    """A moment's time of day; with its day where the other moment is on another."""
    local, other = at.astimezone(time_zone(zone)), beside.astimezone(time_zone(zone))
    return f"{local:%H:%M:%S}" if local.date() == other.date() else f"{local:%Y-%m-%d %H:%M:%S}"
