"""The runner's side on a real Kafka, against a scripted ledger: gate, orders, lease."""

import threading

import pytest

from holdfast import GuardUnavailable, RollbackRequested, Run, RunFenced, RunStopped
from holdfast_consoles.embedded.broker import InProcessBroker
from holdfast_schemas.events import WorkerFinished
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import RunRequested, WorkerLeft
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.ledger import ScriptedLedger
from tests.producers.on_kafka import events, kafka_settings, ledger, reporter
from tests.waiting import wait_for

__all__ = ["kafka_settings", "ledger"]
pytestmark = pytest.mark.kafka


def checkpoint_in_thread(run: Run) -> tuple[threading.Thread, list[BaseException]]:
    found: list[BaseException] = []

    def work() -> None:
        try:
            run.checkpoint()
        except Exception as error:  # noqa: BLE001  handed to the test
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, found


def test_a_run_is_granted_paused_resumed_and_ended(kafka_settings: KafkaSettings, ledger: ScriptedLedger) -> None:
    with reporter(kafka_settings).run("m", target="t", total_rows=40) as run:
        for _ in range(4):
            run.checkpoint()
            with run.batch(rows=5):
                pass
        paused = ledger.desire("pause").epoch
        wait_for(lambda: run._hold, 10, "the pause")
        thread, _ = checkpoint_in_thread(run)
        wait_for(lambda: (paused, "paused") in ledger.acknowledged(), 10, "its acknowledgement")
        assert thread.is_alive()
        resumed = ledger.desire("run").epoch
        thread.join(10)
        assert not thread.is_alive()
        wait_for(lambda: (resumed, "running") in ledger.acknowledged(), 10, "the resume's acknowledgement")
        with run.batch(rows=5):
            pass
    reports = events(kafka_settings)
    assert (reports[-1].rows_processed, reports[-1].resumed_epoch, reports[-1].start_epoch) == (25, resumed, 1)
    assert [report.seq for report in reports] == sorted({report.seq for report in reports})
    assert [one.outcome for one in events(kafka_settings, WorkerFinished)] == ["completed"]
    wait_for(lambda: ledger.of(WorkerLeft), 10, "WorkerLeft")
    assert len({one.request_id for one in ledger.of(RunRequested)}) == 1


def test_the_same_loop_runs_on_the_in_process_broker() -> None:
    names = [topic.full_name("mock") for topic in (topics.events, topics.runs, topics.control, topics.leases)]
    with InProcessBroker() as broker:
        broker.touch(names)
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix="mock", allow_unstamped=True)
        with ScriptedLedger(settings, "m") as ledger, reporter(settings).run("m", target="t") as run:
            with run.batch(rows=5):
                pass
            epoch = ledger.desire("pause").epoch
            wait_for(lambda: run._hold, 10, "the pause")
            thread, _ = checkpoint_in_thread(run)
            wait_for(lambda: (epoch, "paused") in ledger.acknowledged(), 10, "its acknowledgement")
            ledger.desire("run")
            thread.join(10)
            assert not thread.is_alive()
        assert events(settings)[-1].rows_processed == 5


def test_a_pause_from_before_the_start_is_seen_and_old_beats_are_not(
    kafka_settings: KafkaSettings, ledger: ScriptedLedger
) -> None:
    with reporter(kafka_settings).run("m", target="t") as first:
        run_id = first.run_id
        ledger.desire("pause")
    ledger.beating = False
    with (
        pytest.raises(GuardUnavailable, match="no beat on holdfast"),
        reporter(kafka_settings, start_timeout_seconds=1.5).run("m", target="t", run_id=run_id),
    ):
        pytest.fail("the run began on an old beat")
    ledger.beating = True
    with reporter(kafka_settings).run("m", target="t", run_id=run_id) as again:
        thread, _ = checkpoint_in_thread(again)
        thread.join(0.5)
        assert thread.is_alive()
        ledger.desire("run")
        thread.join(10)
        assert not thread.is_alive()


def test_a_beat_that_renews_nothing_names_what_is_missing(
    kafka_settings: KafkaSettings, ledger: ScriptedLedger
) -> None:
    ledger.missing = "no Watched for partition 7 for 12 s: is holdfast processor running?"
    with (
        pytest.raises(GuardUnavailable, match="is holdfast processor running"),
        reporter(kafka_settings, start_timeout_seconds=2.0).run("m", target="t"),
    ):
        pytest.fail("the run began")


def test_without_an_answer_the_request_is_repeated_and_the_ledger_is_named(
    kafka_settings: KafkaSettings, ledger: ScriptedLedger
) -> None:
    ledger.answer = None
    with (
        pytest.raises(GuardUnavailable, match="the ledger has not answered"),
        reporter(kafka_settings, start_timeout_seconds=2.5).run("m", target="t"),
    ):
        pytest.fail("the run began")
    wait_for(lambda: ledger.of(WorkerLeft), 10, "WorkerLeft")
    requests = ledger.of(RunRequested)
    assert len(requests) >= 3
    assert len({one.request_id for one in requests}) == 1


def test_losing_the_guard_pauses_and_its_return_lets_go_on(
    kafka_settings: KafkaSettings, ledger: ScriptedLedger
) -> None:
    with reporter(kafka_settings, guard_return_spread_seconds=0.2).run("m", target="t") as run:
        run.checkpoint()
        ledger.beating = False
        wait_for(lambda: run._hold and "no beat" in run._hold, 10, "the lapse")
        thread, _ = checkpoint_in_thread(run)
        wait_for(lambda: (1, "paused") in ledger.acknowledged(), 10, "the pause")
        ledger.beating = True
        thread.join(10)
        assert not thread.is_alive()


def test_rollback_fence_and_tombstone(kafka_settings: KafkaSettings, ledger: ScriptedLedger) -> None:
    with reporter(kafka_settings).run("m", target="t", can_undo=True) as run:
        ledger.desire("rollback", reason="harm")
        wait_for(lambda: run._hold, 10, "the order")
        thread, found = checkpoint_in_thread(run)
        wait_for(lambda: (2, "paused") in ledger.acknowledged(), 10, "the stop")
        assert thread.is_alive()
        ledger.desire("rollback", undo_by=run.worker_id, undo_token=9, reason="harm")
        thread.join(10)
        assert isinstance(found[0], RollbackRequested)
        assert found[0].undo_token == 9
    with reporter(kafka_settings).run("m", target="t") as second:
        assert ledger.state is not None
        ledger.close_run(run.run_id, 99)
        ledger.close_run(second.run_id, ledger.state.epoch - 1)
        ledger.desire("pause")
        wait_for(lambda: second._hold, 10, "the pause")
        thread, found = checkpoint_in_thread(second)
        thread.join(0.3)
        assert thread.is_alive()
        ledger.close_run(second.run_id, ledger.state.epoch)
        thread.join(10)
        assert isinstance(found[0], RunStopped)
    with reporter(kafka_settings).run("m", target="t") as third:
        ledger.desire("run", run_id=new_id(), start_epoch=50)
        wait_for(lambda: third._hold, 10, "the fence")
        with pytest.raises(RunFenced):
            third.checkpoint()
