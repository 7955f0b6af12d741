"""`holdfast verify`, the command: a mutated engine makes it exit 1. The log is handed in where it would be read."""

from collections.abc import Callable, Iterator

import pytest

from holdfast_consoles.cli import verify
from holdfast_consoles.cli.evidence import Evidence
from tests.consoles.conftest import Holdfast
from tests.engine.test_verify import MUTATIONS, a_busy_log, action, published

Mutation = Callable[[], Iterator[tuple[object, str, object]]]


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """A log of minutes, with what the right engine decided on it and what became of that."""
    log = a_busy_log()
    decisions, metrics = published(log)
    found = Evidence(log.records, {}, decisions, metrics, [action(decision) for decision in decisions])
    monkeypatch.setattr(verify, "collect", lambda kafka: found)
    monkeypatch.delenv("HOLDFAST_LEDGER__DSN", raising=False)
    return found


def test_the_right_engine_agrees_with_its_own_log(evidence: Evidence, holdfast: Holdfast) -> None:
    assert evidence.decisions
    ran = holdfast("verify")
    assert (ran.code, ran.err) == (0, ""), ran.out


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_engine_exits_1(
    evidence: Evidence, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch, mutation: Mutation
) -> None:
    for place, name, value in mutation():
        monkeypatch.setattr(place, name, value)
    ran = holdfast("verify")
    assert ran.code == 1, ran.out
    assert "fault" in ran.out.lower()
