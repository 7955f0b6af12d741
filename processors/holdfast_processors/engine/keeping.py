"""States as bytes and back. A state carries the partition offset at which it was encoded (protocol 3).

A partition's record holds its targets' health too: a replay from it must not meet samples from its own future.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import orjson

from holdfast_schemas.errors import ForeignLog, StateTooNew
from holdfast_schemas.triggers import RuleSet

from . import ENGINE_VERSION, STATE_VERSION
from .panes import Panes
from .state import PARTITION_KEY, Episode, Migration, PartitionState, Target, TriggerState, Worker


def offset_of(state: PartitionState, key: str) -> int:
    """The offset of the newest record that this encoding includes: in a replay a state may be beyond the position."""
    migration = state.migrations.get(key)
    return max(state.position - 1, -1 if migration is None else migration.offset)


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
            "targets": {name: _plain(target) for name, target in state.targets.items()},
        }
    elif (migration := state.migrations.get(key)) is not None:
        body = _plain(migration)
        del body["offset"]  # beside the body: the same state is the same bytes wherever it was encoded
    else:
        return None
    body |= {"state_version": STATE_VERSION, "engine_version": ENGINE_VERSION, "log_id": state.log_id}
    return orjson.dumps(body)


def load(state: PartitionState, key: str, offset: int, body: bytes) -> None:
    """Take a kept state in, the partition's own first.

    Raises StateTooNew when a newer release wrote it, ForeignLog when it was kept beside another log.
    """
    raw = orjson.loads(body)
    if (version := raw.pop("state_version")) > STATE_VERSION:
        raise StateTooNew(key, version, STATE_VERSION)
    del raw["engine_version"]
    log_id = raw.pop("log_id")
    if state.log_id is not None and log_id is not None and log_id != state.log_id:
        raise ForeignLog(key, log_id, state.log_id)
    if key == PARTITION_KEY:
        state.log_id = log_id
        state.rules = RuleSet.model_validate_json(raw["rules"])
        state.rules_version, state.rules_hash = raw["rules_version"], raw["rules_hash"]
        state.now = raw["now"]
        state.last_tick = None if raw["last_tick"] is None else tuple(raw["last_tick"])
        state.blind_until_ms, state.log_gaps = raw["blind_until_ms"], raw["log_gaps"]
        state.targets = {name: _target(target) for name, target in raw["targets"].items()}
        state.kept_offset = offset
        state.position, state.started = offset + 1, True
    else:
        state.migrations[key] = _migration(raw, offset)


def _plain(part: Any) -> dict[str, Any]:
    """A dataclass as a dictionary without what is at its default: most of a state is."""
    found: dict[str, Any] = {}
    for each in fields(part):
        value = getattr(part, each.name)
        if each.name == "panes":
            found["panes"] = {key: panes.packed() for key, panes in value.items()}
        elif each.name in ("workers", "triggers"):
            found[each.name] = {name: _plain(inner) for name, inner in value.items()}
        elif each.name in ("breach", "missing"):
            if value is not None:
                found[each.name] = _plain(value)
        elif value != each.default and value != {}:
            found[each.name] = value
    return found


def _migration(raw: dict[str, Any], offset: int) -> Migration:
    triggers = {
        name: TriggerState(**{part: _episode(part, value) for part, value in kept.items()})
        for name, kept in raw.pop("triggers").items()
    }
    workers = {name: Worker(**kept) for name, kept in raw.pop("workers").items()}
    return Migration(**raw | {"offset": offset, "workers": workers, "triggers": triggers, "panes": _panes(raw)})


def _target(raw: dict[str, Any]) -> Target:
    if "response_ms" not in raw and "metrics_ms" not in raw:  # state version 1 knew response times alone
        raw["response_ms"] = raw["sampled_ms"]
    return Target(**raw | {"panes": _panes(raw)})


def _panes(raw: Mapping[str, Any]) -> dict[str, Panes]:
    return {key: Panes.unpacked(packed) for key, packed in raw["panes"].items()}


def _episode(name: str, value: Any) -> Any:
    return Episode(**value) if name in ("breach", "missing") else value
