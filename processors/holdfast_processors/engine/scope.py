"""When a trigger holds: in its phases, and in its hours of the day (log time)."""

from holdfast_schemas.clock_times import within
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.triggers import Trigger

from .state import Migration, PartitionState


def not_judged(state: PartitionState, migration: Migration, trigger: Trigger) -> str | None:
    """Why the trigger is not judged at the moment, in words; None when it is."""
    if trigger.phases and migration.phase not in trigger.phases:
        return (
            f"{trigger.metric} not judged in phase {migration.phase or '(none)'}, only in {', '.join(trigger.phases)}"
        )
    hours = trigger.between or trigger.not_between
    if hours is None:
        return None
    inside = within(hours, trigger.time_zone, from_milliseconds(state.now or 0))
    if inside == (trigger.between is not None):
        return None
    when = "outside" if trigger.between is not None else "between"
    return f"{trigger.metric} not judged {when} {hours} {trigger.time_zone}"
