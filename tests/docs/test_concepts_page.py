"""docs/concepts.md: the words are the code's own, lists are whole, figures are the defaults in force."""

import re
from pathlib import Path
from typing import get_args

import pytest

from holdfast_schemas.metrics import Reading
from holdfast_schemas.requests import RequestKind
from holdfast_schemas.settings import ActuatorSettings
from holdfast_schemas.states import FINAL_OUTCOMES, OUTCOMES, Mode, RunOutcome, TriggerAction, WorkerState
from holdfast_schemas.triggers import JudgementSettings, Trigger

from .test_protocol_page import ROOT

PAGE = (ROOT / "docs" / "concepts.md").read_text()
PARAGRAPHS = {found[1]: found[0] for found in re.finditer(r"^\*\*(.+?)\*\*.*$", PAGE, re.M)}
SOURCES = "\n".join(
    path.read_text()
    for stage in ("schemas", "producers", "processors", "actuators", "consoles")
    for path in Path(ROOT, stage).rglob("*.py")
)
WORDS = sorted(set(re.findall(r"`([A-Za-z_]+)(?:\(\)|=\w+| = \"\w+\")?`", PAGE)))


def words(of: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", PARAGRAPHS[of]))


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_one_of_the_code(word: str) -> None:
    assert re.search(rf"\b{word}\b", SOURCES), word


@pytest.mark.parametrize(
    ("paragraph", "listed"),
    [
        ("Run", get_args(RunOutcome)),
        ("Worker", get_args(WorkerState)),
        ("Observe, guard", get_args(Mode)),
        ("Trigger", get_args(TriggerAction)),
        ("Trigger", get_args(Reading)),
        ("Outcome", OUTCOMES),
    ],
)
def test_a_list_is_whole(paragraph: str, listed: tuple[str, ...]) -> None:
    assert set(listed) <= words(paragraph)


def test_outcomes_are_final_or_on_the_way() -> None:
    on_the_way, final = PARAGRAPHS["Outcome"].split("Final, exactly one:")
    assert set(re.findall(r"`(\w+)`", final)) == FINAL_OUTCOMES
    assert set(re.findall(r"`(\w+)`", on_the_way)) == set(OUTCOMES) - FINAL_OUTCOMES
    assert {"pause", "resume", "rollback", "override", "freeze"} <= words("Decision") & set(get_args(RequestKind))


def test_its_figures_are_the_defaults() -> None:
    judgement, actuator = JudgementSettings(), ActuatorSettings()
    assert f"({judgement.watch_window_seconds / 60:g} minutes" in PARAGRAPHS["Run"]
    assert actuator.lost_after_seconds == 86_400
    assert f"no report for {judgement.dead_after_seconds:g} s" in PARAGRAPHS["Alive, stuck, dead"]
    lease = PARAGRAPHS["Lease"]
    assert f"every {actuator.beat_seconds:g} s" in lease
    assert f"lasts {actuator.lease_seconds:g} s" in lease
    assert f"({Trigger.model_fields['window_seconds'].default:g} s)" in PARAGRAPHS["Trigger"]
