"""A rule set in a file, JSON or TOML, to the text that the log carries."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import from_json

from holdfast_schemas.errors import FileUnreadable, RulesInvalid
from holdfast_schemas.problems import problems
from holdfast_schemas.triggers import RuleSet


def read(path: Path) -> RuleSet:
    """The rule set in the file; its name ends in .toml, else it is JSON.

    Raises FileUnreadable, and RulesInvalid with key, what was found and what is allowed. A key that no rule has is refused
    here, though the log's contract would read past it: in a file it is a slip of the pen.
    """
    try:
        content = path.read_bytes()
        raw = tomllib.loads(content.decode()) if path.suffix == ".toml" else from_json(content)
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(path, str(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise RulesInvalid(str(path), [("(whole)", f"no TOML: {error}", "TOML, or JSON under another name")]) from None
    except ValueError as error:
        raise RulesInvalid(
            str(path), [("(whole)", f"no JSON: {error}", "JSON, or TOML in a file named *.toml")]
        ) from None
    try:
        rules = RuleSet.model_validate_json(_as_json(raw))
    except ValidationError as error:
        raise RulesInvalid(str(path), problems(error)) from None
    if unknown := list(_unknown(raw, rules.model_dump(mode="json"), "")):
        raise RulesInvalid(str(path), unknown)
    return rules


def text(rules: RuleSet) -> str:
    """The bytes that the log carries and that the hash is of."""
    return rules.model_dump_json()


def _as_json(raw: Any) -> bytes:
    return orjson.dumps(raw, default=str)


def _unknown(raw: Any, known: Any, at: str) -> Iterator[tuple[str, str, str]]:
    """(key, found, allowed) of each key that the rule set does not have."""
    if isinstance(raw, dict) and isinstance(known, dict):
        for key, value in raw.items():
            where = f"{at}.{key}" if at else str(key)
            if key not in known:
                yield where, "a key that no rule set has", f"allowed are {', '.join(sorted(known))}"
            else:
                yield from _unknown(value, known[key], where)
    elif isinstance(raw, list) and isinstance(known, list):
        for n, (value, known_value) in enumerate(zip(raw, known, strict=True)):
            yield from _unknown(value, known_value, f"{at}.{n}")
