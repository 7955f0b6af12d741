"""`status --json`, whole: programs are built on it, so each field is held here, beside docs/command-line.md."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast_consoles.cli.status import OBSERVED, as_plain
from holdfast_schemas.transport import topics
from tests.consoles.conftest import Holdfast, Log
from tests.consoles.test_board import one
from tests.consoles.test_status import beat, desired, metrics

pytestmark = pytest.mark.kafka
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def test_the_whole_of_it(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    figures = metrics(migration_id, seconds_since_report=1.0, seconds_since_progress=3.0)
    wanted = desired(migration_id, epoch=9)
    log.write(topics.metrics, figures)
    log.write(topics.control, wanted)
    beat(log, migration_id, renewed=True)
    ran = holdfast("status", migration_id, "--json")
    assert (ran.code, ran.err) == (0, "")
    shown = json.loads(ran.out)
    guard, liveness = shown.pop("guard"), shown.pop("liveness")
    assert re.fullmatch(r"lease renewed \d+ s ago by actuator-1, never judged", guard)
    assert 1.0 <= liveness.pop("seconds_since_report") < 10.0
    assert re.fullmatch(r"alive: 1 of 2 workers are heard, the last \d s ago; .*", liveness.pop("sentence"))
    assert liveness == {"verdict": "alive", "seconds_since_progress": 3.0}
    assert shown == {
        "migration_id": migration_id,
        "epoch": 9,
        "state": "running, pause requested",
        "over": False,
        "guarded": True,
        "desired": wanted.model_dump(mode="json"),
        "overridden_until": None,
        "metrics": figures.model_dump(mode="json"),
        "next": [
            f"holdfast explain {migration_id}",
            f"holdfast resume {migration_id}#9 --reason TEXT",
            f"holdfast rollback {migration_id}#9 --reason TEXT",
        ],
    }
    assert json.loads(holdfast("status", "--json").out)[0].keys() == {*shown, "guard", "liveness"}, (
        "all: a list of such"
    )


def test_what_is_not_there_is_null(log: Log, holdfast: Holdfast, migration_id: str) -> None:
    log.write(topics.control, desired(migration_id, epoch=1, desired="run"))
    shown = json.loads(holdfast("status", migration_id, "--json").out)
    assert (shown["metrics"], shown["guarded"]) == (None, False)
    assert shown["liveness"] == {
        "verdict": "unknown",
        "seconds_since_report": None,
        "seconds_since_progress": None,
        "sentence": "unknown: no report of this run was judged yet",
    }


def test_figures_of_an_earlier_run_are_not_this_ones() -> None:
    found = one()
    assert found.desired is not None
    later = found.desired.model_copy(update={"run_id": "0198c0de-0000-7000-8000-0000000000ff"})
    assert as_plain(type(found)(found.migration_id, found.metrics, later, found.guard))["metrics"] is None


def test_an_observed_migration_is_not_guarded_and_one_that_ended_is_over() -> None:
    observed: dict[str, Any] = as_plain(one(mode="observe"))
    assert (observed["guarded"], observed["guard"]) == (False, OBSERVED)
    assert as_plain(one(state="finished", outcome="completed"))["over"] is True


def test_the_page_names_each_field_and_no_other() -> None:
    table = PAGE.read_text().partition("## `status --json`")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([a-z_.]+)`", table, re.MULTILINE)
    plain = as_plain(one())
    fields = [f for f in plain if f != "liveness"] + [f"liveness.{f}" for f in vars(plain["liveness"])]
    assert sorted(named) == sorted(fields)
