"""Generate JSON Schemas and the AsyncAPI document of the contracts: ``python -m holdfast_schemas.json_schemas [--check]``.

One file a topic under ``json/``, and ``asyncapi.json``; a test fails when a contract moved and its file did not.
"""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from .asyncapi import document
from .transport.topics import CONTRACT_TOPICS, Topic
from .triggers import RuleSet

FOLDER = Path(str(files(__package__).joinpath("json")))


def _text(schema: object) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def generated() -> dict[str, bytes]:
    """The schema files as the contracts say them now, by file name."""

    def of(topic: Topic[Any]) -> bytes:
        schema = topic.contract.json_schema(mode="validation")
        return _text({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": topic.full_name(), **schema})

    schemas = {f"{topic.name}.schema.json": of(topic) for topic in CONTRACT_TOPICS}
    schemas["asyncapi.json"] = _text(document())
    schemas["rules.schema.json"] = _text(RuleSet.model_json_schema())
    return schemas


def drifted() -> list[str]:
    """The files that are not what the contracts say."""
    return sorted(
        name
        for name, content in generated().items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_bytes() != content
    )


def main() -> int:
    """Write the files, or with ``--check`` only name those that drifted (exit 1)."""
    if "--check" in sys.argv[1:]:
        names = drifted()
        for name in names:
            print(f"{name} is not what the contracts say: python -m holdfast_schemas.json_schemas")
        return 1 if names else 0
    FOLDER.mkdir(exist_ok=True)
    for name, content in generated().items():
        (FOLDER / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
