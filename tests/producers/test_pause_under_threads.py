"""The promise of an acknowledged pause, under threads that switch a hundred times as often as usual: nothing is written."""

import random
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from holdfast import MemorySink, Reporter, RollbackRequested, RunStopped
from holdfast_schemas.events import ProgressReported
from holdfast_schemas.runs import EpochAcknowledged
from tests.producers.settings import quick
from tests.waiting import wait_for

THREADS = 4
ROUNDS = 10
SLOW_SECONDS = 0.05
WATCHED_SECONDS = 2.5 * SLOW_SECONDS


@pytest.fixture
def restless() -> Iterator[None]:
    was = sys.getswitchinterval()
    sys.setswitchinterval(0.00005)
    yield
    sys.setswitchinterval(was)


def acknowledged(sink: MemorySink, epoch: int, state: str) -> bool:
    return any((one.epoch, one.state) == (epoch, state) for one in sink.of(EpochAcknowledged))


def test_between_an_acknowledged_pause_and_its_resume_no_batch_runs(restless: None) -> None:
    dice = random.Random(7)
    sink, writes, ends = MemorySink(), [0] * THREADS, list[str]()

    def work(index: int) -> None:
        try:
            while True:
                run.checkpoint()
                time.sleep(dice.uniform(0, SLOW_SECONDS))  # reads what the batch is about: the pause may come meanwhile
                with run.batch(rows=1):
                    time.sleep(dice.uniform(0, SLOW_SECONDS))
                    writes[index] += 1
        except (RollbackRequested, RunStopped) as order:
            ends.append(type(order).__name__)

    with Reporter(quick(), sink=sink).run("m", target="t", can_undo=True) as run:
        threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(THREADS)]
        for thread in threads:
            thread.start()
        for _ in range(ROUNDS):
            before = sum(writes)
            wait_for(lambda before=before: sum(writes) > before + THREADS, 10, "writes while it runs")  # type: ignore[misc]
            epoch = sink.desire("pause").epoch
            wait_for(lambda epoch=epoch: acknowledged(sink, epoch, "paused"), 10, "the pause")  # type: ignore[misc]
            at_pause = list(writes)
            time.sleep(WATCHED_SECONDS)
            assert writes == at_pause
            sink.desire("run")
        epoch = sink.desire("rollback").epoch
        wait_for(lambda: acknowledged(sink, epoch, "paused"), 10, "the stop")
        stopped = list(writes)
        sink.desire("rollback", undo_by=run.worker_id, undo_token=1)
        for thread in threads:
            thread.join(10)
        assert writes == stopped
    assert sorted(ends) == ["RollbackRequested"] + ["RunStopped"] * (THREADS - 1)
    assert sink.of(ProgressReported)[-1].rows_processed == sum(writes)
