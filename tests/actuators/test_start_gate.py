"""Protocol 5: a trigger that says `required` holds the start until its signal is there."""

import pytest

from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.triggers import RuleSet, Trigger, rules_hash
from holdfast_schemas.watches import Watched
from tests.actuators.conftest import Bench

pytestmark = pytest.mark.postgres
RULES = RuleSet(
    triggers=(Trigger(id="slow", metric="response_time_p95", threshold=2000, action="pause", required=True),)
).model_dump_json()


def watched(*fresh_targets: str) -> Watched:
    return Watched(
        partition=0, log_id=new_id(), tick_offset=1, tick_at=now(), decisions_end=0, rules_version=1,
        rules_hash=rules_hash(RULES), lag_seconds=0.1, fresh_targets=fresh_targets, occurred_at=now(),
    )  # fmt: skip


def test_a_required_signal_holds_the_start_until_it_is_there(bench: Bench) -> None:
    bench.ask("apply_triggers", rules=RULES)
    run = bench.start()
    [waiting] = [s.answers for s in bench.states() if s.answers]
    assert waiting.result == "waiting"
    assert "slow: no health sample of target orders" in waiting.reason

    bench.ledger.watched(watched("billing"), to_milliseconds(now()))
    bench.ledger.run_record(run)
    bench.ledger.watched(watched("orders"), to_milliseconds(now()))
    bench.ledger.run_record(run)
    assert [s.answers.result for s in bench.states() if s.answers] == ["waiting", "waiting", "granted"]
    assert bench.desired().desired == "run"
