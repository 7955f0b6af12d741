"""Two processors under load: SIGKILLed, frozen past their session, restarted one after the other. The pure engine judges."""

import random
import signal
import time
from pathlib import Path

import pytest

from holdfast_schemas.transport import topics
from holdfast_schemas.transport.security import KafkaSettings
from tests.runtime.migrations import assert_exact, records
from tests.runtime.workers import Worker, environment, processor
from tests.waiting import wait_for

from .load import Load
from .processors import Pair, assert_verified, caught_up, longest_silence_seconds

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
EVENTS_PER_SECOND = 2_000
LEASE_SECONDS = 30.0


def kill_and_judge(kafka: KafkaSettings, folder: Path, kills: int) -> None:
    dice = random.Random(kills)
    with Pair(kafka, folder) as pair:
        with Load(kafka, 200, EVENTS_PER_SECOND) as load:
            for number in range(kills):
                before = load.sent
                pause = time.monotonic() + dice.uniform(0.5, 4)
                wait_for(lambda b=before, p=pause: load.sent > b and time.monotonic() > p, 60, "load between kills")
                pair.kill(number % 2 if kills < 10 else dice.randrange(2))
            for worker in pair.workers:
                worker.wait_ready()
        since = time.time_ns() // 1_000_000
        wait_for(lambda: caught_up(kafka, since), 120, "every partition to be watched up to the load's end", 1.0)
        pair.stop()
    repeated = assert_exact(kafka)
    assert_verified(kafka)
    decided = len(records(kafka, topics.decisions.name))
    print(f"{kills} kills, {load.sent} events, {decided} decisions, {repeated} of them repeats of the same bytes")
    assert decided > 50


def test_two_kills_under_load_lose_no_decision_and_no_count(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    kill_and_judge(kafka_settings, tmp_path, 2)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_fifty_kills_under_load_lose_no_decision_and_no_count(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    kill_and_judge(kafka_settings, tmp_path, 50)


def test_a_zombie_between_decision_and_state_writes_nothing(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    argv = ("-m", "tests.kills.stopping_processor")
    env = environment(kafka_settings, STOP_FILE=str(stop))
    with Worker(tmp_path / "zombie.log", *argv, env=env) as zombie:
        zombie.wait_ready()
        with Load(kafka_settings, 200, EVENTS_PER_SECOND):
            wait_for(lambda: zombie.figure("holdfast_processor_decisions_total") > 0, 30, "decisions")
            stop.touch()
            wait_for(lambda: not stop.exists(), 30, "the zombie to stop itself before its states")
            with processor(tmp_path, kafka_settings, "heir") as heir:
                heir.wait_ready()
                wait_for(lambda: heir.figure("holdfast_processor_decisions_total") > 0, 60, "the heir's decisions")
                zombie.signal(signal.SIGCONT)
                assert zombie.process.wait(20) == 70, zombie.log()[-3000:]
                assert "no heartbeat acknowledged" in zombie.log()
                since = time.time_ns() // 1_000_000
                wait_for(lambda: caught_up(kafka_settings, since), 60, "the heir to catch up", 1.0)
                assert heir.stop() == 0
    # The load went on for a moment behind the heir: what it left unread is judged by nobody.
    repeated = assert_exact(kafka_settings)
    print(f"decisions repeated with the same bytes: {repeated}")


def test_a_rolling_restart_pauses_nobody(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    with Pair(kafka_settings, tmp_path) as pair:
        with Load(kafka_settings, 200, EVENTS_PER_SECOND):
            for which in (0, 1):
                pair.restart(which)
        since = time.time_ns() // 1_000_000
        wait_for(lambda: caught_up(kafka_settings, since), 60, "every partition to be watched", 1.0)
        pair.stop()
    silence = longest_silence_seconds(kafka_settings)
    print(f"the longest time without a Watched on a partition: {silence:.1f} s")
    assert silence < LEASE_SECONDS
    assert_exact(kafka_settings)


@pytest.mark.long
def test_a_third_that_comes_and_goes_under_load_moves_partitions_and_changes_nothing(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    with Pair(kafka_settings, tmp_path) as pair:
        with Load(kafka_settings, 200, EVENTS_PER_SECOND):
            for number in range(2):
                with processor(tmp_path, kafka_settings, f"third-{number}") as third:
                    wait_for(lambda w=third: w.figure("holdfast_processor_decisions_total") > 0, 60, "its decisions")
                    assert third.stop() == 0, third.log()[-3000:]
        since = time.time_ns() // 1_000_000
        wait_for(lambda: caught_up(kafka_settings, since), 120, "every partition to be watched", 1.0)
        pair.stop()
    silence = longest_silence_seconds(kafka_settings)
    print(f"the longest time without a Watched on a partition: {silence:.1f} s")
    assert silence < LEASE_SECONDS
    print(f"decisions repeated with the same bytes: {assert_exact(kafka_settings)}")
    assert_verified(kafka_settings)
