"""docs/triggers.md: every metric stands there, and every example is a rule set."""

import re
from pathlib import Path

import pytest

from holdfast_consoles.cli import rules_file
from holdfast_schemas.triggers import METRIC_UNITS, Trigger

PAGE = (Path(__file__).parents[2] / "docs" / "triggers.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
SCOPE = next(text for text in EXAMPLES if text.startswith("phases"))
TABLE = re.findall(r"^\| `([\w.<>]+)` \|([^|]*)\|", PAGE, re.M)


def test_every_metric_stands_in_the_table_with_its_unit() -> None:
    found = {metric: unit.strip() for metric, unit in TABLE if metric != "metric"}
    assert found == METRIC_UNITS | {"run.<name>": "yours", "target.<name>": "yours"}


@pytest.mark.parametrize("text", [text for text in EXAMPLES if text != SCOPE])
def test_every_example_is_a_rule_set(text: str, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(text)
    assert rules_file.read(tmp_path / "rules.toml").triggers


def test_the_example_of_where_and_when_names_keys_of_a_trigger() -> None:
    assert set(re.findall(r"^(\w+) = ", SCOPE, re.M)) < set(Trigger.model_fields)
