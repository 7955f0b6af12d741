"""A runner's process on a real Kafka: a fork makes another worker, and whatever was counted arrives at its end."""

import textwrap
import time

import pytest

from holdfast_schemas.events import RunStarted, WorkerFinished
from holdfast_schemas.runs import WorkerJoined
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.ledger import ScriptedLedger
from tests.producers.on_kafka import events, kafka_settings, ledger, process
from tests.waiting import wait_for

__all__ = ["kafka_settings", "ledger"]
pytestmark = pytest.mark.kafka


FORKS = {
    "os.fork": """
        pid = os.fork()
        if pid == 0:
            work(run, 7)
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """,
    "os.fork, untouched, os._exit": """
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        work(run, 7)
    """,
    "os.fork, untouched, sys.exit": """
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        work(run, 7)
    """,
    "multiprocessing": """
        import multiprocessing
        child = multiprocessing.get_context("fork").Process(target=work, args=(run, 7))
        child.start()
        child.join()
        assert child.exitcode == 0
    """,
}


@pytest.mark.parametrize("how", FORKS)
@pytest.mark.parametrize("mode", ["guard", "observe"])
def test_a_forked_child_is_a_worker_of_its_own(
    how: str, mode: str, kafka_settings: KafkaSettings, ledger: ScriptedLedger
) -> None:
    code = f"""
def work(run, times):
    for _ in range(times):
        run.checkpoint()
        with run.batch(rows=1):
            pass
reporter = Reporter(quick(kafka, mode={mode!r}))
with reporter.run("m", target="t") as run:
    work(run, 5)
    time.sleep(0.3)
{textwrap.indent(textwrap.dedent(FORKS[how]), "    ")}
    work(run, 5)
print("ended", run.worker_id)
"""
    done = process(code, kafka_settings)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    final: dict[str, int] = {}
    for report in events(kafka_settings):
        final[report.worker_id] = report.rows_processed
    parent = done.stdout.split()[1]
    if "untouched" in how:
        assert final == {parent: 17}
        return
    assert len(final) == 2
    assert final[parent] == 10
    (child,) = set(final) - {parent}
    assert final[child] == 7
    outcomes = {one.worker_id: one.outcome for one in events(kafka_settings, WorkerFinished)}
    assert outcomes == {parent: "completed", child: "stopped"}
    assert {one.start_epoch for one in events(kafka_settings, RunStarted)} == {1 if mode == "guard" else None}
    wait_for(lambda: {one.worker_id for one in ledger.of(WorkerJoined)} == {child}, 10, "WorkerJoined")


@pytest.mark.parametrize(
    ("what", "end", "status", "outcome"),
    [
        ("normal end inside the with", "run.__enter__(); work(); sys.exit(0)", 0, "stopped"),
        ("an exception", "with run:\n    work()\n    raise OSError", 1, "failed"),
        (
            "Ctrl-C in a batch",
            "with run:\n    work()\n    with run.batch(rows=9):\n        raise KeyboardInterrupt",
            130,
            "stopped",
        ),
        ("sys.exit in a thread's way", "with run:\n    work()\n    sys.exit(3)", 3, "stopped"),
    ],
)
def test_what_was_counted_arrives_however_the_process_ends(
    what: str, end: str, status: int, outcome: str, kafka_settings: KafkaSettings
) -> None:
    code = f"""
run = Reporter(quick(kafka, mode="observe", interval_seconds=30.0)).run("m", target="t")
def work():
    time.sleep(0.3)
    for _ in range(7):
        with run.batch(rows=3):
            pass
{end}
"""
    began = time.monotonic()
    done = process(code, kafka_settings)
    assert done.returncode in (status, -2 if status == 130 else status), done.stderr
    assert time.monotonic() - began < 15
    report = events(kafka_settings)[-1]
    assert (report.rows_processed, report.error_count) == (21, 0)
    assert [one.outcome for one in events(kafka_settings, WorkerFinished)] == [outcome]
