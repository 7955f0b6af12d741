"""A pydantic refusal in a stranger's words: which key, what was found there, what is allowed."""

import json
from collections.abc import Sequence

from pydantic import ValidationError

Problem = tuple[str, str, str]


def problems(error: ValidationError) -> Sequence[Problem]:
    """(key, found, allowed) for each thing that is wrong."""
    found = []
    for e in error.errors(include_url=False, include_context=True):
        key = (
            ".".join(str(part) for part in e["loc"] if not str(part).startswith(("function-", "tagged-"))) or "(whole)"
        )
        shown = "nothing" if e["type"] == "missing" else "(not shown)" if _secret(key) else _short(e.get("input"))
        found.append((key, shown, _allowed(e["msg"])))
    return found


def _secret(key: str) -> bool:
    return key.rpartition(".")[2].endswith(("password", "dsn"))


def _short(value: object) -> str:
    try:
        text = json.dumps(value, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "allowed is", 1)
