"""Rules are in the log: told to 5 of 12 partitions when the relay dies, applied by two people at once, forged."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from holdfast_consoles.cli.situation import situation
from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.record import now
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.publish import Publisher
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.triggers import DEFAULT_RULES, rules_hash
from tests.runtime.workers import Worker, environment
from tests.waiting import wait_for

from .dying_actuator import RULES_TOLD
from .loop import Loop, said

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(180)]


@pytest.fixture
def loop(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> Iterator[Loop]:
    loop = Loop(kafka_settings, database, tmp_path)
    yield loop
    loop.close()


def test_a_relay_that_dies_after_5_of_12_partitions_leaves_none_without(loop: Loop) -> None:
    loop.start("processor")
    dying = loop.start_actuator("-m", "tests.kills.dying_actuator", RULES_TOLD, "5")
    loop.wait_ready("processor", "actuator")
    applied = loop.apply(0.04)
    assert dying.process.wait(60) == -9, dying.log()[-3000:]
    assert len(loop.told()) == 5
    loop.start("actuator")
    code, text = said(applied)
    assert (code, "rules version 1 " in text) == (0, True), text
    assert loop.told() == list(range(12))
    assert len(loop.judged_by()) == 1
    code, text = loop.typed("verify")
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


def test_forged_rules_end_the_guard_and_one_apply_cures_it(loop: Loop, tmp_path: Path) -> None:
    loop.start("processor")
    loop.start_actuator(HOLDFAST_ACTUATOR__LEASE_SECONDS="8")
    loop.wait_guarded()
    (tmp_path / "failing").write_text("0")
    argv = ("-m", "tests.consoles.runner_with_errors", "m", str(tmp_path / "failing"))
    with Worker(tmp_path / "runner.log", *argv, env=environment(loop.kafka)):

        def state() -> str:
            found = situation(loop.kafka, "m")
            return "" if found is None else found.state()

        wait_for(lambda: state() == "running", 60, "the run", 0.2)
        text = DEFAULT_RULES.model_copy(update={"triggers": ()}).model_dump_json()
        forged = TriggersApplied(version=77, rules=text, rules_hash=rules_hash(text), occurred_at=now())
        with Publisher(loop.kafka, "forger") as publisher:
            publisher.broadcast(topics.events, forged)
        wait_for(lambda: all(m and "rules version 77" in m for m in loop.leases().values()), 30, "the missing link")
        wait_for(lambda: state() == "paused", 60, "the pause when the lease has run out", 0.2)
        code, text = loop.typed("status", "m")
        assert (code, "NO GUARD: " in text, "is judged by rules version 77" in text) == (0, True, True), text
        code, text = loop.typed("triggers", "show")
        assert (code, "judged by version 77" in text) == (0, True), text
        code, text = said(loop.apply(0.04))
        assert (code, "rules version 78 " in text) == (0, True), text
        loop.wait_guarded()
        wait_for(lambda: state() == "running", 60, "the run to go on", 0.2)


@pytest.mark.long
def test_a_ledger_restored_to_before_its_rules_is_cured_by_one_apply(loop: Loop) -> None:
    loop.start_guarded()
    for version, threshold in ((1, 0.03), (2, 0.04)):
        code, text = said(loop.apply(threshold))
        assert (code, f"rules version {version} " in text) == (0, True), text
    loop.running["actuator"].kill()
    with psycopg.connect(loop.dsn) as db:
        db.execute("TRUNCATE holdfast.rules, holdfast.watched, holdfast.action")  # as a backup from before them is
    loop.start("actuator")
    code, text = said(loop.apply(0.03))  # at once: nothing may have been heard of version 2 yet
    assert (code, "rules version 3 " in text or "rules version 4 " in text) == (0, True), text
    loop.wait_guarded()
    code, text = loop.typed("verify")  # names what the backup lacks, and nothing else
    faults = [line for line in text.splitlines() if "FAULT" in line]
    assert (code, len(faults)) == (1, 2), text
    assert all("apply_triggers" in f and f.endswith("and not in the ledger at all") for f in faults), text
