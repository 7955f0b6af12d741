"""The engine as tables: a test a rule of the protocol, named after it."""

import pytest

from holdfast_schemas.events import RunClosed, RunFinished
from holdfast_schemas.triggers import Trigger

from .a_log import START_MS, Log, begun, decisions, error_rule, judge, ruled, run_id

P95 = Trigger(id="p95", metric="response_time_p95", threshold=2000.0, action="rollback", on_missing="pause")


@pytest.mark.parametrize(
    ("attempted", "failed", "expected"),
    [
        (1000, 50, []),  # exactly 0.05 is not above 0.05
        (1000, 51, [("error-rate-pause", "pause", False)]),
        (1000, 100, [("error-rate-pause", "pause", False)]),  # exactly 0.1
        (1000, 120, [("error-rate-pause", "pause", True), ("error-rate-rollback", "rollback", False)]),
        (99, 99, []),  # too few rows
        (100, 100, [("error-rate-pause", "pause", True), ("error-rate-rollback", "rollback", False)]),
    ],
)
def test_three_defaults_strictly_greater_and_the_severest_acts(
    attempted: int, failed: int, expected: list[tuple[str, str, bool]]
) -> None:
    log = begun()
    log.progress(attempted, failed)
    found = decisions(log)
    assert [(d.trigger_id, d.action, d.superseded_by is not None) for d in found] == expected
    if len(found) == 2:
        assert found[0].superseded_by == found[1].decision_id


def test_verdicts_in_words() -> None:
    log = begun()
    log.progress(4960, 412)
    log.tick(1)
    state, outputs = judge(log)
    assert outputs[-2].decisions[0].verdict == "error_rate 0.083 > 0.05 over 60 s (412 of 4,960; lower bound 0.076)"
    triggers = {t.trigger_id: t for t in outputs[-1].metrics[-1].triggers}
    assert triggers["response-time-warn"].verdict == "response_time_p95 absent (never seen in this run)"
    few = begun()
    few.progress(100, 7)
    few.rules(1, error_rule(min_attempted_rows=1000))
    few.tick(1)
    assert judge(few)[1][-1].metrics[-1].triggers[0].verdict == "too few rows (100 of 1,000)"
    assert state.log_id is not None


def test_rule_1_deadlines_are_judged_by_log_time_and_blind_time_proves_no_silence() -> None:
    log = begun()
    log.ticks(29)
    assert decisions(log) == []
    log.ticks(3)
    assert [d.kind for d in decisions(log)] == ["missing", "missing"]  # both error-rate rules, once
    blind = begun()
    blind.tick(40)  # nobody beat for 40 s: that nobody was heard either proves nothing yet
    assert decisions(blind) == []
    blind.tick(1)
    assert decisions(blind) == []
    blind.ticks(2)
    assert {d.kind for d in decisions(blind)} == {"missing"}


def test_rule_1_the_clock_never_goes_back_and_duplicate_ticks_are_harmless() -> None:
    log = begun()
    log.progress(1000, 60)
    twice = list(log.records)
    once = decisions(log)
    log.tick()
    log.tick()
    log.wait(-5)
    log.tick()
    assert decisions(log) == once == [d for o in judge(twice)[1] for d in o.decisions]
    assert judge(log)[0].now == START_MS + 1000


def test_rule_2_after_a_gap_in_the_log_a_report_is_a_baseline() -> None:
    log = begun()
    log.offset += 10
    log.progress(1000, 500)  # nobody knows when these fell
    assert decisions(log) == []
    log.progress(1000, 60)
    assert [d.k for d in decisions(log)] == [60]
    assert judge(log)[0].log_gaps == 1


def test_rule_4_rules_are_in_the_log() -> None:
    log = begun()
    log.rules(2, error_rule(0.5, "warn"))
    log.rules(1, error_rule(0.0, "rollback"))  # a lower version is old news
    log.progress(1000, 120)
    assert decisions(log) == []
    log.rules(3, error_rule(0.05, "warn"), rules_hash="0" * 64)
    state, outputs = judge(log)
    assert outputs[-1].rejected is not None
    assert outputs[-1].rejected.reason == "rules-hash"
    assert state.rules_version == 2


@pytest.mark.parametrize(
    ("on_missing", "action", "expected"),
    [
        ("ignore", "rollback", None),
        ("warn", "rollback", "warn"),
        ("pause", "rollback", "pause"),
        ("pause", "warn", "warn"),
    ],
)
def test_rule_5_missing_is_an_outcome_and_never_beyond_the_own_action(
    on_missing: str, action: str, expected: str | None
) -> None:
    log = ruled(error_rule(0.05, action, on_missing=on_missing))
    log.ticks(60)
    assert [d.action for d in decisions(log)] == ([expected] if expected else [])
    for decision in decisions(log):
        assert decision.observed is None
        assert "missing for 3" in decision.verdict


def test_rule_5_health_never_seen_is_absent_and_gone_silent_is_missing() -> None:
    log = ruled(P95)
    for _ in range(40):
        log.progress(10)
        log.tick(1)
    assert decisions(log) == []
    log.health(100, seq=1)
    for _ in range(40):
        log.progress(10)
        log.tick(1)
    assert [(d.kind, d.action) for d in decisions(log)] == [("missing", "pause")]


def test_rule_5_ended_workers_are_not_missing() -> None:
    log = begun()
    log.worker_finished()
    log.ticks(60)
    assert decisions(log) == []


