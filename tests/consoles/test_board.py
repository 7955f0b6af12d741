"""The live view, as text: what stands in each row, which rows are shown, and what is said of the selected one."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from holdfast_consoles.cli.board import board
from holdfast_consoles.cli.guard import Guard
from holdfast_consoles.cli.pressing import Asked, Pressing
from holdfast_consoles.cli.rows import ordered, row
from holdfast_consoles.cli.situation import Situation
from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.metrics import Estimate, MigrationMetrics, TriggerReading
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.transport.reading import Received
from tests.schemas.samples import AT, LATER, SAMPLES, VERDICT

[METRICS] = SAMPLES["metrics"]
[DESIRED] = SAMPLES["control"]
[LEASE] = SAMPLES["leases"]
assert isinstance(METRICS, MigrationMetrics)
[READING] = METRICS.triggers
QUIET = "2 ok, 1 absent, 1 no data"


def guard(renewed: bool = True, seconds_ago: float = 1.0) -> Guard:
    at = now()
    lease = LEASE.model_copy(update={"renewed": renewed})
    assert isinstance(lease, GuardLease)
    beat = Received(lease, 7, 1, to_milliseconds(at - timedelta(seconds=seconds_ago)), {})
    return Guard(beat, beat if renewed else None, None, at)


def one(name: str = "orders", desired: str | None = "run", held: Guard | None = None, **figures: Any) -> Situation:
    metrics = METRICS.model_copy(update={"migration_id": name, "updated_at": now(), **figures})
    wanted = DESIRED.model_copy(
        update={"migration_id": name, "desired": desired, "epoch": 7, "answers": None, "until": None, "recovery": None}
    )
    assert isinstance(wanted, DesiredState)
    return Situation(name, metrics, None if desired is None else wanted, held or guard())


def reading(**changes: Any) -> TriggerReading:
    return READING.model_copy(update=changes)


def shown(
    seen: list[Situation], pressing: Pressing | None = None, *answers: str, height: int = 30, width: int = 160
) -> str:
    paper = Console(file=StringIO(), width=width, height=height, color_system=None)
    paper.print(board(seen, pressing or Pressing(), answers, "head", LATER, width, height, "nothing yet"))
    assert isinstance(paper.file, StringIO)
    text = paper.file.getvalue()
    assert len(text.splitlines()) <= height, text
    return text


def test_a_row_tells_epoch_state_progress_rate_end_trigger_and_guard() -> None:
    cells = row(one(), LATER)
    assert cells.name == "orders#7"
    assert cells.state == "running"
    assert cells.progress == "2.3 % of 200,000"
    assert cells.rate == "400"
    assert cells.ends == "13:30 (12:00–13:30)"
    assert cells.trigger == f"pause: {VERDICT}"
    assert cells.guard == "held"


@pytest.mark.parametrize(
    ("seen", "cell", "text"),
    [
        (one(desired="pause"), "state", "running, pause requested"),
        (one(state="stuck", seconds_since_progress=75.0), "state", "stuck 75 s"),
        (one(state="dead", seconds_since_report=600.0), "state", "dead 10 min"),
        (one(updated_at=now() - timedelta(minutes=5)), "state", "running, stale"),
        (one(total_rows=None), "progress", "4,558 rows"),
        (one(rows_per_second=None), "rate", "absent"),
        (one(estimate=Estimate(state="unknown_total")), "ends", "unknown total"),
        (one(estimate=Estimate(state="done", expected=LATER)), "ends", "ended 13:30"),
        (one(estimate=Estimate(state="diverging", expected=LATER)), "ends", "13:30 (now–open)"),
        (one(estimate=Estimate(state="ready", expected=AT + timedelta(days=2))), "ends", "Mar 03 12:00 (now–open)"),
        (one(estimate=Estimate(state="ready", earliest=LATER, expected=LATER, latest=LATER)), "ends", "13:30"),
        (one(state="dead", estimate=Estimate(state="paused")), "ends", ""),
        (one(triggers=()), "trigger", "no trigger"),
        (one(triggers=[reading(reading=r) for r in ("ok", "absent", "ok", "no_data")]), "trigger", QUIET),
        (one(mode="observe"), "guard", "OBSERVED"),
        (one(state="finished", outcome="rolled_back"), "state", "rolled back"),
        (one(state="finished", outcome="completed"), "guard", "–"),
        (one(state="finished", outcome="completed"), "trigger", ""),
        (one(held=guard(seconds_ago=31)), "guard", "NO GUARD"),
        (one(held=guard(renewed=False)), "guard", "NO GUARD"),
        (one(held=Guard(None, None, None, now())), "guard", "NO GUARD"),
        (one(held=Guard(guard(renewed=False).beat, guard(seconds_ago=9).renewed, None, now())), "guard", "runs out"),
        (Situation("new", None, one().desired, guard()), "progress", "no report yet"),
    ],
)
def test_a_cell(seen: Situation, cell: str, text: str) -> None:
    assert getattr(row(seen, LATER), cell) == text


def test_a_short_row_leaves_out_total_range_and_verdict() -> None:
    cells = row(one(), LATER, short=True)
    assert (cells.progress, cells.ends, cells.trigger) == ("2.3 %", "13:30", "pause: tripped")


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_of_a_long_name_the_epoch_is_left_and_the_guard_is_whole(width: int) -> None:
    line = shown([one("m" * 100, held=guard(seconds_ago=31))], width=width).splitlines()[2]
    assert "m…#7 " in line
    assert line.rstrip().endswith("NO GUARD")
    assert ("412 of" in line or "error_r" in line) == (width >= 140)


def test_a_short_list_is_shown_whole_and_a_long_one_leaves_room_for_the_selected() -> None:
    text = shown([one(f"m{n}") for n in range(8)], height=20)
    assert all(f"\nm{n}#7" in text for n in range(8))
    text = shown([one(f"m{n:02}") for n in range(80)], height=20)
    assert "wanted" in text


def test_the_worst_trigger_is_the_gravest_reading_then_the_severest_action() -> None:
    triggers = (
        reading(trigger_id="a", reading="ok", action="rollback", verdict="fine"),
        reading(trigger_id="b", reading="breach", action="warn", verdict="slow"),
        reading(trigger_id="c", reading="breach", action="pause", verdict="errors"),
        reading(trigger_id="d", reading="absent", action="rollback", verdict="nothing heard"),
    )
    assert row(one(triggers=triggers), LATER).trigger == "pause: errors"


def test_what_goes_on_stands_above_what_is_over_the_newest_end_first() -> None:
    old, new = (
        one(name, state="finished", outcome="completed", updated_at=at) for name, at in (("a", AT), ("b", LATER))
    )
    names = [each.migration_id for each in ordered([old, new, one("c"), one("d")])]
    assert names == ["c", "d", "b", "a"]


def test_the_board_shows_the_rows_the_selected_one_in_full_and_the_keys() -> None:
    text = shown([one("a"), one("b")], Pressing(selected="b"), "pause of b#8 is effective")
    lines = text.splitlines()
    assert lines[0] == "head"
    assert lines[1].split() == [
        "migration",
        "state",
        "progress",
        "rows/s",
        "ends",
        "(UTC)",
        "worst",
        "trigger",
        "guard",
    ]
    assert lines[2].startswith("a#7")
    assert lines[3].startswith("b#7")
    assert "b#7  running" in text
    assert "4,558 of about 200,000 rows (2.3 %), phase backfill, 412 failed, 1 of 2 workers live" in text
    assert "by actuator-1" in text
    assert lines[-2] == "pause of b#8 is effective"
    assert "p pause" in lines[-1]


def test_more_rows_than_fit_scroll_with_the_selected_one() -> None:
    seen = [one(f"m{n:03}") for n in range(200)]
    for selected in (0, 7, 100, 199):
        text = shown(seen, Pressing(selected=f"m{selected:03}"), height=24)
        assert f"\nm{selected:03}#7" in text
        assert "more: scroll" in text.splitlines()[0]
        assert "quit" in text.splitlines()[-1]


@pytest.mark.parametrize("height", [8, 10, 24, 60])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_board_fits_any_terminal(height: int, width: int) -> None:
    text = shown([one(f"m{n}") for n in range(9)], Pressing(selected="m4"), "x" * 300, height=height, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "m4" in text


def test_a_reason_is_typed_under_what_it_is_for() -> None:
    text = shown([one("a")], Pressing(selected="a", typing=Asked("rollback", "a", 7), reason="wrong ra"))
    assert text.splitlines()[-2:] == ["rollback a#7: why? (Enter sends, Esc cancels)", "> wrong ra▏"]


def test_of_a_long_reason_the_end_is_shown() -> None:
    reason = "".join(f"word {n} " for n in range(60)) + "end"
    text = shown([one("a")], Pressing(selected="a", typing=Asked("pause", "a", 7), reason=reason), width=60, height=12)
    assert text.splitlines()[-1].endswith("word 58 word 59 end▏")


def test_an_empty_board_says_why() -> None:
    assert "nothing yet" in shown([])


def test_records_do_not_drive_the_terminal() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07[bold]markup[/bold]"
    text = shown([one("a", triggers=(reading(verdict=hostile),), current_phase=hostile)], None, hostile)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]markup[/bold]" in text, "brackets are text, not rich's markup"
