"""docs/personal-data.md: each topic with the time that it is really kept."""

import re
from pathlib import Path

from holdfast_schemas.redaction import MESSAGE_BYTES
from holdfast_schemas.settings import ActuatorSettings, LedgerSettings, ReporterSettings
from holdfast_schemas.transport.topics import all_topics
from holdfast_schemas.triggers import JudgementSettings

from .test_protocol_page import ROOT

PAGE = (ROOT / "docs" / "personal-data.md").read_text()
KEPT = dict(re.findall(r"^\| `(holdfast\.[a-z-]+)` \| .*? \| (.*?) \|$", PAGE, re.M))
UNITS = {"d": 86_400_000, "h": 3_600_000}


def in_words(config: dict[str, str]) -> str:
    """How long a topic's settings keep a record, as the page says it."""
    policies = config["cleanup.policy"].split(",")
    words = ["newest of a key"] if "compact" in policies else []
    if "delete" in policies:
        milliseconds = int(config["retention.ms"])
        unit = next(unit for unit, length in UNITS.items() if milliseconds % length == 0)
        words.append(f"{milliseconds // UNITS[unit]} {unit}")
    return ", ".join(words)


def test_every_topic_stands_there_with_its_retention() -> None:
    expected = {name: in_words(config) for name, config in all_topics().items()}
    assert {name: re.sub(r", until .*", "", kept) for name, kept in KEPT.items()} == expected


def test_the_other_figures_are_the_ones_in_force() -> None:
    ledger, stub_days = LedgerSettings(), JudgementSettings().stub_seconds / 86_400
    for said in (
        f"`[ledger] keep_days` = {ledger.keep_days} d",
        f"`[actuator] journal_keep_days` = {ActuatorSettings().journal_keep_days:g} d",
        f"a stub of {stub_days:g} d", f"at most {MESSAGE_BYTES} bytes",
        f"a notification {ActuatorSettings().notify_give_up_seconds / 86_400:g} d at most",
    ):  # fmt: skip
        assert said in PAGE
    assert ReporterSettings().message_texts is False


def test_the_named_tests_are_there() -> None:
    for path in re.findall(r"`(tests/[\w/]+\.py)`", PAGE):
        assert Path(ROOT, path).is_file(), path
