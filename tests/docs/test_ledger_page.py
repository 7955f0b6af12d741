"""docs/ledger.md: its tables and rights are those of the code, its sentences those of the errors."""

import re
from pathlib import Path

import pytest

from holdfast_actuators.ledger import retention, roles, schema
from holdfast_consoles.cli.ledger import app
from holdfast_schemas import errors
from holdfast_schemas.settings import KEEP_DAYS_MIN, LedgerSettings

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
TABLES = PAGE.split("## What is in it")[1].split("## ")[0]
NEWEST = schema.scripts()[-1]


def test_the_rights_are_the_ones_that_are_granted() -> None:
    shown = {}
    for names, rights in re.findall(r"^\| (`[^|]*`) \| [^|]* \| ([A-Z, ]+) \|", TABLES, re.M):
        shown |= {table: tuple(rights.strip().split(", ")) for table in re.findall(r"`(\w+)`", names)}
    assert shown == dict(roles.GRANTS)


def test_every_other_table_of_the_scripts_is_named() -> None:
    made = {name for _, _, text in schema.scripts() for name in re.findall(r"CREATE TABLE (\w+)", text.decode())}
    assert {name for name in made if f"`{name}`" not in TABLES} == set()


@pytest.mark.parametrize(
    "refusal",
    [
        errors.LedgerBehind("holdfast", ["008_…"]),
        errors.LedgerTooNew("holdfast", "009_…", "008_…"),
        errors.LedgerMigrationFailed("008_…", "holdfast", "…"),
        errors.LedgerRightsMissing("holdfast", "…", "…"),
        errors.LedgerSchemaChanged("008_…", "holdfast"),
    ],
    ids=lambda refusal: type(refusal).__name__,
)
def test_each_refusal_is_shown_in_its_words_with_its_exit_code(refusal: errors.HoldfastError) -> None:
    shown = re.findall(r"^\| `(.*?)` \|", PAGE.split("you see (exit 3)")[1].split("## ")[0], re.M)
    assert any(str(refusal).startswith(words) for words in shown), str(refusal)
    assert refusal.exit_code == 3


def test_its_newest_script_its_commands_and_its_figures_are_those_of_the_code() -> None:
    assert f"schema holdfast lacks {NEWEST[0]:03}_…" in PAGE
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"ledger {command.callback.__name__}" in PAGE
    assert f"`HOLDFAST_LEDGER__KEEP_DAYS` is {LedgerSettings().keep_days}, and {KEEP_DAYS_MIN} at least" in PAGE
    assert f"{retention.BATCH_ROWS} rows a transaction" in PAGE
    assert f"{schema.TABLE_LOCK_SECONDS} s for a table" in PAGE
