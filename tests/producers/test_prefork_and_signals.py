"""Servers that fork workers after loading, as gunicorn and Celery's prefork pool do, and processes that signals end."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from holdfast_schemas.events import ProgressReported, WorkerFinished
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.ledger import ScriptedLedger
from tests.producers.on_kafka import CHILD, ROOT, events, kafka_settings, ledger, process
from tests.waiting import wait_for

__all__ = ["kafka_settings", "ledger"]
pytestmark = pytest.mark.kafka
WORKERS, BATCHES = 4, 25

# How a worker of the pool ends: gunicorn's by sys.exit in the forked stack, Celery's (billiard) by os._exit after its work.
ENDS = {"as gunicorn": "sys.exit(0)", "as Celery": "os._exit(0)"}
# What the master did with the reporter before it forked.
MASTERS = {
    "only made it": "",
    "reported a run of its own": """
        with reporter.run("master", target="t", run_id=new_id()) as run:
            with run.batch(rows=1):
                pass
    """,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("master", MASTERS)
def test_a_pool_of_forked_workers_shares_one_run(end: str, master: str, kafka_settings: KafkaSettings) -> None:
    code = f"""
from holdfast_schemas.identity import new_id
reporter = Reporter(quick(kafka, mode="observe"))
{textwrap.dedent(MASTERS[master])}
shared, pids = new_id(), []
for _ in range({WORKERS}):
    pid = os.fork()
    if pid == 0:
        with reporter.run("m", target="t", run_id=shared, expected_workers={WORKERS}) as run:
            for _ in range({BATCHES}):
                run.checkpoint()
                with run.batch(rows=2):
                    time.sleep(0.002)
        {ENDS[end]}
    pids.append(pid)
print([os.waitpid(pid, 0)[1] for pid in pids], shared)
"""
    began = time.monotonic()
    done = process(code, kafka_settings)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith(str([0] * WORKERS)), done.stdout
    assert time.monotonic() - began < 30
    shared = done.stdout.split()[-1]
    final = {r.worker_id: r.rows_processed for r in events(kafka_settings, ProgressReported) if r.run_id == shared}
    assert sorted(final.values()) == [2 * BATCHES] * WORKERS
    ended = [one.outcome for one in events(kafka_settings, WorkerFinished) if one.run_id == shared]
    assert ended == ["completed"] * WORKERS


def test_a_pool_that_is_guarded_is_granted_worker_by_worker(
    kafka_settings: KafkaSettings, ledger: ScriptedLedger
) -> None:
    code = f"""
from holdfast_schemas.identity import new_id
reporter, shared = Reporter(quick(kafka)), new_id()
pids = []
for _ in range({WORKERS}):
    pid = os.fork()
    if pid == 0:
        with reporter.run("m", target="t", run_id=shared, expected_workers={WORKERS}) as run:
            for _ in range({BATCHES}):
                run.checkpoint()
                with run.batch(rows=2):
                    time.sleep(0.002)
        os._exit(0)
    pids.append(pid)
print([os.waitpid(pid, 0)[1] for pid in pids])
"""
    done = process(code, kafka_settings)
    assert (done.returncode, done.stdout.strip()) == (0, str([0] * WORKERS)), done.stderr
    final = {r.worker_id: r.rows_processed for r in events(kafka_settings, ProgressReported)}
    assert sorted(final.values()) == [2 * BATCHES] * WORKERS


@pytest.mark.parametrize(
    ("handler", "status", "exact"),
    [
        ("", -signal.SIGTERM, False),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", 0, True),
    ],
    ids=["default action", "a handler that calls sys.exit"],
)
def test_sigterm_loses_what_the_docs_say_and_no_more(
    handler: str, status: int, exact: bool, kafka_settings: KafkaSettings
) -> None:
    """By default action the process is gone at once: what was counted since the last report is lost, and nothing before."""
    code = f"""
import signal
{handler}
run = Reporter(quick(kafka, mode="observe", interval_seconds=0.5)).run("m", target="t")
with run:
    for number in range(100_000):
        with run.batch(rows=1):
            pass
        print(number + 1, flush=True)
        time.sleep(0.005)
"""
    arguments = [sys.executable, "-c", CHILD + code, kafka_settings.bootstrap_servers, kafka_settings.topic_prefix]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as child:
        wait_for(lambda: [e for e in events(kafka_settings) if e.rows_processed > 0], 30, "a report")
        child.terminate()
        began = time.monotonic()
        out, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (status, "")
    assert time.monotonic() - began < 5
    counted = int(out.split()[-1])
    reported = events(kafka_settings)[-1].rows_processed
    if exact:
        assert reported in (counted, counted + 1)  # the signal may fall between a batch and its print
    else:
        assert 0 < reported <= counted + 1
        assert not events(kafka_settings, WorkerFinished)
