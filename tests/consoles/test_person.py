"""`pause`, `resume`, `rollback`, `override`: what is sent, what is waited for, and each exit code."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from holdfast_consoles.cli import person
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.desired_state import DesiredState, Recovering
from holdfast_schemas.record import now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.states import Outcome
from holdfast_schemas.transport import topics
from tests.consoles.actuator_stand_in import Answer, answering, outcomes
from tests.consoles.conftest import Holdfast, Log
from tests.schemas.samples import RUN

pytestmark = pytest.mark.kafka


def known(log: Log, migration_id: str, epoch: int = 4) -> None:
    log.write(
        topics.control,
        DesiredState(
            migration_id=migration_id, run_id=RUN, epoch=epoch, start_epoch=3, resumed_epoch=3, desired="pause",
            set_by="trigger:error-rate-pause", reason="error_rate 0.083 > 0.05", occurred_at=now(),
        ),
    )  # fmt: skip


def test_a_pause_is_sent_whole_and_waits_until_it_is_effective(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    known(log, migration_id)
    with answering(log.kafka, outcomes(("requested", ""), ("effective", "all stopped"), epoch=5)) as heard:
        ran = holdfast("pause", migration_id, "--reason", "lunch", "--actor", "ana@db", "--for", "30m")
    assert (ran.code, ran.err) == (0, "")
    assert f"pause of {migration_id}#5 is effective: all stopped" in ran.out
    [request] = [r for r in heard if r.migration_id == migration_id]
    assert (request.kind, request.actor, request.reason, request.expected_epoch) == ("pause", "ana@db", "lunch", None)
    assert request.until is not None
    assert (request.until - request.occurred_at).total_seconds() == 1_800


def test_a_resume_carries_the_epoch_that_was_seen(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    known(log, migration_id)
    with answering(log.kafka, outcomes(("already", ""))) as heard:
        ran = holdfast("resume", f"{migration_id}#4", "--reason", "mended", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["outcome"] == "already"
    [request] = [r for r in heard if r.migration_id == migration_id]
    assert request.expected_epoch == 4
    assert re.fullmatch(r".+@.+", request.actor), "this user at this host"


def test_a_moved_epoch_is_refused_with_the_ledgers_words(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    known(log, migration_id)
    with answering(log.kafka, outcomes(("refused", "now #9: rollback by error_rate 3 s ago"))):
        ran = holdfast("resume", f"{migration_id}#4", "--reason", "mended")
    assert ran.code == 3
    assert ran.err == f"holdfast: resume of {migration_id} was refused: now #9: rollback by error_rate 3 s ago\n"


def test_no_answer_in_time_is_exit_6(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    known(log, migration_id)
    ran = holdfast("pause", migration_id, "--reason", "lunch", "--wait", "300ms")
    assert ran.code == 6
    assert "is holdfast actuator running?" in ran.err


def test_requested_only_is_exit_6_and_says_so(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    known(log, migration_id)
    with answering(log.kafka, outcomes(("requested", "1 of 2 workers"))):
        ran = holdfast("pause", migration_id, "--reason", "lunch", "--wait", "2s")
    assert ran.code == 6
    assert "so far it is requested (1 of 2 workers)" in ran.err


def test_a_rollback_is_done_when_every_worker_stopped(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    known(log, migration_id)
    with answering(log.kafka, outcomes(("requested", ""), ("acknowledged", ""), epoch=5)):
        ran = holdfast("rollback", f"{migration_id}#4", "--reason", "wrong rates")
    assert ran.code == 0
    assert "every worker stopped, the undo goes on" in ran.out


def from_the_log(migration_id: str, *last: tuple[Outcome, str], steps: int = 5) -> Answer:
    """A dead worker's rollback: not acknowledged, then taken back from the log, which takes longer than the wait."""

    def answer(request: PersonRequest) -> Iterator[ActionRecorded | DesiredState]:
        if request.migration_id != migration_id:
            return  # another test's
        first, *others = outcomes(("requested", ""), ("unacknowledged", ""), *last, epoch=5)(request)
        assert isinstance(first, ActionRecorded)
        yield first
        yield first.model_copy(update={"cause_id": f"{request.request_id}/log/1", "kind": "undo"})
        for left in range(steps, 0, -1):
            time.sleep(0.6)
            progress = Recovering(state="undoing", rows_undone=left, steps=6, steps_left=left, reported_at=now())
            yield DesiredState(
                migration_id=migration_id, run_id=RUN, epoch=5, start_epoch=3, resumed_epoch=3,
                desired="rollback", set_by="ana", reason="wrong", recovery=progress, occurred_at=now(),
            )  # fmt: skip
        yield from others

    return answer


