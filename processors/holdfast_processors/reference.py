"""The oracle beside the engine: error-rate triggers by brute force over raw events. Slow, plain, and shares no code with it.

Judges breaches of ``error_rate`` triggers whose ``for`` is zero; everything else is the engine's own to prove.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from holdfast_schemas.triggers import DEFAULT_RULES, RuleSet, Trigger, rules_hash

PANES = 12
COUNTERS = ("rows_processed", "rows_attempted", "error_count", "rows_undone", "busy_seconds")
WORKER_EVENTS = {"RunStarted", "ProgressReported", "ErrorReported", "WorkerFinished"}
COMPARE = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
Conclusion = tuple[str, str, str, str, int, int, int, int]
"""Migration, run, trigger, action, offset that opened the episode, reassertion, failed, attempted."""


@dataclass
class Run:
    """What the log has said of the run that a migration is in."""

    run_id: str
    start_epoch: int | None
    resumed_epoch: int = 0
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)
    reports: list[tuple[int, int, int]] = field(default_factory=list)  # ms, attempted, failed
    episodes: dict[str, list[int]] = field(default_factory=dict)  # trigger: offset, decided ms, reassertion
    windows_since: dict[float, int] = field(default_factory=dict)  # window: index of its first report
    finished: bool = False
    closed: bool = False


class Reference:
    """One partition. ``read`` takes decoded events (dicts) in log order and gives what follows from each."""

    def __init__(self, rules: RuleSet = DEFAULT_RULES) -> None:
        self.rules, self.version, self.now = rules, 0, 0
        self.runs: dict[str, Run] = {}

    def conclude(self, log: Iterable[tuple[int, int, dict[str, Any]]]) -> list[Conclusion]:
        """All conclusions of a log of (offset, log time in ms, event)."""
        return [c for offset, ms, event in log for c in self.read(offset, ms, event)]

    def totals(self) -> dict[str, dict[str, float]]:
        """Counters by migration, over all workers of its newest run; closed runs have none."""
        return {
            m: {name: sum(w[name] for w in run.workers.values()) for name in COUNTERS[:4]}
            for m, run in self.runs.items()
            if not run.closed
        }

    def read(self, offset: int, ms: int, event: dict[str, Any]) -> list[Conclusion]:
        self.now = max(self.now, ms)
        kind = event["type"]
        if kind == "Tick":
            return [c for m in list(self.runs) for c in self._judge(m, offset)]
        if kind == "TriggersApplied":
            self._rules(event)
        elif kind in WORKER_EVENTS:
            return self._judge(event["migration_id"], offset) if self._worker_event(event) else []
        elif kind in ("RunFinished", "RunClosed"):
            run = self.runs.get(event["migration_id"])
            if run is not None and run.run_id == event["run_id"]:
                run.finished, run.closed = True, run.closed or kind == "RunClosed"
        return []

    def _rules(self, event: dict[str, Any]) -> None:
        if event["version"] <= self.version or rules_hash(event["rules"]) != event["rules_hash"]:
            return
        before = self.rules
        try:
            self.rules, self.version = RuleSet.model_validate_json(event["rules"]), event["version"]
        except ValidationError:
            return  # the engine refuses them by name
        for run in self.runs.values():
            kept = {t.id for t in self.rules.triggers if t in before.triggers}
            run.episodes = {i: e for i, e in run.episodes.items() if i in kept}
            run.windows_since = {
                w: run.windows_since.get(w, len(run.reports)) for w in _windows(self.rules)
            }  # fmt: skip

    def _worker_event(self, event: dict[str, Any]) -> bool:
        """Take the event in; False when it is a repeat or cannot be used."""
        kind, run = event["type"], self.runs.get(event["migration_id"])
        epoch = event.get("start_epoch")
        if run is None or (run.run_id != event["run_id"] and self._newer(run, event, epoch)):
            run = self.runs[event["migration_id"]] = Run(event["run_id"], epoch, epoch or 0)
            run.windows_since = dict.fromkeys(_windows(self.rules), 0)
        worker = run.workers.get(event["worker_id"])
        if run.run_id != event["run_id"] or run.closed or (run.finished and kind == "ProgressReported"):
            return False
        if worker is not None and event["seq"] <= worker["seq"]:
            return False
        if kind == "ProgressReported":
            return self._progress(run, worker, event)
        if worker is None and kind != "ErrorReported":
            worker = run.workers[event["worker_id"]] = dict.fromkeys(COUNTERS, 0) | {"state": "running", "over": False}
        if worker is not None:
            worker |= {"seq": event["seq"], "heard": self.now, "over": worker["over"] or kind == "WorkerFinished"}
        if epoch is not None:
            run.start_epoch = max(run.start_epoch or 0, epoch)
        return True

    def _newer(self, run: Run, event: dict[str, Any], epoch: int | None) -> bool:
        if epoch is not None:
            return run.start_epoch is None or epoch > run.start_epoch
        over = run.finished or run.start_epoch is None
        return over and event["type"] in ("RunStarted", "ProgressReported") and event["run_id"] > run.run_id

    def _progress(self, run: Run, worker: dict[str, Any] | None, event: dict[str, Any]) -> bool:
        if worker is not None and any(event[name] < worker[name] for name in COUNTERS):
            return False
        if event["resumed_epoch"] > run.resumed_epoch:
            run.resumed_epoch = event["resumed_epoch"]
            run.reports, run.episodes = [], {}
            run.windows_since = dict.fromkeys(run.windows_since, 0)
        if worker is not None and event["resumed_epoch"] >= run.resumed_epoch and event["state"] != "rolling_back":
            deltas = (event[name] - worker[name] for name in ("rows_attempted", "error_count"))
            run.reports.append((self.now, *deltas))
        over = worker is not None and worker["over"]
        run.workers[event["worker_id"]] = {name: event[name] for name in (*COUNTERS, "seq", "state")} | {
            "heard": self.now,
            "over": over,
        }
        if event["start_epoch"] is not None:
            run.start_epoch = max(run.start_epoch or 0, event["start_epoch"])
        return True

    def _judge(self, migration_id: str, offset: int) -> list[Conclusion]:
        run = self.runs[migration_id]
        found: list[Conclusion] = []
        if run.finished:
            return []
        dead, again = (
            s * 1000 for s in (self.rules.judgement.dead_after_seconds, self.rules.judgement.reassert_seconds)
        )
        going = [w for w in run.workers.values() if not w["over"]]
        runs = any(w["state"] == "running" and self.now - w["heard"] <= dead for w in going)
        undoes = any(w["state"] == "rolling_back" for w in going)
        for trigger in filter(judged, self.rules.triggers):
            n, k = self._window(run, trigger)
            if n == 0 or n < trigger.min_attempted_rows or not COMPARE[trigger.op](k / n, trigger.limit):
                run.episodes.pop(trigger.id, None)
                continue
            episode = run.episodes.get(trigger.id)
            if not runs or (undoes and trigger.action != "warn") or (episode and self.now - episode[1] < again):
                continue
            episode = [episode[0], self.now, episode[2] + 1] if episode else [offset, self.now, 0]
            run.episodes[trigger.id] = episode
            found.append(
                (migration_id, run.run_id, trigger.id, trigger.action, episode[0], episode[2], k, n)
            )  # fmt: skip
        return found

    def _window(self, run: Run, trigger: Trigger) -> tuple[int, int]:
        """Attempted and failed rows in the newest twelve panes, the one under way included."""
        width = max(1, round(trigger.window_seconds * 1000 / PANES))
        since = run.windows_since[trigger.window_seconds]
        within = [(n, k) for ms, n, k in run.reports[since:] if self.now // width - ms // width < PANES]
        return sum(n for n, _ in within), sum(k for _, k in within)


def judged(trigger: Trigger) -> bool:
    """Whether the reference judges this trigger."""
    everywhere = not (trigger.phases or trigger.targets or trigger.migrations or trigger.between or trigger.not_between)
    return trigger.metric == "error_rate" and trigger.for_seconds == 0 and everywhere


def _windows(rules: RuleSet) -> set[float]:
    return {60.0} | {t.window_seconds for t in rules.triggers if not t.of_target}
