"""Rules are in the log: told to 5 of 12 partitions when the relay dies, applied by two people at once, forged."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.triggers import DEFAULT_RULES, rules_hash
from tests.runtime.workers import Worker, environment
from tests.waiting import wait_for

from .dying_actuator import RULES_TOLD
from .services import Services

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]


class Loop(Services):
    """Both services, and the command line beside them."""

    def actuator_that_dies(self, point: str, nth: int) -> Worker:
        env = environment(self.kafka, HOLDFAST_LEDGER__DSN=self.dsn, HOLDFAST_ACTUATOR__WEB_PORT="0",
                          HOLDFAST_ACTUATOR__SESSION_TIMEOUT_SECONDS="6")  # fmt: skip
        worker = Worker(self._folder / "dying.log", "-m", "tests.kills.dying_actuator", point, str(nth), env=env)
        self.running["actuator"] = worker
        return worker

    def command(self, *words: str) -> "subprocess.Popen[str]":
        env = environment(self.kafka, HOLDFAST_LEDGER__DSN=self.dsn)
        argv = [sys.executable, "-m", "holdfast_consoles", *words]
        return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def apply(self, threshold: float) -> "subprocess.Popen[str]":
        rules = DEFAULT_RULES.model_dump(mode="json")
        rules["triggers"][0]["threshold"] = threshold
        file = self._folder / f"rules-{threshold}.json"
        file.write_text(json.dumps(rules))
        return self.command("triggers", "apply", str(file), "--reason", "a test", "--wait", "60s")

    def told(self) -> list[int]:
        """The partitions whose log holds rules."""
        found = read_to_end(self.kafka, topics.events)
        return sorted({r.partition for r in found if isinstance(r.record, TriggersApplied)})

    def judged_by(self) -> set[tuple[int, str]]:
        newest = {r.partition: r.record for r in read_to_end(self.kafka, topics.watches)}
        return {(w.rules_version, w.rules_hash) for w in newest.values()} if len(newest) == 12 else set()

    def leases(self) -> dict[int, str | None]:
        """What the newest beat of each partition says is missing; None where it renews."""
        return {r.partition: r.record.missing for r in read_to_end(self.kafka, topics.leases)}

    def guarded(self) -> bool:
        leases = self.leases()
        return len(leases) == 12 and not any(leases.values())


@pytest.fixture
def loop(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(kafka_settings, database, tmp_path)
    yield loop
    loop.close()


def said(command: "subprocess.Popen[str]") -> tuple[int, str]:
    out, err = command.communicate(timeout=90)
    return command.returncode, out + err


def test_a_relay_that_dies_after_5_of_12_partitions_leaves_none_without(loop: Loop) -> None:
    loop.start("processor")
    dying = loop.actuator_that_dies(RULES_TOLD, 5)
    loop.wait_ready("processor", "actuator")
    applied = loop.apply(0.04)
    assert dying.process.wait(60) == -9, dying.log()[-3000:]
    assert len(loop.told()) == 5
    loop.start("actuator")
    code, text = said(applied)
    assert (code, "rules version 1 " in text) == (0, True), text
    assert loop.told() == list(range(12))
    assert len(loop.judged_by()) == 1
    code, text = said(loop.command("verify"))
    assert code == 0, text


def test_of_two_people_at_once_the_last_stands_everywhere_and_both_are_told_the_truth(loop: Loop) -> None:
    loop.start("processor", "actuator")
    loop.wait_ready("processor", "actuator")
    both = [loop.apply(threshold) for threshold in (0.03, 0.04)]
    answers = [said(command) for command in both]
    [(version, digest)] = loop.judged_by()
    assert version == 2
    won = [text for code, text in answers if f"rules version 2 ({digest[:12]}) are in force" in text and code == 0]
    assert len(won) == 1, answers
    [(code, text)] = [answer for answer in answers if answer[1] not in won]
    # The other was in force for a moment, or never: both are said as they are.
    assert (code == 0 and "rules version 1 " in text) or (code == 3 and "superseded" in text), answers


def test_forged_rules_end_the_guard_and_one_apply_cures_it(loop: Loop) -> None:
    loop.start("processor", "actuator")
    loop.wait_ready("processor", "actuator")
    wait_for(loop.guarded, 60, "a lease on every partition")
    text = DEFAULT_RULES.model_copy(update={"triggers": ()}).model_dump_json()
    forged = TriggersApplied(version=77, rules=text, rules_hash=rules_hash(text), occurred_at=now())
    with Publisher(loop.kafka, "forger") as publisher:
        publisher.broadcast(topics.events, forged)
    wait_for(lambda: all(m and "rules version 77" in m for m in loop.leases().values()), 30, "the lapse and its reason")
    code, text = said(loop.command("triggers", "show"))
    assert (code, "judged by version 77" in text) == (0, True), text
    code, text = said(loop.apply(0.04))
    assert (code, "rules version 78 " in text) == (0, True), text
    wait_for(loop.guarded, 30, "the guard's return")
