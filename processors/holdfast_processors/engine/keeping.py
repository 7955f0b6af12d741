"""States as bytes and back. A state carries the partition offset at which it was encoded (protocol 3)."""

from dataclasses import asdict
from typing import Any

import orjson
from pydantic import TypeAdapter

from holdfast_schemas.errors import StateTooNew
from holdfast_schemas.triggers import RuleSet

from . import ENGINE_VERSION, STATE_VERSION
from .state import PARTITION_KEY, TARGET_PREFIX, Migration, PartitionState, Target

_MIGRATION = TypeAdapter(Migration)
_TARGET = TypeAdapter(Target)


def offset_of(state: PartitionState, key: str) -> int:
    """The offset of the newest record that this encoding of the key includes."""
    return state.position - 1


def encode(state: PartitionState, key: str) -> bytes | None:
    """The key's state as JSON; None where it is forgotten (a tombstone)."""
    if key == PARTITION_KEY:
        body: dict[str, Any] = {
            "rules": state.rules.model_dump_json(),
            "rules_version": state.rules_version,
            "rules_hash": state.rules_hash,
            "now": state.now,
            "last_tick": state.last_tick,
            "blind_until_ms": state.blind_until_ms,
            "log_gaps": state.log_gaps,
        }
    elif key.startswith(TARGET_PREFIX):
        target = state.targets.get(key.removeprefix(TARGET_PREFIX))
        if target is None:
            return None
        body = asdict(target)
    else:
        migration = state.migrations.get(key)
        if migration is None:
            return None
        body = asdict(migration)
    body |= {"state_version": STATE_VERSION, "engine_version": ENGINE_VERSION, "log_id": state.log_id}
    return orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)


def load(state: PartitionState, key: str, offset: int, body: bytes) -> None:
    """Take a kept state in. Raises StateTooNew when a newer release wrote it."""
    raw = orjson.loads(body)
    if (version := raw.pop("state_version")) > STATE_VERSION:
        raise StateTooNew(key, version, STATE_VERSION)
    raw.pop("engine_version")
    log_id = raw.pop("log_id")
    if key == PARTITION_KEY:
        state.log_id = log_id
        state.rules = RuleSet.model_validate_json(raw["rules"])
        state.rules_version, state.rules_hash = raw["rules_version"], raw["rules_hash"]
        state.now = raw["now"]
        state.last_tick = None if raw["last_tick"] is None else tuple(raw["last_tick"])
        state.blind_until_ms, state.log_gaps = raw["blind_until_ms"], raw["log_gaps"]
        state.kept_offset = offset
        state.position, state.started = offset + 1, True
    elif key.startswith(TARGET_PREFIX):
        target = _TARGET.validate_python(raw)
        target.offset = offset
        state.targets[target.name] = target
    else:
        migration = _MIGRATION.validate_python(raw)
        migration.offset = offset
        state.migrations[key] = migration
