"""Protocol 4: the rules are in the log. A version not above the own one is old news; the hash is of the bytes carried."""

from pydantic import ValidationError

from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.triggers import RuleSet, Trigger, rules_hash

from .panes import Panes
from .records import Rejection
from .state import Migration, PartitionState, Target, TriggerState

DEFAULT_WINDOW_SECONDS = 60.0


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
    windows = {t.window_seconds for t in state.rules.triggers if t.metric != "response_time_p95"} | {
        DEFAULT_WINDOW_SECONDS
    }
    migration.panes = {w: migration.panes.get(w) or Panes.of(w) for w in sorted(windows)}
    migration.triggers = {t.id: migration.triggers.get(t.id) or TriggerState() for t in state.rules.triggers}


def prepare_target(state: PartitionState, target: Target) -> None:
    """The same for a target's health."""
    windows = {t.window_seconds for t in state.rules.triggers if t.metric == "response_time_p95"} | {
        DEFAULT_WINDOW_SECONDS
    }
    target.panes = {w: target.panes.get(w) or Panes.of(w) for w in sorted(windows)}


def display_window(state: PartitionState) -> float:
    """The window of the first error_rate trigger: what a migration's figures are shown over."""
    found: list[Trigger] = [t for t in state.rules.triggers if t.metric == "error_rate"]
    return found[0].window_seconds if found else DEFAULT_WINDOW_SECONDS
