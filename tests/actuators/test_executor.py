"""What runs between deadlines never keeps them waiting."""

import threading

import psycopg
import pytest

from holdfast_actuators import executor
from holdfast_actuators.executor import Executor
from holdfast_actuators.figures import Figures
from holdfast_actuators.ledger.retention import Deleted
from tests.waiting import wait_for


class FakeLedger:
    """Counts what it is asked; ``answers`` are what ``delete_old`` gives, the last one again and again."""

    def __init__(self, *answers: Deleted | Exception) -> None:
        self.answers = list(answers)
        self.deadlines_looked_at = self.forgot = 0

    def deadlines(self, partitions: int) -> int:
        self.deadlines_looked_at += 1
        return 0

    def delete_old(self, keep_days: int) -> Deleted:
        self.forgot += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def load(self) -> None: ...

    def close(self) -> None: ...


class FakeFigures(Figures):
    def load(self, load: object) -> None: ...


@pytest.mark.parametrize(
    ("answers", "forgot", "counted"),
    [
        pytest.param(
            [psycopg.errors.QueryCanceled("canceling statement due to statement timeout")], 1, 0, id="it fails"
        ),
        pytest.param([Deleted(3, 0, 0)], 1, 3, id="nothing more is old"),
        pytest.param([Deleted(500, more=True), Deleted(500, more=True), Deleted(7)], 3, 1007, id="batch after batch"),
    ],
)
def test_deadlines_go_on_while_the_ledger_forgets(
    monkeypatch: pytest.MonkeyPatch, answers: list[Deleted | Exception], forgot: int, counted: int
) -> None:
    monkeypatch.setattr(executor, "EVERY_SECONDS", 0.001)
    monkeypatch.setattr(executor, "AWAY_SECONDS", 0.001)
    ledger, figures, stop = FakeLedger(*answers), FakeFigures(), threading.Event()
    running = Executor(ledger, threading.Event(), 12, 120, figures)  # type: ignore[arg-type]
    thread = threading.Thread(target=running.run, args=(stop,))
    thread.start()
    wait_for(lambda: ledger.deadlines_looked_at > 50, 20, "fifty turns")
    stop.set()
    thread.join(10)
    assert ledger.forgot == forgot
    assert figures._deleted["action"] == counted
