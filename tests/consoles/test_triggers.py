"""`triggers check | apply | show`: a file is refused in words; applied means in force in every partition."""

import json
from pathlib import Path

import pytest

from holdfast_consoles.cli import rules_file
from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.record import now
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.triggers import DEFAULT_RULES, DEFAULT_RULES_HASH, RuleSet, rules_hash
from holdfast_schemas.watches import Watched
from tests.consoles.actuator_stand_in import answering, outcomes
from tests.consoles.conftest import PARTITIONS, Holdfast, Log
from tests.schemas.samples import LOG

STRICT = """
[[triggers]]
id = "errors"
metric = "error_rate"
threshold = 0.02
action = "pause"
"""


def watched(log: Log, version: int, text_hash: str, partitions: range = range(PARTITIONS)) -> None:
    for partition in partitions:
        one = Watched(
            partition=partition, log_id=LOG, tick_offset=version, tick_at=now(), decisions_end=0,
            rules_version=version, rules_hash=text_hash, lag_seconds=0.1, occurred_at=now(),
        )  # fmt: skip
        log.write(topics.watches, one, partition=partition)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("r.json", '{"triggers": [{"id": "e", "metric": "eror_rate"}]}', ["triggers.0.metric", '"eror_rate"', "error_rate, "]),
        ("r.json", '{"triggers": [{"id": "e"}]}', ["triggers.0.threshold", "nothing"]),
        ("r.toml", STRICT + "window = 5\n", ["triggers.0.window", "window_seconds"]),
        ("r.toml", STRICT + STRICT, ["errors"]),
        ("r.toml", STRICT + "window_seconds = 0\n", ["triggers.0.window_seconds", "0", "greater than or equal to 1"]),
        ("r.toml", "[judgement]\nreassert = 1\n", ["judgement.reassert", "reassert_seconds"]),
        ("r.toml", "= 1", ["no TOML"]),
        ("r.json", "{", ["no JSON"]),
        ("r.json", '{"triggers": [{"id": "e", "metric": "error_rate", "threshold": NaN, "action": "warn"}]}', ["threshold"]),
    ],
)  # fmt: skip
def test_check_names_file_key_found_and_allowed(
    alone: Path, holdfast: Holdfast, name: str, text: str, says: list[str]
) -> None:
    (alone / name).write_text(text)
    ran = holdfast("triggers", "check", name)
    assert ran.code == 2
    for part in (name, *says):
        assert part in ran.err
    assert "Traceback" not in ran.err


def test_check_shows_the_normalised_rules(alone: Path, holdfast: Holdfast) -> None:
    (alone / "r.toml").write_text(STRICT)
    ran = holdfast("triggers", "check", "r.toml")
    assert ran.code == 0
    assert "errors: pause when error_rate > 0.02 over 60 s (from 100 rows; missing: warn)" in ran.out
    shown = json.loads(holdfast("triggers", "check", "r.toml", "--json").out)
    assert shown["rules_hash"] == rules_hash(rules_file.text(rules_file.read(alone / "r.toml")))


def test_a_rule_set_survives_its_way_through_a_file(alone: Path) -> None:
    (alone / "r.json").write_text(DEFAULT_RULES.model_dump_json())
    assert rules_file.read(alone / "r.json") == DEFAULT_RULES
    assert RuleSet.model_validate_json(rules_file.text(rules_file.read(alone / "r.json"))) == DEFAULT_RULES


def test_a_file_that_is_not_there_is_exit_2(holdfast: Holdfast) -> None:
    ran = holdfast("triggers", "check", "none.toml")
    assert ran.code == 2
    assert "none.toml cannot be read" in ran.err


@pytest.mark.kafka
def test_from_the_defaults_to_rules_in_force_everywhere(log: Log, holdfast: Holdfast, alone: Path) -> None:
    """One test, in the order of a real day: all on one log, whose rules only grow."""
    before = holdfast("triggers", "show")
    assert "rules version 0" in before.out
    assert "error-rate-rollback: rollback when error_rate > 0.1 over 60 s" in before.out
    assert "no Watched: is holdfast processor running?" in before.out

    (alone / "r.toml").write_text(STRICT)
    watched(log, 0, DEFAULT_RULES_HASH)
    silent = holdfast("triggers", "apply", "r.toml", "--reason", "stricter", "--wait", "300ms")
    assert silent.code == 6
    assert "is holdfast actuator running?" in silent.err

    def in_force(partitions: range):  # type: ignore[no-untyped-def]
        """The ledger's part and the processors': version 1, in these partitions only."""

        def answer(request: PersonRequest):  # type: ignore[no-untyped-def]
            assert request.rules is not None
            applied = TriggersApplied(
                version=1, rules=request.rules, rules_hash=rules_hash(request.rules), occurred_at=now()
            )
            with Publisher(log.kafka, "stand-in") as publisher:
                publisher.broadcast(topics.events, applied)
            watched(log, 1, applied.rules_hash, partitions)
            return outcomes(("effective", "version 1"))(request)

        return answer

    with answering(log.kafka, in_force(range(1, PARTITIONS))):
        partly = holdfast("triggers", "apply", "r.toml", "--reason", "stricter", "--wait", "3s")
    assert partly.code == 6
    assert "partitions 0;" in partly.err

    watched(log, 0, DEFAULT_RULES_HASH)
    with answering(log.kafka, in_force(range(PARTITIONS))) as heard:
        done = holdfast("triggers", "apply", "r.toml", "--reason", "stricter", "--actor", "ana")
    assert (done.code, done.err) == (0, "")
    assert "rules version 1" in done.out
    assert (heard[-1].kind, heard[-1].actor, heard[-1].reason) == ("apply_triggers", "ana", "stricter")

    shown = holdfast("triggers", "show")
    assert "rules version 1" in shown.out
    assert "errors: pause when error_rate > 0.02" in shown.out
    assert f"partitions all {PARTITIONS}: judged by version 1" in shown.out
    as_json = json.loads(holdfast("triggers", "show", "--json").out)
    assert as_json["rules"]["triggers"][0]["id"] == "errors"
    assert [p["watched"]["rules_version"] for p in as_json["partitions"]] == [1] * PARTITIONS


@pytest.mark.kafka
def test_refused_rules_are_exit_3(log: Log, holdfast: Holdfast, alone: Path) -> None:
    (alone / "r.toml").write_text(STRICT)
    with answering(log.kafka, outcomes(("refused", "the ledger holds a freeze"))):
        ran = holdfast("triggers", "apply", "r.toml", "--reason", "stricter")
    assert ran.code == 3
    assert "the ledger holds a freeze" in ran.err
