"""What the scenario `slow` asks of the application's journal, at the edge where a p95 jumps."""

from datetime import timedelta

import pytest

from holdfast_consoles.demo.application import Write
from holdfast_consoles.demo.scenarios.slow import WINDOW_SECONDS, warned_as_the_journal_says
from holdfast_schemas.decisions import Decision
from tests.schemas.samples import SAMPLES


def warning(observed: float) -> Decision:
    (decided, *_) = SAMPLES["decisions"]
    assert isinstance(decided, Decision)
    return decided.model_copy(update={"metric": "response_time_p95", "observed": observed})


def journal(warned: Decision, fast: int, slow: int) -> list[Write]:
    step = timedelta(seconds=WINDOW_SECONDS) / (fast + slow + 1)
    seconds = [0.004] * fast + [0.39] * slow
    return [Write(warned.decided_at - step * at, "update", 1, seconds=each) for at, each in enumerate(seconds)]


@pytest.mark.parametrize(
    ("fast", "slow", "holds"),
    [(323, 40, True), (340, 19, True), (345, 18, True), (363, 0, False), (362, 1, False), (0, 0, False)],
    ids=["well over", "just over", "just under: the edges differ by a second", "never slow", "one write", "no writes"],
)
def test_the_journal_bears_the_warning_out(fast: int, slow: int, holds: bool) -> None:
    warned = warning(393.5)
    assert warned_as_the_journal_says(warned, journal(warned, fast, slow)).passed is holds


def test_a_p95_that_no_write_took_is_not_borne_out() -> None:
    warned = warning(900.0)
    assert not warned_as_the_journal_says(warned, journal(warned, 323, 40)).passed
