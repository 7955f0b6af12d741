"""Two actuators under a supervisor, and what drives them."""

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from holdfast_consoles.embedded.child import ChildProcess
from holdfast_schemas.transport.security import KafkaSettings

from .fleet import Fleet

PATIENCE_SECONDS = 20.0
"""A point that was not passed in this time: the process is killed where it is."""


class Actuators:
    """Two actuators under a supervisor: what died is started again, with the next point to die at."""

    def __init__(self, kafka: KafkaSettings, dsn: str, folder: Path, stack: ExitStack) -> None:
        self._kafka, self._dsn, self._folder, self._stack = kafka, dsn, folder, stack
        self._children: dict[str, tuple[ChildProcess, str | None, float]] = {}
        self.killed: Counter[str] = Counter()

    def start(self, name: str, point: str | None = None, nth: int = 1, **more: str) -> ChildProcess:
        """`holdfast actuator` under this name; with ``point`` it dies at its n-th passing."""
        variables = more | {
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
        return child

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

    def kill_all(self) -> None:
        """SIGKILL every one; none is started again."""
        for child, _, _ in self._children.values():
            child.kill()
        self._children.clear()

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
