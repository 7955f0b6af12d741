"""healthy: to the end, and nothing fires."""

from ..application import read_journal
from ..checker import Check, check_completed
from .play import Play


def healthy(play: Play) -> None:
    """Play it."""
    play.start_worker("runner")
    play.wait(lambda: play.story.finished is not None, "the end of the run")
    play.stop_application()
    play.take(check_completed(play.stage.app_dsn, read_journal(play.journal)))
    fired = [d.record.verdict for d in play.story.decisions]
    play.check(Check("nothing fired", not fired, "; ".join(fired) or "no decision"))
    play.check(Check("the run completed", play.story.finished == "completed", str(play.story.finished)))
