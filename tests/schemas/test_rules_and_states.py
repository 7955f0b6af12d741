"""The three default triggers, pinned; the transition tables, exhaustively."""

import itertools
from typing import get_args

import pytest
from pydantic import ValidationError

from holdfast_schemas import states
from holdfast_schemas.triggers import (
    DEFAULT_RULES,
    DEFAULT_RULES_HASH,
    DEFAULT_RULES_TEXT,
    METRIC_UNITS,
    OPS,
    Op,
    RuleSet,
    Trigger,
    rules_hash,
)


def test_the_three_default_triggers() -> None:
    assert [(t.metric, t.op, t.threshold, METRIC_UNITS[t.metric], t.action) for t in DEFAULT_RULES.triggers] == [
        ("error_rate", ">", 0.05, "", "pause"),
        ("response_time_p95", ">", 2000.0, "ms", "warn"),
        ("error_rate", ">", 0.1, "", "rollback"),
    ]
    assert {(t.window_seconds, t.for_seconds, t.min_attempted_rows) for t in DEFAULT_RULES.triggers} == {
        (60.0, 0.0, 100)
    }


def test_version_zero_is_the_defaults_as_carried() -> None:
    assert RuleSet.model_validate_json(DEFAULT_RULES_TEXT) == DEFAULT_RULES
    assert rules_hash(DEFAULT_RULES_TEXT) == DEFAULT_RULES_HASH
    assert rules_hash(DEFAULT_RULES_TEXT + " ") != DEFAULT_RULES_HASH


def test_every_metric_has_a_unit_and_every_op_a_meaning() -> None:
    for metric, unit in METRIC_UNITS.items():
        limit = "6h" if metric == "estimated_completion" else 1.0
        assert Trigger(id="t", metric=metric, threshold=limit, action="warn").unit == unit
    assert {op: (compare(1.0, 1.0), compare(2.0, 1.0)) for op, compare in OPS.items()} == {
        ">": (False, True),
        ">=": (True, True),
        "<": (False, False),
        "<=": (True, False),
        "==": (True, False),
        "!=": (False, True),
    }
    assert set(OPS) == set(get_args(Op))


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": "06:00"},
        {"metric": "estimated_completion", "threshold": "soon"},
        {"metric": "run.Depth"},
        {"metric": "other.depth"},
        {"between": "9-17"},
        {"between": "09:00-17:00", "not_between": "12:00-13:00"},
        {"time_zone": "Mars/Olympus"},
        {"targets": ("Not OK",)},
        {"threshold": float("nan")},
        {"metric": "vibes"},
        {"op": "<>"},
        {"window_seconds": 0.0},
        {"id": "Not OK"},
    ],
)
def test_a_trigger_that_cannot_be_judged_is_refused(change: dict[str, object]) -> None:
    good = {"id": "t", "metric": "error_rate", "threshold": 0.05, "action": "warn"}
    Trigger.model_validate(good)
    with pytest.raises(ValidationError):
        Trigger.model_validate({**good, **change})


def test_trigger_ids_are_unique() -> None:
    twice = DEFAULT_RULES.triggers[:1] * 2
    with pytest.raises(ValidationError, match="error-rate-pause"):
        RuleSet(triggers=twice)


def test_tables_name_every_state() -> None:
    assert set(states.ACTION_TRANSITIONS) == {"new", *states.OUTCOMES}
    assert set(states.RUN_TRANSITIONS) == set(states.RUN_STATES)
    assert set(states.DESIRED_TRANSITIONS) == set(get_args(states.Desired))


def test_nothing_follows_a_final_outcome() -> None:
    for was, state in itertools.product(states.OUTCOMES, states.OUTCOMES):
        if states.final(was):
            assert not states.action_may(was, state)
    assert {o for o in states.OUTCOMES if not states.final(o)} == {
        "requested",
        "held",
        "acknowledged",
        "unacknowledged",
    }


def test_every_outcome_can_be_reached_and_every_open_one_left() -> None:
    reached, grown = {"new"}, True
    while grown:
        more = {s for was in reached for s in states.ACTION_TRANSITIONS[was]} | reached  # type: ignore[index]
        grown, reached = more != reached, more
    assert reached == {"new", *states.OUTCOMES}
    for outcome in states.OUTCOMES:
        assert states.final(outcome) == (not states.ACTION_TRANSITIONS[outcome])


def test_no_state_leads_from_a_rollback_back_to_running() -> None:
    assert states.DESIRED_TRANSITIONS["rollback"] == {"rollback", "none"}
    assert not states.desired_may("rollback", "run")
    assert not states.run_may("closed", "live")
    assert states.run_may("live", "finished")
