"""Counting: exact through failures and standings, whatever the order of batches, deliveries and failures."""

import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_producers.counters import MAX_METRICS, MAX_SEALED, Counters, Report, Standing
from holdfast_schemas import sketch


def add(counters: Counters, rows: int, failed: int = 0, duration_ns: int = 1_000_000) -> None:
    with counters.lock:
        counters.add(rows, failed, duration_ns)


def stand(counters: Counters, epoch: int) -> None:
    with counters.lock:
        counters.stand(replace(counters.standing, applied_epoch=epoch, resumed_epoch=epoch))


def samples(reports: list[Report]) -> int:
    return sum(sum(report.buckets.values()) for report in reports)


def test_a_report_is_cumulative_and_its_sketch_a_delta() -> None:
    counters = Counters(total_rows=100)
    add(counters, 10, failed=3, duration_ns=2_000_000)
    first = counters.take()
    add(counters, 5)
    second = counters.take()
    assert (first.totals.rows_processed, first.totals.rows_attempted, first.totals.error_count) == (7, 10, 3)
    assert (second.totals.rows_processed, second.totals.rows_attempted, second.totals.error_count) == (12, 15, 3)
    assert first.buckets == {sketch.bucket(2_000_000): 1}
    assert second.buckets == {sketch.bucket(1_000_000): 1}
    assert second.since_ns == first.until_ns


def test_a_report_that_failed_is_folded_into_the_next() -> None:
    counters = Counters()
    add(counters, 10)
    lost = counters.take()
    add(counters, 10)
    counters.give_back(lost)
    report = counters.take()
    assert report.buckets == {sketch.bucket(1_000_000): 2}
    assert report.since_ns == lost.since_ns


def test_a_report_never_spans_two_epochs_even_when_it_failed() -> None:
    counters = Counters()
    add(counters, 10)
    lost = counters.take()
    add(counters, 1)
    stand(counters, 2)
    add(counters, 2)
    counters.give_back(lost)
    before, after = counters.take(), counters.take()
    assert (before.standing.applied_epoch, before.totals.rows_attempted, samples([before])) == (0, 11, 2)
    assert (after.standing.applied_epoch, after.totals.rows_attempted, samples([after])) == (2, 13, 1)


def test_a_phase_counts_its_rows_from_zero_and_seals_what_came_before() -> None:
    counters = Counters()
    counters.begin_phase("copy", 10)
    add(counters, 10)
    counters.begin_phase("check", None)
    add(counters, 4)
    copy, check = counters.take(), counters.take()
    assert (copy.phase.name, copy.totals.rows_processed - copy.phase.rows_before) == ("copy", 10)
    assert (check.phase.name, check.totals.rows_processed - check.phase.rows_before) == ("check", 4)


def test_sealed_reports_are_bounded_and_merged_under_the_older_epochs() -> None:
    counters = Counters()
    for epoch in range(1, 3 * MAX_SEALED):
        add(counters, 1)
        stand(counters, epoch)
    reports = [counters.take() for _ in range(MAX_SEALED + 1)]
    assert not counters.sealed
    assert reports[0].standing == Standing()
    assert samples(reports) == 3 * MAX_SEALED - 1
    assert reports[-1].totals.rows_attempted == 3 * MAX_SEALED - 1


Step = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 50), st.integers(0, 50)),
    st.tuples(st.just("stand"), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("take"), st.booleans(), st.just(0)),
    st.tuples(st.just("phase"), st.sampled_from("abc"), st.just(0)),
)


@given(st.lists(Step, max_size=60))
def test_whatever_fails_every_sample_is_delivered_once_and_totals_are_exact(
    steps: list[tuple[str, object, int]],
) -> None:
    counters, delivered, batches, rows, errors = Counters(), list[Report](), 0, 0, 0
    for what, value, more in steps:
        if what == "add":
            n = int(str(value))
            add(counters, n, min(more, n))
            batches, rows, errors = batches + 1, rows + n, errors + min(more, n)
        elif what == "stand":
            stand(counters, int(str(value)))
        elif what == "phase":
            counters.begin_phase(str(value), None)
        else:
            report = counters.take()
            if value:
                delivered.append(report)
            else:
                counters.give_back(report)
    while counters.sealed:
        delivered.append(counters.take())
    delivered.append(counters.take())
    assert samples(delivered) == batches
    assert (delivered[-1].totals.rows_attempted, delivered[-1].totals.error_count) == (rows, errors)
    attempted = [report.totals.rows_attempted for report in delivered]
    assert attempted == sorted(attempted)


def test_counts_are_exact_under_threads() -> None:
    counters = Counters()
    threads = [threading.Thread(target=lambda: [add(counters, 2, 1) for _ in range(2_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    reports = []
    while any(thread.is_alive() for thread in threads):
        reports.append(counters.take())
    for thread in threads:
        thread.join()
    reports.append(counters.take())
    assert reports[-1].totals.rows_attempted == 16_000
    assert reports[-1].totals.error_count == 8_000
    assert samples(reports) == 8_000


def test_more_metrics_than_a_record_holds_are_refused() -> None:
    counters = Counters()
    for index in range(MAX_METRICS):
        counters.set_metric(f"m{index}", 1.0)
    counters.set_metric("m0", 2.0)
    with pytest.raises(ValueError, match="at most 50"):
        counters.set_metric("one_more", 1.0)
    assert counters.take().metrics["m0"] == 2.0