def test_a_rollback_from_the_log_is_waited_for_as_long_as_it_goes_on(
    log: Log, holdfast: Holdfast, migration_id: str
) -> None:
    known(log, migration_id)
    with answering(log.kafka, from_the_log(migration_id, ("effective", "900 rows undone from the log"))):
        ran = holdfast("rollback", f"{migration_id}#4", "--reason", "wrong rates", "--wait", "2s")
    assert (ran.code, ran.err) == (0, "")
    assert "is effective: 900 rows undone from the log" in ran.out


def test_a_rollback_that_the_log_cannot_do_is_exit_3_at_once(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    known(log, migration_id)
    with answering(log.kafka, from_the_log(migration_id, ("held", "public.orders was truncated"), steps=1)):
        ran = holdfast("rollback", f"{migration_id}#4", "--reason", "wrong rates", "--wait", "60s")
    assert ran.code == 3
    assert "was held: public.orders was truncated" in ran.err


@pytest.mark.parametrize(("given", "seconds"), [((), 1_800), (("--for", "5m"), 300)])
def test_an_override_carries_its_end_and_the_epoch_that_was_seen(
    log: Log, holdfast: Holdfast, migration_id: str, given: tuple[str, ...], seconds: int
) -> None:
    known(log, migration_id)
    with answering(log.kafka, outcomes(("requested", ""), ("effective", ""), epoch=5)) as heard:
        ran = holdfast("override", f"{migration_id}#4", "--reason", "known rows", *given)
    assert (ran.code, ran.err) == (0, "")
    [request] = [r for r in heard if r.migration_id == migration_id]
    assert (request.kind, request.expected_epoch) == ("override", 4)
    assert request.until is not None
    assert (request.until - request.occurred_at).total_seconds() == seconds


@pytest.mark.parametrize("wrong", ["0s", "-5m", "soon"])
def test_an_override_without_a_length_is_exit_2(log: Log, holdfast: Holdfast, migration_id: str, wrong: str) -> None:
    known(log, migration_id)
    ran = holdfast("override", f"{migration_id}#4", "--reason", "known rows", f"--for={wrong}")
    assert ran.code == 2, ran.out


@pytest.mark.parametrize("kind", ["resume", "rollback", "override"])
def test_a_script_without_an_epoch_gets_exit_2(log: Log, holdfast: Holdfast, migration_id: str, kind: str) -> None:
    known(log, migration_id)
    ran = holdfast(kind, migration_id, "--reason", "mended")
    assert ran.code == 2
    assert f"{migration_id}#EPOCH" in ran.err


def test_a_terminal_without_an_epoch_shows_the_state_and_asks(
    log: Log, holdfast: Holdfast, migration_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(log, migration_id)

    class Terminal:
        def isatty(self) -> bool:
            return True

    class Both:
        stdin = stdout = Terminal()

    asked: list[str] = []
    monkeypatch.setattr(person, "sys", Both)
    monkeypatch.setattr(person.typer, "confirm", lambda question, abort: asked.append(question))
    with answering(log.kafka, outcomes(("effective", ""), epoch=5)) as heard:
        ran = holdfast("resume", migration_id, "--reason", "mended")
    assert ran.code == 0
    assert asked == [f"resume {migration_id}#4?"]
    assert "pause, set by trigger:error-rate-pause" in ran.out
    assert [r.expected_epoch for r in heard if r.migration_id == migration_id] == [4]


def test_an_unknown_migration_is_exit_4(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    ran = holdfast("pause", migration_id, "--reason", "lunch")
    assert ran.code == 4
    assert migration_id in ran.err


@pytest.mark.parametrize(("kind", "sent"), [("pause", "freeze"), ("resume", "unfreeze")])
def test_all_freezes_and_unfreezes(log: Log, holdfast: Holdfast, kind: str, sent: str) -> None:
    with answering(log.kafka, outcomes(("effective", ""))) as heard:
        ran = holdfast(kind, "--all", "--reason", "incident 12")
    assert ran.code == 0
    assert [(r.kind, r.migration_id) for r in heard if r.kind == sent] == [(sent, None)]


@pytest.mark.parametrize("arguments", [("pause",), ("pause", "a", "--all"), ("pause", "Not OK"), ("resume", "a#x")])
def test_what_names_nothing_is_exit_2(holdfast: Holdfast, arguments: tuple[str, ...]) -> None:
    assert holdfast(*arguments, "--reason", "lunch").code == 2
