"""Both services as processes, and the command line beside them: what a person types, and what the log says."""

import json
import subprocess
import sys

from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.reading import read_to_end
from holdfast_schemas.triggers import DEFAULT_RULES, RuleSet
from tests.runtime.workers import Worker, environment
from tests.waiting import wait_for

from .services import Services

Command = subprocess.Popen[str]


class Loop(Services):
    """A processor, an actuator, and commands that run at their side."""

    def command(self, *words: str) -> Command:
        """A command, begun."""
        env = environment(self.kafka, HOLDFAST_LEDGER__DSN=self.dsn)
        argv = [sys.executable, "-m", "holdfast_consoles", *words]
        return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def typed(self, *words: str) -> tuple[int, str]:
        """A command's exit code and what it printed."""
        return said(self.command(*words))

    def start_actuator(self, *argv: str, **variables: str) -> Worker:
        """An actuator with settings of its own, or another program in its place."""
        ours = {"HOLDFAST_LEDGER__DSN": self.dsn, "HOLDFAST_ACTUATOR__WEB_PORT": "0",
                "HOLDFAST_ACTUATOR__SESSION_TIMEOUT_SECONDS": "6"}  # fmt: skip
        command = argv or ("-m", "holdfast_consoles", "actuator")
        worker = Worker(self._folder / "its-own.log", *command, env=environment(self.kafka, **ours | variables))
        self.running["actuator"] = worker
        return worker

    def wait_guarded(self) -> None:
        wait_for(self.guarded, 60, "a lease on every partition", 0.2)

    # rules

    def apply(self, threshold: float) -> Command:
        """The default rules with another threshold: the command that applies them."""
        rules = DEFAULT_RULES.model_dump(mode="json")
        rules["triggers"][0]["threshold"] = threshold
        return self.apply_rules(RuleSet.model_validate_json(json.dumps(rules)), f"rules-{threshold}")

    def apply_rules(self, rules: RuleSet, name: str) -> Command:
        file = self._folder / f"{name}.json"
        file.write_text(json.dumps(rules.model_dump(mode="json")))
        return self.command("triggers", "apply", str(file), "--reason", "a test", "--wait", "60s")

    def told(self) -> list[int]:
        """The partitions whose log holds rules."""
        found = read_to_end(self.kafka, topics.events)
        return sorted({r.partition for r in found if isinstance(r.record, TriggersApplied)})

    def judged_by(self) -> set[tuple[int, str]]:
        newest = {r.partition: r.record for r in read_to_end(self.kafka, topics.watches)}
        return {(w.rules_version, w.rules_hash) for w in newest.values()} if len(newest) == 12 else set()

    # the guard

    def leases(self) -> dict[int, str | None]:
        """What the newest beat of each partition says is missing; None where it renews."""
        return {r.partition: r.record.missing for r in read_to_end(self.kafka, topics.leases)}

    def guarded(self) -> bool:
        leases = self.leases()
        return len(leases) == 12 and not any(leases.values())

    def start_guarded(self) -> None:
        """Both services, until every partition has a lease."""
        self.start("processor", "actuator")
        self.wait_ready("processor", "actuator")
        self.wait_guarded()


def said(command: Command) -> tuple[int, str]:
    """A begun command's exit code and what it printed."""
    out, err = command.communicate(timeout=90)
    return command.returncode, out + err
