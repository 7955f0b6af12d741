"""Two actuators, SIGKILLed again and again at the places where a step can be lost or done twice."""

import itertools
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from .actuators import Actuators, driven
from .audit import assert_nothing_lost_or_doubled, quiet
from .dying_actuator import POINTS
from .fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def kill_and_audit(kafka: KafkaSettings, dsn: str, folder: Path, kills: int, migrations: int) -> None:
    points = list(POINTS)
    random.Random(kills).shuffle(points)
    with ExitStack() as stack, Fleet(kafka, migrations) as fleet:
        actuators = Actuators(kafka, dsn, folder, stack)
        with driven(fleet, 0.02):
            actuators.kill(itertools.cycle(points), kills, seed=kills)
        wait_for(lambda: quiet(dsn, fleet), 120, "every cause's final outcome")
        for runner in list(fleet.runners.values())[::4]:
            fleet.decide(runner, "rollback")
        wait_for(lambda: quiet(dsn, fleet), 60, "the rollbacks' final outcomes")
        actuators.stop()
    counts = assert_nothing_lost_or_doubled(dsn, fleet)
    print(f"kills {actuators.killed.total()} {dict(actuators.killed)}; {counts}")
    assert actuators.killed.total() >= kills
    assert counts.causes > kills * 5  # else the kills met an idle actuator


@pytest.mark.timeout(300)
def test_a_few_kills_lose_and_double_nothing(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> None:
    kill_and_audit(kafka_settings, database, tmp_path, kills=6, migrations=16)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_hundred_kills_lose_and_double_nothing(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> None:
    kill_and_audit(kafka_settings, database, tmp_path, kills=100, migrations=40)