def test_rule_6_a_breach_is_asserted_again_every_30_seconds_while_a_worker_runs() -> None:
    log = ruled(error_rule(window_seconds=600))
    log.progress(1000, 60)
    for _ in range(65):
        log.progress(0)
        log.tick(1)
    assert [d.reassertion for d in decisions(log)] == [0, 1, 2]
    assert len({d.decision_id for d in decisions(log)}) == 3
    assert len({d.episode.offset for d in decisions(log)}) == 1
    for _ in range(65):
        log.progress(0, state="paused")
        log.tick(1)
    assert len(decisions(log)) == 3


def test_rule_6_for_counts_running_time() -> None:
    log = ruled(error_rule(for_seconds=10, window_seconds=600))
    log.progress(1000, 60)
    for _ in range(5):
        log.progress(0)
        log.tick(1)
    for _ in range(20):
        log.progress(0, state="paused")
        log.tick(1)
    assert decisions(log) == []
    for _ in range(6):
        log.progress(0)
        log.tick(1)
    assert len(decisions(log)) == 1


def test_rule_7_the_higher_start_epoch_fences_the_lower() -> None:
    log = begun()
    log.started(run=3)
    log.progress(0, run=3)
    log.progress(10)
    state, outputs = judge(log)
    assert outputs[-1].rejected is not None
    assert outputs[-1].rejected.reason == "another-run"
    assert state.migrations["m"].run_id == run_id(3)


def test_rule_7_in_observe_mode_runs_follow_each_other_by_their_ids() -> None:
    log = Log()
    for run in (1, 2, 1):
        log.started(run=run, start_epoch=None, mode="observe")
    state, outputs = judge(log)
    assert [o.rejected is not None for o in outputs] == [False, False, True]
    assert state.migrations["m"].run_id == run_id(2)


def test_rule_9_after_the_end_counters_are_refused_and_health_is_judged_until_the_watch_window_ends() -> None:
    log = ruled(P95)
    log.run_event(RunFinished, outcome="completed")
    log.progress(0, 0)  # it has not heard of the end yet, and claims nothing new
    assert judge(log)[1][-1].rejected is None
    log.progress(1000, 1000)
    refused = judge(log)[1][-1].rejected
    assert refused is not None
    assert refused.reason == "finished-run"
    log.health(5000, seq=1)
    log.tick(1)
    assert [d.trigger_id for d in decisions(log)] == ["p95"]
    log.wait(300)
    log.run_event(RunFinished, outcome="completed")  # a repeat does not prolong the window
    log.tick(299)
    count = len(decisions(log))
    log.tick(2)
    log.health(5000, seq=2)
    log.ticks(40)
    assert len(decisions(log)) == count


def test_rule_10_a_closed_run_is_a_stub_and_is_forgotten_in_time() -> None:
    log = begun()
    log.run_event(RunClosed)
    log.progress(1000, 1000)
    log.started()
    state, outputs = judge(log)
    assert [o.rejected.reason for o in outputs[-2:] if o.rejected] == ["closed-run", "closed-run"]
    assert state.migrations["m"].workers == {}
    log.run_event(RunClosed)
    log.tick(8 * 86_400 + 1)
    assert "m" not in judge(log)[0].migrations
    newer = begun()
    newer.run_event(RunClosed)
    newer.started(run=2)
    assert judge(newer)[0].migrations["m"].run_id == run_id(2)


def test_rule_15_a_resume_empties_the_windows_and_slow_workers_do_not_count_in_them() -> None:
    log = begun()
    log.progress(0, worker=2)
    log.progress(1000, 60)
    assert len(decisions(log)) == 1
    log.progress(0, resumed_epoch=5)
    log.progress(1000, 1000, worker=2)  # from before the resume: totals, no windows
    state, outputs = judge(log)
    assert [d for o in outputs[-2:] for d in o.decisions] == []
    assert state.migrations["m"].total_of("error_count") == 1060
    log.progress(1000, 60, resumed_epoch=5)
    assert [(d.k, d.n, d.based_on_epoch) for d in judge(log)[1][-1].decisions] == [(60, 1000, 5)]


def test_rule_17_while_a_worker_undoes_only_warnings_apply() -> None:
    log = ruled(error_rule(0.05, "pause", "stops"), error_rule(0.05, "warn", "warns"))
    log.progress(0, worker=2)
    log.progress(0, state="rolling_back")
    log.progress(1000, 100, worker=2)
    assert [d.trigger_id for d in decisions(log)] == ["warns"]


def test_rule_21_repeated_samples_are_dropped_and_judged_at_the_next_tick() -> None:
    log = ruled(P95)
    log.health(100, seq=1, count=100)
    log.health(5000, seq=1, count=100)
    log.progress(0)
    log.tick(1)
    assert decisions(log) == []
    log.health(5000, seq=2, count=100)
    assert decisions(log) == []
    log.tick(1)
    assert [d.kind for d in decisions(log)] == ["breach"]
    assert judge(log)[0].fresh_targets() == ("orders",)


def test_rule_3_deadlines_of_one_tick_come_in_an_order_that_no_load_changes() -> None:
    log = Log()
    log.tick()
    for name in ("n", "m"):
        log.started(migration=name)
        log.progress(0, migration=name)
    log.ticks(29)
    log.tick(2)
    assert [d.migration_id for d in decisions(log)] == sorted(d.migration_id for d in decisions(log)) != []
