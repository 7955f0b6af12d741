"""The two scenarios, as an operator would live them: wait for what the loop says, act, let the database judge."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from holdfast_schemas.errors import DemoFailed
from holdfast_schemas.record import from_milliseconds

from ..embedded.child import ChildProcess
from .application import read_journal
from .checker import (
    APPLICATION_WRITES_MIN,
    PAUSE_SECONDS_MIN,
    Check,
    Found,
    check_completed,
    check_pause,
    check_rolled_back,
)
from .live import Live
from .report import DecisionReport, Report, decision_reports
from .stage import HOLDFAST, Stage
from .story import Reader, Story

PATIENCE_SECONDS = 180.0
"""How long the demo waits for any one thing before it says that it did not come."""


@dataclass
class Play:
    """A scenario under way: its parts, and what is told of them."""

    stage: Stage
    story: Story
    reader: Reader
    live: Live
    report: Report
    journal: Path
    application: ChildProcess
    runner: ChildProcess

    def wait(self, done: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Show what happens until ``done``. Raises DemoFailed when it does not come, or a process ended before it."""
        deadline = time.monotonic() + seconds
        with self.story.changed:
            while not done():
                self.live.show(self.story)
                self.reader.check()
                for name, child in (("the runner", self.runner), ("the application", self.application)):
                    if (code := child.poll()) is not None and not (name == "the runner" and code == 0):
                        raise DemoFailed(
                            f"{name} ended with exit code {code} while waiting for {what}", child.log_tail()
                        )
                if time.monotonic() > deadline:
                    raise DemoFailed(f"{what} did not come in {seconds:g} s", self.runner.log_tail())
                self.story.changed.wait(0.2)
            self.live.show(self.story)

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

    def stop_application(self) -> None:
        """End the application after its write at hand; its journal is complete then."""
        self.application.stop()
        self.report.application_writes = len(read_journal(self.journal))


def errors(play: Play) -> None:
    """Paused at 5 %, resumed by an operator, rolled back at 10 %."""
    story = play.story
    play.wait(lambda: story.effective("pause") is not None, "the pause")
    pause = story.effective("pause")
    assert pause is not None
    effective = from_milliseconds(pause.timestamp_ms)
    resume_asked = _paused_long_enough(play, effective)
    play.take(check_pause(play.stage.app_dsn, read_journal(play.journal), effective, resume_asked))
    epoch = pause.record.epoch
    play.live.say(f"the operator resumes {story.migration_id}#{epoch}")
    play.stage.run(
        "resume",
        [
            *HOLDFAST, "resume", f"{story.migration_id}#{epoch}",
            "--actor", "demo-operator", "--reason", "the demo's operator lets it go on",
        ],
        60,
    )  # fmt: skip
    play.wait(lambda: story.finished is not None, "the end of the rollback")
    play.stop_application()
    play.take(check_rolled_back(play.stage.app_dsn, read_journal(play.journal)))
    _check_decisions(play)


def healthy(play: Play) -> None:
    """To the end, and nothing fires."""
    play.wait(lambda: play.story.finished is not None, "the end of the run")
    play.stop_application()
    play.take(check_completed(play.stage.app_dsn, read_journal(play.journal)))
    fired = [d.record.verdict for d in play.story.decisions]
    play.check(Check("nothing fired", not fired, "; ".join(fired) or "no decision"))
    play.check(Check("the run completed", play.story.finished == "completed", str(play.story.finished)))


def _paused_long_enough(play: Play, effective: datetime) -> datetime:
    def long_enough() -> bool:
        if (datetime.now(UTC) - effective).total_seconds() <= PAUSE_SECONDS_MIN + 0.2:
            return False
        meanwhile = sum(write.at > effective for write in read_journal(play.journal))
        return meanwhile > APPLICATION_WRITES_MIN

    # Not enough writes of the application is the checker's to say, so this wait has an end of its own.
    deadline = time.monotonic() + 15
    play.wait(lambda: long_enough() or time.monotonic() > deadline, "3 s of pause")
    return datetime.now(UTC)


def _check_decisions(play: Play) -> None:
    reports = decision_reports(play.story)
    paused = [d for d in reports if d.action == "pause" and d.outcome == "effective"]
    rolled_back = [d for d in reports if d.action == "rollback" and d.outcome == "effective"]
    play.check(
        Check(
            "paused by error_rate > 0.05, before 0.1",
            bool(paused) and not _above(paused[0].observed, 0.1),
            _verdicts(paused),
        )
    )
    play.check(
        Check(
            "rolled back by error_rate > 0.1",
            bool(rolled_back) and play.story.finished == "rolled_back",
            _verdicts(rolled_back),
        )
    )


def _above(observed: float | None, limit: float) -> bool:
    return observed is None or observed > limit


def _verdicts(reports: list[DecisionReport]) -> str:
    return "; ".join(report.verdict for report in reports) or "none"


SCENARIOS: dict[str, Callable[[Play], None]] = {"errors": errors, "healthy": healthy}
