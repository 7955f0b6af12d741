"""Protocol 4: the rules are in the log. A version not above the own one is old news; the hash is of the bytes carried."""

from collections.abc import Sequence

from pydantic import ValidationError

from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.triggers import RuleSet, Trigger, rules_hash

from .gauges import Gauge
from .panes import Panes
from .records import Rejection
from .rule import panes_key
from .state import Migration, PartitionState, Target, TriggerState

DEFAULT_WINDOW_SECONDS = 60.0
DEFAULT_PANES = str(DEFAULT_WINDOW_SECONDS)


def apply(state: PartitionState, event: TriggersApplied, offset: int) -> Rejection | None:
    """Take newer rules in; a trigger that did not change keeps its memory, a changed one begins anew."""
    if event.version <= state.rules_version:
        return None
    if rules_hash(event.rules) != event.rules_hash:
        return Rejection("rules-hash", f"rules version {event.version}: the hash is not of the bytes carried")
    try:
        rules = RuleSet.model_validate_json(event.rules)
    except ValidationError as error:
        return Rejection("rules-invalid", f"rules version {event.version}: {error.errors()[0]['msg']}")
    unchanged = {trigger.id for trigger in rules.triggers if trigger in state.rules.triggers}
    state.rules, state.rules_version, state.rules_hash = rules, event.version, event.rules_hash
    for migration in state.migrations.values():
        if offset <= migration.offset:
            continue  # protocol 3: a state kept after these rules came has taken them in
        migration.triggers = {i: t for i, t in migration.triggers.items() if i in unchanged}
        prepare(state, migration)
    for target in state.targets.values():
        prepare_target(state, target)
    return None


def prepare(state: PartitionState, migration: Migration) -> None:
    """The panes and trigger states that the rules in force need; those that nothing needs go."""
    own = [t for t in state.rules.triggers if not t.of_target]
    migration.panes = _panes(migration.panes, own, "run.")
    migration.triggers = {t.id: migration.triggers.get(t.id) or TriggerState() for t in state.rules.triggers}


def prepare_target(state: PartitionState, target: Target) -> None:
    """The same for a target's health; a target has no phases."""
    target.panes = _panes(target.panes, [t for t in state.rules.triggers if t.of_target], "target.")


def _panes(kept: dict[str, Panes], triggers: Sequence[Trigger], prefix: str) -> dict[str, Panes]:
    wanted = {DEFAULT_PANES: Panes.of(DEFAULT_WINDOW_SECONDS)}
    for trigger in triggers:
        panes = wanted.setdefault(panes_key(trigger), Panes.of(trigger.window_seconds, trigger.phases))
        if trigger.metric.startswith(prefix):
            panes.gauges[trigger.metric.removeprefix(prefix)] = Gauge()
    for key in wanted.keys() & kept.keys():
        gauges = {name: kept[key].gauges.get(name) or gauge for name, gauge in wanted[key].gauges.items()}
        wanted[key] = kept[key]
        wanted[key].gauges = gauges
    return dict(sorted(wanted.items()))


def display_trigger(state: PartitionState) -> Trigger | None:
    """The first error_rate trigger of all phases: a migration's figures are shown over its window."""
    return next((t for t in state.rules.triggers if t.metric == "error_rate" and not t.phases), None)


def display_window(state: PartitionState) -> float:
    """The window that a migration's figures are shown over, in seconds."""
    found = display_trigger(state)
    return found.window_seconds if found is not None else DEFAULT_WINDOW_SECONDS


def display_panes(state: PartitionState, migration: Migration) -> Panes:
    """The panes of that window."""
    return migration.panes[str(display_window(state))]
