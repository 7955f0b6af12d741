"""errors: paused at 5 %, resumed by an operator, rolled back at 10 %."""

from holdfast_schemas.record import from_milliseconds

from ..application import read_journal
from ..checker import APPLICATION_WRITES_MIN, PAUSE_SECONDS_MIN, Check, check_pause, check_rolled_back
from ..report import DecisionReport, decision_reports
from .play import Play


def errors(play: Play) -> None:
    """Play it."""
    play.start_worker("runner")
    pause = play.wait_for_effective("pause", "the pause")
    effective = from_milliseconds(pause.timestamp_ms)
    resume_asked = play.stay(effective, PAUSE_SECONDS_MIN, APPLICATION_WRITES_MIN)
    play.take(check_pause(play.stage.app_dsn, read_journal(play.journal), effective, resume_asked))
    play.answered(play.operator("resume", pause.record.epoch or 0, "the demo's operator lets it go on"))
    play.wait(lambda: play.story.finished is not None, "the end of the rollback")
    play.wait_for_effective("rollback", "the record of its end")
    play.stop_application()
    play.take(check_rolled_back(play.stage.app_dsn, read_journal(play.journal)))
    check_decisions(play)


def check_decisions(play: Play) -> None:
    """Whether the pause and the rollback were those of the two thresholds."""
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
