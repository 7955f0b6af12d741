"""However a runner's process ends, what was counted is told as far as it is promised, and the process is gone soon."""

import subprocess
import sys
import time

import pytest

from holdfast_schemas.events import WorkerFinished
from holdfast_schemas.transport.security import KafkaSettings
from tests.producers.on_kafka import CHILD, ROOT, events, kafka_settings, process
from tests.waiting import wait_for

__all__ = ["kafka_settings"]
pytestmark = pytest.mark.kafka

# (what the process does, its exit code, rows that are told, how its worker ends); None: these at least
ENDS: dict[str, tuple[str, int, int | None, list[str]]] = {
    "a daemon thread counts on": (
        "with run:\n    work(7)\n    threading.Thread(target=forever, daemon=True).start()\n    time.sleep(0.2)",
        0, None, ["completed"],
    ),
    "an exception in one thread of two": (
        "with run:\n    pool = ThreadPoolExecutor(2)\n    jobs = [pool.submit(work, 7), pool.submit(broken)]\n"
        "    pool.shutdown()\n    assert isinstance(jobs[1].exception(), OSError)",
        0, 21 + 3, ["completed"],
    ),
    "eight threads": (
        "with run:\n    pool = ThreadPoolExecutor(8)\n    [pool.submit(work, 7) for _ in range(8)]\n    pool.shutdown()",
        0, 8 * 21, ["completed"],
    ),
    "asyncio.run": ("asyncio.run(tasks())", 0, 8 * 21, ["completed"]),
}  # fmt: skip
PROGRAM = """
import asyncio, threading
from concurrent.futures import ThreadPoolExecutor
run = Reporter(quick(kafka, mode="observe", interval_seconds=30.0)).run("m", target="t")
def work(times):
    for _ in range(times):
        run.checkpoint()
        with run.batch(rows=3):
            time.sleep(0.001)
def forever():
    while True:
        work(1)
def broken():
    with run.batch(rows=3):
        raise OSError
async def awork(times):
    for _ in range(times):
        await run.checkpoint_async()
        async with run.batch(rows=3):
            await asyncio.sleep(0.001)
async def tasks():
    with run:
        await asyncio.gather(*(awork(7) for _ in range(8)))
"""


@pytest.mark.parametrize("how", ENDS)
def test_a_process_ends_in_time_and_tells_what_it_counted(how: str, kafka_settings: KafkaSettings) -> None:
    code, status, attempted, outcomes = ENDS[how]
    began = time.monotonic()
    done = process(PROGRAM + code, kafka_settings)
    assert (done.returncode, done.stderr) == (status, "")
    assert time.monotonic() - began < 30
    assert [one.outcome for one in events(kafka_settings, WorkerFinished)] == outcomes
    told = events(kafka_settings)
    if attempted is None:
        assert told[-1].rows_attempted >= 21
    else:
        assert told[-1].rows_attempted == attempted


def test_os_exit_tells_nothing_but_what_was_reported_before(kafka_settings: KafkaSettings) -> None:
    code = """
run = Reporter(quick(kafka, mode="observe")).run("m", target="t")
with run:
    for _ in range(7):
        with run.batch(rows=3):
            pass
    sys.stdin.readline()
    with run.batch(rows=9):
        os._exit(9)
"""
    arguments = [sys.executable, "-c", CHILD + code, kafka_settings.bootstrap_servers, kafka_settings.topic_prefix]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as child:
        wait_for(lambda: [one for one in events(kafka_settings) if one.rows_attempted == 21], 30, "a report")
        _, err = child.communicate("go\n", timeout=20)
    assert (child.returncode, err) == (9, "")
    assert events(kafka_settings)[-1].rows_attempted == 21
    assert not events(kafka_settings, WorkerFinished)
