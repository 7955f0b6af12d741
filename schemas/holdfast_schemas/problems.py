"""A pydantic refusal in a stranger's words: which key, what was found there, what is allowed."""

import json
from collections.abc import Sequence
from typing import get_args

from pydantic import BaseModel, ValidationError

Problem = tuple[str, str, str]


def problems(error: ValidationError, model: type[BaseModel] | None = None) -> Sequence[Problem]:
    """(key, found, allowed) for each thing that is wrong; with the ``model``, an unknown key is told the known ones."""
    found = []
    for e in error.errors(include_url=False, include_context=True):
        key = (
            ".".join(str(part) for part in e["loc"] if not str(part).startswith(("function-", "tagged-"))) or "(whole)"
        )
        unknown = e["type"] == "extra_forbidden"  # a secret under a mistyped name: its value helps nobody
        hidden = unknown or _secret(key)
        shown = "nothing" if e["type"] == "missing" else "(not shown)" if hidden else _short(e.get("input"))
        found.append((key, shown, _known_keys(model, e["loc"]) if unknown else _allowed(e["msg"])))
    return found


def _known_keys(model: type[BaseModel] | None, place: Sequence[int | str]) -> str:
    """The keys that may stand where the unknown one does."""
    kind: object = model
    for part in place[:-1]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:  # an item of a mapping or a list
            kind = next(iter(get_args(kind)[-1:]), None)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"no such key; allowed are {', '.join(sorted(kind.model_fields))}"
    return "no such key"


def _secret(key: str) -> bool:
    return key.rpartition(".")[2].endswith(("password", "dsn", "url", "secret"))


def _short(value: object) -> str:
    try:
        text = json.dumps(value, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "allowed is", 1)
