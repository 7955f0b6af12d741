"""A frozen actuator wakes up behind its successor; two are restarted one after the other: nobody is the worse for it."""

import signal
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from .actuators import Actuators, driven
from .audit import assert_nothing_lost_or_doubled, quiet
from .dying_actuator import FREEZE_VARIABLE, QUEUED
from .fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(240)]
PARTITIONS = 12
LEASE_SECONDS = 30.0


def owners(kafka: KafkaSettings) -> list[str]:
    """The actuator whose beat is the newest, for each partition that has one."""
    newest = {received.partition: received.record.actuator for received in read_to_end(kafka, topics.leases)}
    return list(newest.values())


def longest_silence_seconds(kafka: KafkaSettings) -> float:
    """The longest time between two beats of a partition."""
    times: dict[int, list[int]] = {}
    for received in read_to_end(kafka, topics.leases):
        times.setdefault(received.partition, []).append(received.timestamp_ms)
    return max((later - earlier) / 1000 for t in times.values() for earlier, later in pairwise(t))


@pytest.mark.parametrize(
    "point",
    [
        QUEUED,
        pytest.param("outbox sent, not deleted", marks=pytest.mark.long),
        pytest.param("decision written, not committed", marks=pytest.mark.long),
        pytest.param("before the beat", marks=pytest.mark.long),
        pytest.param("acknowledgement committed, offset not", marks=pytest.mark.long),
    ],
)
def test_no_write_of_a_frozen_actuator_wins(
    kafka_settings: KafkaSettings, database: str, tmp_path: Path, point: str
) -> None:
    with ExitStack() as stack, Fleet(kafka_settings, 16) as fleet:
        actuators = Actuators(kafka_settings, database, tmp_path, stack)
        heir = actuators.start("heir")
        wait_for(fleet.granted, 60, "every run's grant")
        frozen = actuators.start("frozen", point, 20, **{FREEZE_VARIABLE: "1"})
        with driven(fleet, 0.02):
            process = psutil.Process(frozen.pid)
            wait_for(lambda: process.status() == psutil.STATUS_STOPPED, 60, f"the freeze at {point}")
            wait_for(
                lambda: owners(kafka_settings) == ["heir"] * PARTITIONS, 60, "the heir to own every partition", 0.5
            )
            written = len(fleet.causes)
            wait_for(lambda: len(fleet.causes) > written + 50, 60, "causes that the heir takes in")
            frozen.send_signal(signal.SIGCONT)
            woken = len(fleet.causes)
            wait_for(lambda: len(fleet.causes) > woken + 100, 60, "causes after it woke up")
        wait_for(lambda: quiet(database, fleet), 120, "every cause's final outcome")
        if (code := frozen.poll()) is not None:
            assert code == 70, frozen.log_tail()
        assert heir.stop() == 0
        if point == QUEUED:
            assert "the relay waits" in frozen.log_tail(200)  # what it had queued ran out of time, and was not sent
    counts = assert_nothing_lost_or_doubled(database, fleet)
    print(f"{point}: ended with {code}; {counts}")


def test_of_two_with_one_name_one_ends_and_a_restart_heals(
    kafka_settings: KafkaSettings, database: str, tmp_path: Path
) -> None:
    """A host froze, its actuator was started elsewhere under the same name, and it wakes up: only one may be this member."""
    with ExitStack() as stack, Fleet(kafka_settings, 16) as fleet:
        actuators = Actuators(kafka_settings, database, tmp_path, stack)
        older = actuators.start("a")
        wait_for(fleet.granted, 60, "every run's grant")
        with driven(fleet, 0.02):
            older.send_signal(signal.SIGSTOP)
            newer = actuators.start("a")
            since = fleet.epochs_obeyed()
            wait_for(lambda: fleet.epochs_obeyed() > since + 20, 60, "epochs from the newer")
            older.send_signal(signal.SIGCONT)
            # Kafka ends whichever joined first: one that slept past its session joins again
            wait_for(lambda: older.poll() is not None or newer.poll() is not None, 60, "one of the two to end")
            ended, left = (older, newer) if older.poll() is not None else (newer, older)
            assert (ended.poll(), left.poll()) == (70, None), ended.log_tail()
            left.kill()
            restarted = actuators.start("a")
            since = fleet.epochs_obeyed()
            wait_for(lambda: fleet.epochs_obeyed() > since + 20, 60, "epochs after the restart")
        wait_for(lambda: quiet(database, fleet), 120, "every cause's final outcome")
        assert restarted.stop() == 0
    print(f"the {'older' if ended is older else 'newer'} ended; {assert_nothing_lost_or_doubled(database, fleet)}")


def test_a_rolling_restart_is_no_lapse(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> None:
    with ExitStack() as stack, Fleet(kafka_settings, 16) as fleet:
        actuators = Actuators(kafka_settings, database, tmp_path, stack)
        running = {name: actuators.start(name) for name in ("a", "b")}
        wait_for(fleet.granted, 60, "every run's grant")
        wait_for(lambda: set(owners(kafka_settings)) == {"a", "b"}, 60, "both to own partitions", 0.5)
        took = []
        with driven(fleet, 0.02):
            for name, actuator in list(running.items()):
                began = time.monotonic()
                assert actuator.stop() == 0, actuator.log_tail()
                took.append(time.monotonic() - began)
                since = len(read_to_end_of_leases(kafka_settings, name))
                running[name] = actuators.start(name)
                wait_for(
                    lambda n=name, s=since: len(read_to_end_of_leases(kafka_settings, n)) > s,
                    60,
                    f"{name} to beat again",
                    0.5,
                )
        wait_for(lambda: quiet(database, fleet), 60, "every cause's final outcome")
        actuators.stop()
    silence = longest_silence_seconds(kafka_settings)
    print(f"SIGTERM took {took[0]:.1f} and {took[1]:.1f} s; the longest silence of a partition was {silence:.1f} s")
    assert max(took) < 10
    assert silence < LEASE_SECONDS
    assert_nothing_lost_or_doubled(database, fleet)


def read_to_end_of_leases(kafka: KafkaSettings, name: str) -> list[object]:
    """Every beat of one actuator."""
    return [received.record for received in read_to_end(kafka, topics.leases) if received.record.actuator == name]
