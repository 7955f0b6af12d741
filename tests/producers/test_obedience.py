"""Orders: higher obeyed, equal acknowledged again, lower refused; own run only, or a newer run's start."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_producers.obedience import Obedience
from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.record import now

OWN, OTHER, ME, COLLEAGUE = (f"01a20000-0000-7000-8000-00000000000{digit}" for digit in "1234")


def state(epoch: int, desired: str = "run", **changes: Any) -> DesiredState:
    fields: dict[str, Any] = {
        "migration_id": "m",
        "run_id": OWN,
        "epoch": epoch,
        "start_epoch": 5,
        "resumed_epoch": 5,
        "desired": desired,
        "set_by": "trigger:x",
        "reason": "r",
        "occurred_at": now(),
    }
    return DesiredState(**fields | changes)


def granted(can_undo: bool = True) -> Obedience:
    obedience = Obedience(OWN, ME, can_undo)
    obedience.grant(state(5))
    obedience.apply()
    return obedience


@pytest.mark.parametrize(
    ("heard", "result", "verdict"),
    [
        (state(6, "pause"), "obeyed", "wait"),
        (state(5, "pause"), "equal", "go"),
        (state(4, "pause"), "refused", "go"),
        (state(6, "throttle"), "obeyed", "go"),
        (state(6, "none"), "obeyed", "stop"),
        (state(6, "rollback"), "obeyed", "wait"),
        (state(6, "rollback", undo_by=ME, undo_token=1), "obeyed", "undo"),
        (state(6, "rollback", undo_by=COLLEAGUE, undo_token=1), "obeyed", "stop"),
        (state(9, "pause", run_id=OTHER, start_epoch=5), "ignored", "go"),
        (state(9, "pause", run_id=OTHER, start_epoch=3), "ignored", "go"),
        (state(9, "run", run_id=OTHER, start_epoch=9), "fenced", "fenced"),
    ],
)
def test_what_is_heard_and_what_follows(heard: DesiredState, result: str, verdict: str) -> None:
    obedience = granted()
    assert obedience.hear(heard) == result
    assert obedience.verdict() == verdict


def test_a_worker_that_cannot_undo_stops_at_a_rollback() -> None:
    obedience = granted(can_undo=False)
    obedience.hear(state(6, "rollback"))
    assert obedience.verdict() == "stop"


def test_one_token_is_handed_out_once_and_a_higher_one_again() -> None:
    obedience = granted()
    obedience.hear(state(6, "rollback", undo_by=ME, undo_token=1))
    obedience.undo_tokens.add(1)
    assert obedience.verdict() == "stop"
    assert obedience.may_undo(1)
    obedience.hear(state(7, "rollback", undo_by=ME, undo_token=2))
    assert obedience.verdict() == "undo"
    assert not obedience.may_undo(1)


@pytest.mark.parametrize(
    ("run_id", "epoch", "heard", "verdict"),
    [(OWN, 5, "obeyed", "stop"), (OWN, 9, "obeyed", "stop"), (OWN, 4, "refused", "go"), (OTHER, 9, "ignored", "go")],
)
def test_a_tombstone_stops_only_its_own_run_at_an_epoch_not_below_its_own(
    run_id: str, epoch: int, heard: str, verdict: str
) -> None:
    obedience = granted()
    assert obedience.hear_close(run_id, epoch) == heard
    assert obedience.verdict() == verdict


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(["run", "pause"])), max_size=30))
def test_in_any_order_and_however_often_the_highest_epoch_stands(heard: list[tuple[int, str]]) -> None:
    obedience, first = granted(), {5: "run"}
    for epoch, desired in heard:
        obedience.hear(state(epoch, desired))
        first.setdefault(epoch, desired)
    assert obedience.state is not None
    assert obedience.state.epoch == max(5, *(epoch for epoch, _ in heard), 0)
