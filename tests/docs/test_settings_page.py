"""docs/settings.md names every setting with its default, and nothing that is none."""

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, SecretStr

from holdfast_consoles.cli import rules_file
from holdfast_schemas.settings import Settings, variables
from holdfast_schemas.triggers import DEFAULT_RULES, JudgementSettings, Trigger

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
ROWS = dict(re.findall(r"^\| `(HOLDFAST_\w+)` \| (.*?) \|", PAGE, re.M))
BY_NAME_ONLY = {"HOLDFAST_TARGETS", "HOLDFAST_MIGRATIONS"}
EXAMPLE = re.findall(r"```toml\n(.*?)```", PAGE, re.S)[1]


def defaults() -> dict[str, str]:
    """Each variable's default, as the page writes it."""
    shown: dict[str, str] = {}
    for name, section in Settings.model_fields.items():
        kind = section.annotation
        fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {"": section}
        for key, field in fields.items():
            default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
            text = "unset" if default is None else f"`{default}`" if default != "" else "empty"
            shown[f"HOLDFAST_{name}__{key}".removesuffix("__").upper()] = text
    return {name: text for name, text in shown.items() if name not in BY_NAME_ONLY}


def test_every_variable_stands_there_once() -> None:
    assert set(ROWS) == variables() - BY_NAME_ONLY
    assert len(re.findall(r"^\| `HOLDFAST_", PAGE, re.M)) == len(ROWS)


def test_every_default_is_the_one_in_force() -> None:
    expected = defaults()
    assert {name: ROWS[name] for name in expected} == expected


def test_the_example_of_a_rule_set_is_one_and_shows_every_key_with_its_default(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(EXAMPLE)
    rules = rules_file.read(path)
    raw = tomllib.loads(EXAMPLE)
    unset = {name for name, field in Trigger.model_fields.items() if field.default is None}  # TOML has no null
    assert set(raw["triggers"][0]) == set(Trigger.model_fields) - unset
    for name in unset:
        assert f"# {name} = " in EXAMPLE
    assert set(raw["judgement"]) == set(JudgementSettings.model_fields)
    assert rules.triggers == DEFAULT_RULES.triggers[:1]
    assert rules.judgement == JudgementSettings()
