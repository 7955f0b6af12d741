"""`holdfast replay`: recorded events judged again, by the rules of then or by others, from a file or from the topic."""

from pathlib import Path

import pytest

from holdfast_processors.replay import read_lines
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from tests.consoles.conftest import Holdfast, Log

RECORDED = Path(__file__).parents[1] / "engine" / "golden" / "three-defaults.events.jsonl"
STRICT = '[[triggers]]\nid = "strict"\nmetric = "error_rate"\nthreshold = 0.001\naction = "warn"\n'


def test_a_file_by_the_rules_of_then_and_by_others(holdfast: Holdfast, tmp_path: Path) -> None:
    then = holdfast("replay", str(RECORDED))
    assert then.code == 0
    assert "rollback by error-rate-rollback: error_rate 0.120 > 0.1 over 60 s" in then.out
    (tmp_path / "strict.toml").write_text(STRICT)
    others = holdfast("replay", str(RECORDED), "--triggers", str(tmp_path / "strict.toml"))
    assert "warn by strict: error_rate 0.050 > 0.001 over 60 s" in others.out
    assert "rollback" not in others.out


@pytest.mark.kafka
def test_the_topic(holdfast: Holdfast, log: Log) -> None:
    name = topics.events.full_name(log.kafka.topic_prefix)
    with Publisher(log.kafka, "test") as publisher:
        for record in read_lines(RECORDED.read_bytes().splitlines()):
            publisher.publish_bytes(name, record.key, record.value, [], 0)
    shown = holdfast("replay", "--topic").out
    assert "rollback by error-rate-rollback: error_rate 0.120 > 0.1 over 60 s (120 of 1,000" in shown


@pytest.mark.parametrize("argv", [[], [str(RECORDED), "--topic"]])
def test_one_of_the_two_is_named(holdfast: Holdfast, argv: list[str]) -> None:
    refused = holdfast("replay", *argv)
    assert refused.code == 2
    assert "--topic; one of the two" in refused.err
