"""The lease, counted in receipts and polls: what ends it, what does not, and what the missing link is called."""

from typing import Any

import pytest

from holdfast_producers.lease import LeaseCount
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.record import now


def beat(renewed: bool = True, missing: str | None = None) -> GuardLease:
    return GuardLease(
        partition=7, actuator="a", seq=1, renewed=renewed, missing=missing, lease_seconds=30.0, occurred_at=now()
    )


POLL = ("poll", 0.5)
ONE_POLL_SHORT = [POLL] * 59
TABLE: list[tuple[str, list[Any], bool]] = [
    ("no beat yet", [], False),
    ("a beat renews", ["beat"], True),
    ("one poll before the end", ["beat", *ONE_POLL_SHORT], True),
    ("the end", ["beat", *ONE_POLL_SHORT, POLL], False),
    ("a beat begins it anew", ["beat", *ONE_POLL_SHORT, "beat", *ONE_POLL_SHORT], True),
    ("a poll that came early counts its own time", ["beat", *[("poll", 0.1)] * 299], True),
    ("a poll over twice its time-out is this host's sleep", ["beat", *[("poll", 6.0)] * 60], True),
    ("a poll just under twice its time-out counts in full", ["beat", *[("poll", 0.99)] * 31], False),
    ("and no more than that", ["beat", *[("poll", 0.99)] * 30], True),
    ("a beat that does not renew extends nothing", ["beat", *ONE_POLL_SHORT, "refusal", POLL], False),
    ("a refusal alone is no lease", ["refusal"], False),
    ("beats below the end at assignment are history", ["old"], False),
    ("an old beat does not extend either", ["beat", *ONE_POLL_SHORT, "old", POLL], False),
    ("after a lapse a beat brings it back", ["beat", *[POLL] * 100, "beat"], True),
]


@pytest.mark.parametrize(("what", "steps", "held"), TABLE, ids=[row[0] for row in TABLE])
def test_the_lease_is_counted_in_receipts_and_polls(what: str, steps: list[Any], held: bool) -> None:
    lease = LeaseCount(partition=7, from_offset=100)
    lease.acknowledged(0.0)
    for step in steps:
        match step:
            case "beat":
                lease.beat(100, beat())
            case "old":
                lease.beat(99, beat())
            case "refusal":
                lease.beat(101, beat(False, "the ledger is not writable"))
            case (_, took):
                lease.polled(took, 0.5)
    assert lease.held(1.0) is held


def test_a_worker_that_the_ledger_does_not_hear_has_no_lease_whatever_it_receives() -> None:
    lease = LeaseCount(partition=7)
    lease.beat(0, beat())
    assert not lease.held(0.0)
    lease.acknowledged(10.0)
    assert lease.held(39.9)
    lease.beat(1, beat())
    assert not lease.held(40.0)
    assert "no acknowledgement of this worker has been delivered for 30 s" in lease.missing_link(40.0)
    lease.acknowledged(40.0)
    assert lease.held(40.0)


def test_the_missing_link_is_named() -> None:
    lease = LeaseCount(partition=7)
    for _ in range(24):
        lease.polled(0.5, 0.5)
    assert lease.missing_link(0) == "no beat on holdfast.leases partition 7 for 12 s: is holdfast actuator running?"
    why = "no Watched for partition 7 for 12 s: is holdfast processor running?"
    lease.beat(0, beat(False, why))
    assert lease.missing_link(0) == why
    lease.beat(1, beat())
    assert "no acknowledgement of this worker has been delivered yet" in lease.missing_link(0)
