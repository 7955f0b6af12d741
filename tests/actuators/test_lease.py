"""Protocol 11 as a table: each link that can be missing is named, and only a whole loop renews."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast_actuators.lease import Loop, WatchedNote, missing_link
from holdfast_actuators.ledger import RulesInForce

NOW = 1_000_000
WATCHED = WatchedNote(logged_ms=NOW - 900, tick_ms=NOW - 1000, decisions_end=40, rules_version=2, rules_hash="a" * 64)
WHOLE = Loop(7, None, RulesInForce(2, "a" * 64), WATCHED, NOW - 60_000, NOW, 40)


def test_a_whole_loop_renews() -> None:
    assert missing_link(WHOLE, 5) is None


def test_the_edges_still_renew() -> None:
    assert missing_link(replace(WHOLE, decisions_position=41), 5) is None
    assert missing_link(replace(WHOLE, watched=replace(WATCHED, logged_ms=NOW - 5000, tick_ms=NOW - 5000)), 5) is None


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ledger_missing": "connection refused"}, ["ledger", "connection refused"]),
        ({"unread_seconds": 5.1}, ["nothing was read on partition 7 for 5 s", "broker"]),
        ({"watched": None, "broker_ms": NOW}, ["no Watched for partition 7 for 60 s", "holdfast processor"]),
        ({"broker_ms": NOW + 11_100}, ["no Watched for partition 7 for 12 s", "holdfast processor"]),
        (
            {"broker_ms": NOW + 3_000, "unread_seconds": 1.2},
            ["no Watched for partition 7 for 5 s", "holdfast processor"],
        ),
        ({"watched": replace(WATCHED, tick_ms=NOW - 8000)}, ["partition 7", "7 s late"]),
        ({"decisions_position": 38}, ["2 decisions of partition 7"]),
        ({"rules": RulesInForce(3, "a" * 64)}, ["rules version 2", "the ledger has 3", "triggers show"]),
        ({"rules": RulesInForce(2, "b" * 64)}, ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]),
    ],
    ids=[
        "ledger",
        "deaf",
        "never watched",
        "silent",
        "silent between",
        "late",
        "not drained",
        "another version",
        "another hash",
    ],
)
def test_a_missing_link_is_named(changed: dict[str, Any], says: list[str]) -> None:
    missing = missing_link(replace(WHOLE, **changed), 5)
    assert missing is not None
    for part in says:
        assert part in missing.text


def test_the_ledger_is_named_before_what_follows_from_it() -> None:
    missing = missing_link(replace(WHOLE, ledger_missing="away", watched=None), 5)
    assert missing is not None
    assert missing.text.startswith("the ledger is not writable")
