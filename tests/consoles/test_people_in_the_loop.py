"""People against triggers, each other and a freeze: typed at the command line, with both services and real runners."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast_consoles.cli.situation import Situation, situation
from holdfast_schemas.transport.security import KafkaSettings
from holdfast_schemas.triggers import JudgementSettings, RuleSet, Trigger
from tests.kills.loop import Loop, said
from tests.runtime.workers import Worker, environment
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(240)]

RULES = RuleSet(
    triggers=(
        Trigger(id="some-errors", metric="error_rate", op=">", threshold=0.05, action="pause", window_seconds=5.0),
        Trigger(id="many-errors", metric="error_rate", op=">", threshold=0.5, action="rollback", window_seconds=5.0),
    ),
    judgement=JudgementSettings(reassert_seconds=2.0),
)


class People(Loop):
    """The loop with runners in it."""

    def __init__(self, kafka: KafkaSettings, dsn: str, folder: Path) -> None:
        super().__init__(kafka, dsn, folder)
        self.runners: list[Worker] = []

    def fail(self, migration_id: str, of_50: int) -> None:
        (self._folder / migration_id).write_text(str(of_50))

    def run(self, migration_id: str) -> Worker:
        """A runner of this migration, its batches without errors."""
        self.fail(migration_id, 0)
        log = self._folder / f"runner-{len(self.runners)}.log"
        argv = ("-m", "tests.consoles.runner_with_errors", migration_id, str(self._folder / migration_id))
        self.runners.append(Worker(log, *argv, env=environment(self.kafka)))
        return self.runners[-1]

    def close(self) -> None:
        for runner in self.runners:
            runner.kill()
        super().close()

    def wait_until(self, migration_id: str, state: str) -> Situation:
        """Until status shows this state and no other is wanted."""

        def there() -> Situation | None:
            found = situation(self.kafka, migration_id)
            return found if found is not None and found.state() == state else None

        found = wait_for(there, 60, f"{migration_id} {state}", 0.2)
        assert found is not None
        return found

    def wanted(self, migration_id: str) -> str | None:
        """What the ledger wants of it."""
        found = situation(self.kafka, migration_id)
        return None if found is None or found.desired is None else found.desired.desired

    def ask(self, kind: str, which: str, *more: str, by: str = "ana") -> tuple[int, str]:
        return self.typed(kind, which, "--reason", "a test", "--actor", by, "--wait", "30s", *more)


@pytest.fixture
def people(kafka_settings: KafkaSettings, database: str, tmp_path: Path) -> Iterator[People]:
    people = People(kafka_settings, database, tmp_path)
    yield people
    people.close()


def test_a_person_overrides_a_trigger_for_a_time(people: People) -> None:
    people.start_guarded()
    runner = people.run("m")
    code, text = said(people.apply_rules(RULES, "rules"))
    assert code == 0, text
    people.wait_until("m", "running")
    people.fail("m", 10)
    paused = people.wait_until("m", "paused")
    code, text = people.ask("override", paused.name, "--for", "20s")
    assert (code, "override of m#" in text) == (0, True), text
    people.wait_until("m", "running")
    code, text = people.typed("status", "m")
    assert (code, "OVERRIDE" in text, "by ana (asserted)" in text) == (0, True, True), text
    paused_again = people.wait_until("m", "paused")
    assert paused_again.desired is not None
    assert paused_again.desired.set_by == "trigger:some-errors"
    code, text = people.typed("history", "m")
    lines = text.splitlines()
    steps = ["pause #2 effective", "override #3 effective, by ana (asserted)", "refused, by trigger:some-errors",
             "the override by ana came to its end", f"pause #{paused_again.epoch} effective"]  # fmt: skip
    places = [next((n for n, line in enumerate(lines) if step in line), -1) for step in steps]
    assert places == sorted(places), text
    assert places[0] >= 0, text
    assert ": error_rate" in lines[places[2]], text
    assert "overridden by ana until" in lines[places[2]], text
    assert runner.process.poll() is None, runner.log()
    code, text = people.typed("verify")
    assert code == 0, text


def test_a_resume_that_crosses_a_rollback_is_refused_and_of_two_at_once_one_has_moved(people: People) -> None:
    people.start_guarded()
    people.run("m")
    code, text = said(people.apply_rules(RULES, "rules"))
    assert code == 0, text
    people.wait_until("m", "running")
    pauses = [people.command("pause", "m", "--reason", "a test", "--actor", actor) for actor in ("bob", "carol")]
    told = sorted(said(command) for command in pauses)
    assert [code for code, _ in told] == [0, 0], told
    assert sorted(" is already: paused since #2 by " in text for _, text in told) == [False, True], told
    seen = people.wait_until("m", "paused")
    both = [
        people.command("resume", seen.name, "--reason", "a test", "--actor", actor, "--wait", "30s")
        for actor in ("bob", "carol")
    ]
    answers = sorted(said(command) for command in both)
    assert [code for code, _ in answers] == [0, 3], answers
    assert f"now #{seen.epoch + 1}: run by" in answers[1][1]

    people.wait_until("m", "running")
    assert people.ask("pause", "m")[0] == 0
    seen = people.wait_until("m", "paused")
    people.fail("m", 50)  # both triggers trip on the first reports after the resume: the severer acts
    code, text = people.ask("resume", seen.name, by="bob")
    assert code == 0 or "superseded" in text, text  # the rollback may come before the acknowledgement is read
    wait_for(lambda: people.wanted("m") == "rollback", 60, "the rollback", 0.2)
    code, text = people.ask("resume", seen.name)
    assert code == 3, text
    assert "rollback by trigger:many-errors" in text
    assert f"now #{seen.epoch + 2}" in text


@pytest.mark.long
def test_a_freeze_holds_all_and_its_end_lifts_what_it_held(people: People) -> None:
    people.start_guarded()
    first = people.run("bobs")
    people.run("early")
    people.wait_until("early", "running")
    people.wait_until("bobs", "running")
    code, text = people.ask("pause", "bobs", by="bob")
    assert code == 0, text

    code, text = people.typed("pause", "--all", "--reason", "incident 12")  # by whoever runs the test
    assert code == 0, text
    held = people.wait_until("early", "paused")
    people.run("late")
    people.wait_until("late", "paused")
    for kind in ("resume", "override"):
        code, text = people.ask(kind, held.name)
        assert (code, "holdfast resume --all first" in text) == (3, True), text
    code, text = people.ask("resume", "--all")
    assert code == 0, text
    people.wait_until("early", "running")
    people.wait_until("late", "running")

    kept = people.wait_until("bobs", "paused")
    assert kept.desired is not None
    assert kept.desired.set_by == "bob"
    first.stop()
    people.run("bobs")
    run_id = kept.desired.run_id

    def follows() -> bool:
        found = situation(people.kafka, "bobs")
        return found is not None and found.desired is not None and found.desired.run_id != run_id

    wait_for(follows, 60, "the next run", 0.2)
    after = people.wait_until("bobs", "paused")
    assert after.desired is not None
    assert after.desired.set_by == "bob"
    code, text = people.typed("history", "bobs")
    assert "by bob (asserted)" in text, text
    code, text = people.typed("history", "early")
    assert "@" in next(line for line in text.splitlines() if "pause #2" in line and "(asserted)" in line), text
