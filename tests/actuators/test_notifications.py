"""What a person is told, with a real ledger and a real HTTP receiver: which outcomes, at least once, out of decisions' path."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from holdfast_actuators import notify
from holdfast_actuators.figures import Figures
from holdfast_actuators.ledger import Ledger
from holdfast_actuators.notify import Notifier
from holdfast_schemas.settings import ActuatorSettings
from tests.waiting import wait_for

from .conftest import MIGRATION, SCHEMA, Bench
from .receiver import Receiver, receiver

pytestmark = pytest.mark.postgres


class Told:
    """A bench whose ledger has a webhook, and the notifier that a test lets run."""

    def __init__(self, dsn: str, to: Receiver, **also: Any) -> None:
        self.to = to
        self.settings = ActuatorSettings(notify_url=SecretStr(to.url), notify_timeout_seconds=2, **also)
        self.figures = Figures()
        self.bench = Bench(dsn, Ledger(dsn, SCHEMA, self.settings))
        self.bench.ledger.migrate()
        self.bench.listen()
        self.notifier = Notifier(Ledger(dsn, SCHEMA, self.settings), self.settings, self.figures)

    def send(self) -> list[tuple[str, str]]:
        """Everything that is due; (kind, outcome) of what has come so far."""
        while self.notifier.send_once():
            pass
        return [(body["kind"], body["outcome"]) for body in self.to.came]

    def waiting(self) -> int:
        return int(self.bench.execute("SELECT count(*) FROM notification")[0][0])


@pytest.fixture
def told(database: str) -> Iterator[Told]:
    with receiver() as to:
        made = Told(database, to)
        yield made
        made.bench.ledger.close()
        made.notifier._ledger.close()


def test_a_warning_is_told_in_words_and_with_the_command_to_type_next(told: Told) -> None:
    run = told.bench.start()
    decision = told.bench.decide(run, "warn")
    assert told.send() == [("warn", "noted")]
    [body] = told.to.came
    assert body["id"] == f"{decision.decision_id}/1"
    assert body["text"] == (
        f"{MIGRATION}: warn by trigger:error-rate-warn noted: error_rate 0.080 &gt; 0.05 over 60 s (8 of 100; lower bound 0.041)"
    )
    assert body["next"] == f"holdfast explain {MIGRATION}"
    assert (body["run_id"], body["epoch"], body["verdict"]) == (run.run_id, None, decision.verdict)
    assert set(body) == {
        "id", "text", "migration_id", "run_id", "epoch", "kind", "outcome", "verdict", "reason", "actor", "next", "occurred_at",
    }  # fmt: skip


def test_refusals_holds_and_what_nobody_obeyed_are_told_and_the_rest_is_not(told: Told) -> None:
    run = told.bench.start()
    told.bench.decide(run, "pause")  # requested: not told
    told.bench.ask("resume", epoch=1)  # moved: refused
    told.bench.execute("UPDATE action SET deadline = clock_timestamp() - interval '1 s' WHERE kind = 'pause'")
    told.bench.ledger.deadlines()
    told.bench.acknowledge(run)  # effective: not told
    told.bench.leave(run, "completed")
    told.bench.decide(run, "rollback")
    assert sorted(told.send()) == [("pause", "unacknowledged"), ("resume", "refused"), ("rollback", "held")]
    assert {body["next"] for body in told.to.came} == {f"holdfast status {MIGRATION}", f"holdfast explain {MIGRATION}"}


def test_a_shadow_trigger_tells_nobody_and_observe_mode_does(told: Told) -> None:
    run = told.bench.start()
    told.bench.decide(run, "warn", trigger_mode="shadow")
    assert told.send() == []
    told.bench.leave(run, "completed")
    observed = told.bench.start(mode="observe")
    told.bench.decide(observed, "rollback")
    assert told.send() == [("rollback", "noted")]


def test_without_a_webhook_nothing_is_written(bench: Bench) -> None:
    bench.decide(bench.start(), "warn")
    assert bench.execute("SELECT count(*) FROM notification") == [(0,)]


def test_what_says_the_same_within_the_cooldown_is_sent_once_and_after_it_again(told: Told) -> None:
    run = told.bench.start()
    for _ in range(3):
        told.bench.decide(run, "warn")
        told.send()
    told.bench.decide(run, "warn", trigger_id="p95-warn")  # another trigger is other news
    assert len(told.send()) == 2
    told.bench.age("notified", "sent_at", 61)
    told.bench.decide(run, "warn")
    assert len(told.send()) == 3
    assert told.waiting() == 0


def test_a_receiver_that_is_away_gets_the_newest_when_it_is_back(told: Told) -> None:
    run = told.bench.start()
    told.to.status = 503
    first = told.bench.decide(run, "warn")
    told.send()
    newest = told.bench.decide(run, "warn")
    assert len(told.send()) == 1, "it waits for its next try"
    told.bench.age("notification", "due_at", 400)
    told.to.status = 200
    told.send()
    assert [body["id"] for body in told.to.came] == [f"{first.decision_id}/1", f"{newest.decision_id}/1"]
    assert told.waiting() == 0


def test_it_is_tried_again_with_the_same_id_and_given_up_by_name(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told.to.status = 500
    decision = told.bench.decide(told.bench.start(), "warn")
    for _ in range(3):
        told.send()
        told.bench.age("notification", "due_at", 400)
    assert {body["id"] for body in told.to.came} == {f"{decision.decision_id}/1"}
    assert told.bench.execute("SELECT attempts FROM notification") == [(3,)]
    told.bench.age("notification", "created_at", 86_400)
    told.send()
    assert told.waiting() == 0
    assert f"notification {decision.decision_id}/1 is given up after 24.0 h (it answered 500)" in caplog.text
    assert 'notifications_total{result="given_up"} 1' in told.figures.text()
    assert 'notifications_total{result="retried"} 3' in told.figures.text()


def test_a_bug_in_notifying_is_logged_and_does_not_end_the_thread(
    told: Told, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted, bugs = notify.post, iter([RuntimeError("a bug")])

    def post(*arguments: Any) -> Any:
        for bug in bugs:
            raise bug
        return posted(*arguments)

    monkeypatch.setattr(notify, "post", post)
    monkeypatch.setattr(notify, "FAULT_SECONDS", 0.1)
    told.bench.decide(told.bench.start(), "warn")
    stop = threading.Event()
    sending = threading.Thread(target=told.notifier.run, args=(stop,))
    sending.start()
    wait_for(lambda: "a bug" in caplog.text, 20, "the bug in the log")
    wait_for(lambda: told.waiting() == 1 and told.bench.age("notification", "due_at", 60) is None, 20, "its turn")
    wait_for(lambda: not told.waiting(), 20, "the notification being sent")
    stop.set()
    sending.join(20)
    assert 'notifications_total{result="failed"} 1' in told.figures.text()


def test_two_notifiers_send_nothing_twice(told: Told) -> None:
    run = told.bench.start()
    for number in range(12):
        told.bench.decide(run, "warn", trigger_id=f"trigger-{number}")
    others = [Notifier(Ledger(told.bench.dsn, SCHEMA, told.settings), told.settings, told.figures) for _ in range(2)]

    def all_of(notifier: Notifier) -> None:
        while notifier.send_once():
            pass
        notifier._ledger.close()

    threads = [threading.Thread(target=all_of, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told.to.came) == len({body["id"] for body in told.to.came}) == 12


def test_nobodys_words_reach_the_channel_unescaped(told: Told) -> None:
    run = told.bench.start()
    told.bench.decide(run, "warn", verdict="<!channel>\nana \x1b[2J &co")
    told.send()
    text = told.to.came[0]["text"]
    assert "&lt;!channel&gt; ana �[2J &amp;co" in text
    assert text.isprintable()
    assert run.run_id == told.to.came[0]["run_id"]


def test_a_receiver_that_hangs_delays_no_decision(told: Told) -> None:
    """Decisions go on being taken in, each as quick as without a webhook, while a notification hangs."""
    run = told.bench.start()
    told.to.go_on.clear()
    stop = threading.Event()
    sending = threading.Thread(target=told.notifier.run, args=(stop,))
    sending.start()
    told.bench.decide(run, "warn")
    wait_for(lambda: told.to.came, 20, "the notification that hangs")
    slowest = 0.0
    for number in range(50):
        began = time.monotonic()
        told.bench.decide(run, "warn", trigger_id=f"trigger-{number % 5}")
        slowest = max(slowest, time.monotonic() - began)
    pause = told.bench.decide(run, "pause")
    told.bench.acknowledge(run)
    assert told.bench.outcomes(pause.decision_id) == ["requested", "effective"]
    assert slowest < 1.0
    told.to.go_on.set()
    wait_for(lambda: not told.waiting(), 60, "everything being sent")
    stop.set()
    sending.join(20)
    assert {body["actor"] for body in told.to.came} >= {f"trigger:trigger-{number}" for number in range(5)}
