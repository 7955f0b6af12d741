"""Two actuators, SIGKILLed again and again at the places where a step can be lost or done twice."""

import itertools
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from holdfast_consoles.embedded.child import ChildProcess
from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

from .audit import assert_nothing_lost_or_doubled, quiet
from .dying_actuator import POINTS
from .fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
PATIENCE_SECONDS = 20.0
"""A point that was not passed in this time: the process is killed where it is."""


class Actuators:
    """Two actuators under a supervisor: what died is started again, with the next point to die at."""

    def __init__(self, kafka: KafkaSettings, dsn: str, folder: Path, stack: ExitStack) -> None:
        self._kafka, self._dsn, self._folder, self._stack = kafka, dsn, folder, stack
        self._children: dict[str, tuple[ChildProcess, str | None, float]] = {}
        self.killed: Counter[str] = Counter()

    def start(self, name: str, point: str | None = None, nth: int = 1) -> None:
        variables = {
            "HOLDFAST_KAFKA__BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers,
            "HOLDFAST_KAFKA__TOPIC_PREFIX": self._kafka.topic_prefix,
            "HOLDFAST_LEDGER__DSN": self._dsn,
            "HOLDFAST_ACTUATOR__NAME": name,
            "HOLDFAST_ACTUATOR__WEB_PORT": "0",
            "HOLDFAST_ACTUATOR__SESSION_TIMEOUT_SECONDS": "6",
            "HOLDFAST_ACTUATOR__BEAT_SECONDS": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        argv = [sys.executable, "-m", "holdfast_consoles", "actuator"]
        if point is not None:
            argv = [sys.executable, "-m", "tests.kills.dying_actuator", point, str(nth)]
        env = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")} | variables
        child = ChildProcess(argv, log_path=self._folder / f"{name}.log", env=env)
        self._children[name] = (self._stack.enter_context(child), point, time.monotonic())

    def kill(self, points: Iterator[str], count: int, seed: int) -> None:
        """Let ``count`` processes die, each at the next point, and start each again."""
        dice = random.Random(seed)
        for name in ("a", "b"):
            self.start(name, next(points), dice.randint(1, 8))
        while self.killed.total() < count:
            time.sleep(0.05)
            for name, (child, point, since) in list(self._children.items()):
                if child.poll() is None and time.monotonic() - since > PATIENCE_SECONDS:
                    child.kill()
                    point = "anywhere"
                if (code := child.poll()) is None:
                    continue
                assert code == -9, f"{name} ended with {code} by itself: {child.log_tail()}"
                self.killed[point or "anywhere"] += 1
                self.start(name, next(points), dice.randint(1, 8))
        for name, (child, _, _) in list(self._children.items()):
            child.kill()
            self.killed["at the end"] += 1
            self.start(name)

    def stop(self) -> None:
        """SIGTERM: each ends in order."""
        for name, (child, _, _) in self._children.items():
            assert child.stop() == 0, f"{name}: {child.log_tail()}"


@contextmanager
def driven(fleet: Fleet, every_seconds: float) -> Iterator[None]:
    """Decisions and requests, one after another, until the with statement ends."""
    ended = threading.Event()
    driver = threading.Thread(target=fleet.drive, args=(every_seconds, ended))
    driver.start()
    try:
        yield
    finally:
        ended.set()
        driver.join(30)


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
