"""The guard by itself: what arrives between two moments of the runner's threads is not lost."""

from typing import Any

import pytest

from holdfast_producers.counters import Counters
from holdfast_producers.guard import Guard
from holdfast_producers.obedience import Obedience
from holdfast_producers.outbox import Outbox, Worker
from holdfast_producers.testing import MemorySink
from holdfast_schemas.desired_state import Answer, DesiredState
from holdfast_schemas.identity import new_id
from holdfast_schemas.leases import GuardLease
from holdfast_schemas.record import now
from tests.producers.settings import quick

RUN, REQUEST = new_id(), new_id()


class World:
    """A guard with a clock of the test's own, and all that it published."""

    def __init__(self, **settings: Any) -> None:
        self.now = 0.0
        self.published: list[str | None] = []
        counters, reporter = Counters(), quick(**settings).reporter
        worker = Worker("m", RUN)
        outbox = Outbox(worker, counters, MemorySink(), reporter)
        obedience = Obedience(RUN, worker.worker_id, can_undo=True)
        self.guard = Guard(obedience, counters, outbox, reporter, self.published.append, clock=lambda: self.now)
        self.guard.await_answer(REQUEST)

    def hear(self, epoch: int, desired: Any = "run", answer: Any = None, **changes: Any) -> None:
        answers = None if answer is None else Answer(request_id=REQUEST, result=answer)
        fields: dict[str, Any] = {
            "migration_id": "m",
            "run_id": RUN,
            "epoch": epoch,
            "start_epoch": 5,
            "resumed_epoch": 5,
        }
        fields |= {"desired": desired, "set_by": "l", "reason": "r", "answers": answers, "occurred_at": now()}
        self.guard.heard(DesiredState(**fields | changes))

    def beat(self, renewed: bool = True) -> None:
        missing = None if renewed else "the processor"
        fields: dict[str, Any] = {"partition": 0, "actuator": "a", "seq": 1, "renewed": renewed, "missing": missing}
        self.guard.beat(1, GuardLease(**fields, occurred_at=now()))

    def start(self) -> None:
        self.guard.reached_end()
        self.hear(5, answer="granted")
        self.beat()
        self.guard.acknowledged()


def test_an_order_right_behind_the_grant_is_heeded() -> None:
    world = World()
    world.hear(5, answer="granted")
    world.hear(6, "pause")  # before any thread of the runner's has looked at the answer
    assert world.guard.obedience.verdict() == "wait"


def test_until_its_answer_nothing_else_is_heeded() -> None:
    world = World()
    world.hear(4, "pause")
    world.hear(9, "run", run_id=new_id(), start_epoch=9)
    assert world.guard.obedience.state is None
    world.hear(10, answer="granted", start_epoch=10, resumed_epoch=10)
    assert world.guard.obedience.verdict() == "go"


def test_the_hold_goes_only_when_the_whole_loop_is_there() -> None:
    world = World()
    guard = world.guard
    world.hear(5, answer="granted")
    world.beat()
    guard.acknowledged()
    assert guard.hold is not None  # control is not yet read to its end
    assert "to its end" in guard.hold
    guard.reached_end()
    assert guard.hold is None
    assert world.published[-1] is None


@pytest.mark.parametrize(("on_guard_loss", "held"), [("pause", True), ("continue", False)])
def test_a_lapse_holds_or_not_and_its_end_is_spread(on_guard_loss: str, held: bool) -> None:
    world = World(on_guard_loss=on_guard_loss, guard_return_spread_seconds=10.0)
    world.start()
    for _ in range(60):
        world.guard.polled(0.5, 0.5)
    assert (world.guard.hold is not None) is held
    world.beat(renewed=False)
    assert (world.guard.hold == "the processor") is held
    world.beat()
    world.guard.acknowledged()
    world.now += 10.0
    world.guard.acknowledged()
    assert world.guard.hold is None


def test_runs_go_on_at_different_moments_after_a_lapse() -> None:
    moments = set()
    for _ in range(20):
        world = World(guard_return_spread_seconds=10.0)
        world.start()
        for _ in range(60):
            world.guard.polled(0.5, 0.5)
        world.beat()
        while world.guard.hold is not None:
            world.now += 0.1
            world.guard.polled(0.1, 0.5)
        moments.add(round(world.now, 1))
    assert len(moments) > 5
    assert max(moments) <= 10.2


def test_a_worker_that_is_not_heard_holds_and_goes_on_when_it_is_heard_again() -> None:
    world = World()
    world.start()
    world.now += 31.0
    world.beat()
    assert world.guard.hold is not None
    assert "no acknowledgement" in world.guard.hold
    world.guard.acknowledged()
    assert world.guard.hold is None


def test_throttle_none_and_a_lost_lease_while_undoing() -> None:
    world = World()
    world.start()
    world.hear(6, "throttle")
    assert world.guard.hold is None
    world.guard.undoing(1)
    for _ in range(60):
        world.guard.polled(0.5, 0.5)
    assert world.guard._counters.standing.state == "rolling_back"
