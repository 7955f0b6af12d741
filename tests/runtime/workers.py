"""Processors as processes of their own: started, asked, told to stop, killed; always ended by the pid that was started."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from holdfast_schemas.transport.security import KafkaSettings
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
PROCESSOR = ("-m", "holdfast_consoles", "processor")
STOP_SECONDS = 10.0


def environment(kafka: KafkaSettings, **more: str) -> dict[str, str]:
    """Settings of a quick processor: kept each second, a free port, found missing after 6 s."""
    ours = {
        "HOLDFAST_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "HOLDFAST_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "HOLDFAST_KAFKA__ALLOW_UNSTAMPED": str(kafka.allow_unstamped).lower(),
        "HOLDFAST_PROCESSOR__WEB_PORT": "0",
        "HOLDFAST_PROCESSOR__KEEP_SECONDS": "1",
        "HOLDFAST_PROCESSOR__SESSION_TIMEOUT_SECONDS": "6",
        "PYTHONPATH": str(ROOT),
    }
    return {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")} | ours | more


class Worker:
    """One process, its output in a file."""

    def __init__(self, log_path: Path, *argv: str, env: dict[str, str]) -> None:
        self.log_path = log_path
        with log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *argv], stdout=log, stderr=subprocess.STDOUT, env=env, cwd=log_path.parent
            )

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def ask(self, path: str) -> tuple[int, str]:
        """(status, text) of an HTTP request to the worker; status 0 while it does not answer."""
        found = re.search(r"answering on (http://[^\"]+)", self.log())
        if found is None:
            return 0, ""
        try:
            with urllib.request.urlopen(found[1] + path, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def figure(self, name: str) -> float:
        """One of the figures on /metrics."""
        found = re.search(rf"^{name} (.+)$", self.ask("/metrics")[1], re.M)
        return float(found[1]) if found else -1.0

    def wait_ready(self) -> Self:
        """Wait until its partitions are loaded and watched."""

        def ready() -> bool:
            assert self.process.poll() is None, self.log()[-3000:]
            return self.ask("/readyz")[0] == 200

        wait_for(ready, 40, f"the processor to be ready ({self.log_path.name})", 0.1)
        return self

    def wait_for_log(self, text: str, deadline_seconds: float = 30) -> Self:
        wait_for(lambda: text in self.log(), deadline_seconds, f"{text!r} in {self.log_path.name}")
        return self

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; its exit code. Fails when it takes longer than it may."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(STOP_SECONDS)

    def said(self) -> list[dict[str, Any]]:
        """Its log lines that are JSON."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def processor(folder: Path, kafka: KafkaSettings, name: str = "processor", **more: str) -> Worker:
    """`holdfast processor`, as in production."""
    return Worker(folder / f"{name}.log", *PROCESSOR, env=environment(kafka, **more))
