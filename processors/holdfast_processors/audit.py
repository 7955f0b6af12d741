"""The audit trail against the decisions: one outcome a decision, epochs that only rise, no effect twice."""

from collections.abc import Iterable, Sequence

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.states import final


def audit_faults(decisions: Iterable[Decision], actions: Sequence[ActionRecorded]) -> list[str]:
    """What is wrong with what became of these decisions; ``actions`` in the order of their topic, repeats included."""
    trail = list({action.identity(): action for action in actions}.values())
    return [*_decisions_without_action(decisions, trail), *_two_endings(trail), *_epochs(trail), *_twice(trail)]


def _decisions_without_action(decisions: Iterable[Decision], trail: list[ActionRecorded]) -> list[str]:
    heard = {action.cause_id for action in trail}
    return [
        f"{d.migration_id}: decision {d.decision_id} ({d.trigger_id}: {d.verdict}) has no action"
        for d in decisions
        if d.trigger_mode == "enforce" and d.decision_id not in heard
    ]


def _two_endings(trail: list[ActionRecorded]) -> list[str]:
    endings: dict[str, list[str]] = {}
    for action in trail:
        if final(action.outcome):
            endings.setdefault(action.cause_id, []).append(action.outcome)
    return [f"cause {cause} ended {len(e)} times: {', '.join(e)}" for cause, e in endings.items() if len(e) > 1]


def _epochs(trail: list[ActionRecorded]) -> list[str]:
    """A cause keeps the epoch that it set; a later cause of the same migration sets a higher one."""
    faults, newest, causes = [], dict[str, int](), dict[tuple[str, int], str]()
    for action in trail:
        if action.epoch is None or action.migration_id is None:
            continue
        place = (action.migration_id, action.epoch)
        owner = causes.setdefault(place, action.cause_id)
        if owner != action.cause_id:
            faults.append(f"{action.migration_id}: epoch {action.epoch} set by {owner} and by {action.cause_id}")
        elif action.revision == 1 and action.epoch < newest.get(action.migration_id, 0):
            faults.append(f"{action.migration_id}: epoch {action.epoch} set after {newest[action.migration_id]}")
        newest[action.migration_id] = max(newest.get(action.migration_id, 0), action.epoch)
    return faults


def _twice(trail: list[ActionRecorded]) -> list[str]:
    effects: dict[tuple[str, int], int] = {}
    for action in trail:
        if action.outcome == "effective" and action.epoch is not None:
            place = (action.cause_id, action.epoch)
            effects[place] = effects.get(place, 0) + 1
    return [f"cause {c} took effect {n} times at epoch {e}" for (c, e), n in effects.items() if n > 1]
