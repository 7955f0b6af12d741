"""Protocol 4: rules are in the log, and everywhere before they are called effective."""

import pytest

from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.triggers import DEFAULT_RULES_TEXT, rules_hash
from holdfast_schemas.watches import Watched

from .conftest import Bench

pytestmark = pytest.mark.postgres


def test_rules_get_the_next_version_and_are_sent_until_every_watched_names_them(bench: Bench) -> None:
    asked = bench.ask("apply_triggers", rules=DEFAULT_RULES_TEXT)
    applied = [r for r in bench.drain() if isinstance(r, TriggersApplied)]
    assert [(a.version, a.rules, a.rules_hash) for a in applied] == [
        (1, DEFAULT_RULES_TEXT, rules_hash(DEFAULT_RULES_TEXT))
    ]
    assert bench.ledger.beat([]).version == 1
    bench.age("rules", "sent_at", 6)
    bench.ledger.deadlines()
    assert any(isinstance(r, TriggersApplied) for r in bench.drain())
    for partition in range(2):
        bench.ledger.watched(watched(partition, 1, rules_hash(DEFAULT_RULES_TEXT)), to_milliseconds(now()))
    bench.ledger.deadlines()
    assert bench.outcomes(asked.request_id) == ["requested", "effective"]


def test_one_apply_cures_a_forged_version(bench: Bench) -> None:
    bench.ledger.watched(watched(0, 77, "f" * 64), to_milliseconds(now()))
    bench.ask("apply_triggers", rules=DEFAULT_RULES_TEXT)
    assert bench.ledger.beat([]).version == 78


def sent_versions(bench: Bench) -> list[int]:
    bench.drain()
    return [r.version for r in bench.sent if isinstance(r, TriggersApplied)]


def test_rules_numbered_before_the_log_was_heard_are_gone_over_once(bench: Bench) -> None:
    """The ledger was restored from a backup: the log is at version 5, and the first Watched comes after the apply."""
    digest = rules_hash(DEFAULT_RULES_TEXT)
    asked = bench.ask("apply_triggers", rules=DEFAULT_RULES_TEXT)
    bench.ledger.watched(watched(0, 5, "f" * 64), to_milliseconds(now()))
    for _ in range(3):
        bench.ledger.deadlines()
    assert sent_versions(bench) == [1, 6]
    assert bench.ledger.beat([]).version == 6
    bench.ledger.watched(watched(0, 6, digest), to_milliseconds(now()))
    bench.ledger.deadlines()
    assert bench.outcomes(asked.request_id) == ["requested", "effective"]


def test_rules_that_were_in_force_are_not_put_back_over_others_by_themselves(bench: Bench) -> None:
    """A forged record, or a ledger restored to before the newest apply: which rules are meant is a person's to say."""
    bench.ask("apply_triggers", rules=DEFAULT_RULES_TEXT)
    bench.ledger.watched(watched(0, 1, rules_hash(DEFAULT_RULES_TEXT)), to_milliseconds(now()))
    bench.ledger.deadlines()
    bench.ledger.watched(watched(0, 5, "f" * 64), to_milliseconds(now()))
    bench.ledger.deadlines()
    assert sent_versions(bench) == [1]
    bench.ask("apply_triggers", rules=DEFAULT_RULES_TEXT)
    assert sent_versions(bench) == [1, 6]


def test_rules_that_are_none_are_refused(bench: Bench) -> None:
    asked = bench.ask("apply_triggers", rules='{"triggers": 3}')
    assert bench.outcomes(asked.request_id) == ["refused"]
    assert bench.ledger.beat([]).version == 0


def watched(partition: int, version: int, digest: str) -> Watched:
    return Watched(
        partition=partition, log_id=new_id(), tick_offset=1, tick_at=now(), decisions_end=0, rules_version=version,
        rules_hash=digest, lag_seconds=0.0, occurred_at=now(),
    )  # fmt: skip


def test_a_partition_that_was_not_heard_lately_does_not_agree(bench: Bench) -> None:
    bench.ledger.watched(watched(0, 0, "0" * 64), to_milliseconds(now()) - 60_000)
    asked = bench.ask("apply_triggers", rules=DEFAULT_RULES_TEXT)
    digest = rules_hash(DEFAULT_RULES_TEXT)
    bench.ledger.watched(watched(1, 1, digest), to_milliseconds(now()))
    bench.ledger.deadlines()
    assert bench.outcomes(asked.request_id) == ["requested"]
    bench.ledger.watched(watched(0, 1, digest), to_milliseconds(now()))
    bench.ledger.deadlines()
    assert bench.outcomes(asked.request_id) == ["requested", "effective"]
