"""A scenario under way: the processes that it plays with, what is told of them, and the checks so far."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.errors import DemoFailed
from holdfast_schemas.identity import new_id
from holdfast_schemas.transport.reading import Received
from holdfast_schemas.triggers import RuleSet

from ...embedded.child import ChildProcess
from ..application import read_journal
from ..checker import Check, Found
from ..live import Live
from ..report import Report
from ..stage import HOLDFAST, Stage
from ..story import Reader, Story

PATIENCE_SECONDS = 180.0
"""How long the demo waits for any one thing before it says that it did not come."""


@dataclass
class Play:
    """A scenario under way. ``workers`` are the processes of the one run; each must live, or end with 0."""

    stage: Stage
    story: Story
    reader: Reader
    live: Live
    report: Report
    journal: Path
    runner_module: str
    batch_rows: int
    application: ChildProcess
    run_id: str = field(default_factory=new_id)
    workers: dict[str, ChildProcess] = field(default_factory=dict)

    def start_worker(self, name: str, *arguments: str, **variables: str) -> ChildProcess:
        """One more process of the run, or the same again: all of them share one run_id."""
        if not self.workers and self.story.metrics is None:
            self.live.say("starting the runner: it waits until the ledger grants its run")
        argv = [
            sys.executable,
            "-m",
            self.runner_module,
            self.stage.app_dsn,
            str(self.report.rows),
            str(self.batch_rows),
        ]
        child = self.stage.start(name, [*argv, *arguments], HOLDFAST_RUN_ID=self.run_id, **variables)
        self.workers[name] = child
        return child

    def apply_rules(self, rules: RuleSet, shortened: str) -> None:
        """Put rules in force as an operator would; ``shortened`` says what they shorten for the demo, and what is usual."""
        file = self.stage.folder / "triggers.json"
        file.write_text(rules.model_dump_json(indent=1))
        self.live.say(f"shortened for the demo: {shortened}")
        self.live.say("the operator types: holdfast triggers apply triggers.json")
        argv = [*HOLDFAST, "triggers", "apply", str(file), "--actor", "demo-operator", "--reason", "the demo's limits"]
        self.answered(self.stage.start("triggers-apply", argv))

    def kill_worker(self, name: str) -> None:
        """SIGKILL a process of the run; it is not missed until it is started again."""
        self.workers.pop(name).kill()

    def said_by(self, name: str, mark: str) -> str:
        """What follows ``mark`` in the newest line of a process's log that holds it."""
        lines = [line for line in self.stage.processes[name].log_tail(200).splitlines() if mark in line]
        return lines[-1].split(mark, 1)[1] if lines else f"its log does not say {mark!r}"

    def wait(self, done: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Show what happens until ``done``. Raises DemoFailed when it does not come, or a process ended before it."""
        deadline = time.monotonic() + seconds
        with self.story.changed:
            while not done():
                self.live.show(self.story)
                self.reader.check()
                self._check_processes(what)
                if time.monotonic() > deadline:
                    tail = "\n".join(worker.log_tail() for worker in self.workers.values())
                    raise DemoFailed(f"{what} did not come in {seconds:g} s", tail)
                self.story.changed.wait(0.2)
            self.live.show(self.story)

    def _check_processes(self, what: str) -> None:
        for name, worker in self.workers.items():
            if (code := worker.poll()) not in (None, 0):
                raise DemoFailed(f"{name} ended with exit code {code} while waiting for {what}", worker.log_tail())
        if (code := self.application.poll()) is not None:
            raise DemoFailed(
                f"the application ended with exit code {code} while waiting for {what}", self.application.log_tail()
            )

    def take(self, found: Found) -> None:
        """Add what the database said, and print it."""
        for check in found.checks:
            self.check(check)
        self.report.rows_changed_while_paused += found.rows_changed_while_paused
        self.report.rows_not_restored += found.rows_not_restored
        self.report.application_writes_lost += found.application_writes_lost

    def check(self, check: Check) -> None:
        """Add one check, and print it."""
        self.report.checks.append(check)
        mark, style = ("ok    ", "green") if check.passed else ("FAILED", "bold red")
        self.live.say(f"{mark} {check.name} ({check.detail})", style)

    def operator(self, verb: str, epoch: int, reason: str, *options: str) -> ChildProcess:
        """A person types this about the migration as they saw it at ``epoch``; the command goes on by itself."""
        reference = f"{self.story.migration_id}#{epoch}"
        self.live.say(f"the operator types: holdfast {verb} {reference}")
        argv = [*HOLDFAST, verb, reference, "--actor", "demo-operator", "--reason", reason, *options]
        return self.stage.start(f"{verb}-{epoch}", argv)

    def answered(self, command: ChildProcess) -> None:
        """Wait for a command's end. Raises DemoFailed when it does not exit 0."""
        if (code := command.wait(120)) != 0:
            raise DemoFailed(f"{' '.join(command.argv[-6:])} ended with exit code {code}", command.log_tail())

    def wait_for_effective(self, kind: str, what: str) -> Received[ActionRecorded]:
        """Wait until an action of this kind is effective, and return its record."""
        self.wait(lambda: self.story.effective(kind) is not None, what)
        effective = self.story.effective(kind)
        assert effective is not None
        return effective

    def stay(self, effective: datetime, seconds: float, application_writes: int) -> datetime:
        """Let ``seconds`` and that many writes of the application pass since ``effective``; returns the instant of now."""

        def long_enough() -> bool:
            if (datetime.now(UTC) - effective).total_seconds() <= seconds + 0.2:
                return False
            return sum(write.at > effective for write in read_journal(self.journal)) > application_writes

        # Not enough writes of the application is the checker's to say, so this wait has an end of its own.
        deadline = time.monotonic() + seconds + 12
        self.wait(lambda: long_enough() or time.monotonic() > deadline, f"{seconds:g} s of pause")
        return datetime.now(UTC)

    def stop_application(self) -> None:
        """End the application after its write at hand; its journal is complete then."""
        self.application.stop()
        self.report.application_writes = len(read_journal(self.journal))
