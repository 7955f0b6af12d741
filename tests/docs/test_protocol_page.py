"""docs/protocol.md: each rule names modules and tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
RULES = dict(re.findall(r"^### (\d+)\. .*?$(.*?)(?=^##|\Z)", PAGE, re.M | re.S))
MODULES = sorted(set(re.findall(r"`((?:schemas|producers|processors|actuators|consoles)/[\w/.]+)`", PAGE)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@cache
def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_rule_is_there_with_a_module_and_a_test() -> None:
    assert list(map(int, RULES)) == list(range(1, 23))
    for number, text in RULES.items():
        for word in ("- Held by `", "- Proven by `tests/"):
            assert word in text, f"rule {number} has no {word!r}"


@pytest.mark.parametrize("module", MODULES)
def test_the_modules_exist(module: str) -> None:
    assert (ROOT / module).is_file()


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_the_tests_exist(path: str, name: str) -> None:
    assert name in functions_of(path)


def test_nothing_else_is_named_as_proof() -> None:
    for line in re.findall(r"^- (?:Held|Proven) by (.*)$", PAGE, re.M):
        assert re.fullmatch(r"`[\w/.]+(?:::\w+)?`(?:, `[\w/.]+(?:::\w+)?`)*", line), line
