"""The demo's rows: laid out by a seed, so that what the scenario promises follows from the data."""

import itertools
from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_consoles.demo import orders

COUNT = 20_000


def bad(text: str) -> bool:
    try:
        Decimal(text)
    except InvalidOperation:
        return True
    return False


@settings(max_examples=10, deadline=None)
@given(st.integers(min_value=0, max_value=2**31))
def test_none_bad_in_the_first_part_then_a_third_or_more_in_any_batch(seed: int) -> None:
    laid = [bad(text) for _, text, _ in orders.rows(COUNT, seed, healthy=False)]
    clean = round(COUNT * orders.CLEAN_SHARE)
    assert not any(laid[:clean])
    shares = [sum(laid[at : at + 100]) / 100 for at in range(clean, COUNT - 100, 100)]
    assert min(shares) >= 0.25
    assert sum(laid[clean:]) / (COUNT - clean) >= 0.30


@pytest.mark.parametrize("count", [20_000, 200_000])
def test_each_part_begins_with_clean_rows_so_that_all_shards_meet_the_bad_ones_together(count: int) -> None:
    laid = [bad(text) for _, text, _ in orders.rows(count, 1, healthy=False, parts=8)]
    rows = count // 8
    for start in range(0, count, rows):
        part = laid[start : start + rows]
        clean = round(rows * orders.CLEAN_SHARE)
        assert not any(part[:clean])
        assert any(part[clean : clean + 20])
        assert sum(part[clean:]) / (rows - clean) >= 0.30


def test_bad_rows_come_in_clusters() -> None:
    laid = [bad(text) for _, text, _ in orders.rows(COUNT, 1, healthy=False)]
    followed = sum(a and b for a, b in itertools.pairwise(laid))
    assert followed / sum(laid) > 0.75


def test_the_same_seed_lays_the_same_rows_and_another_does_not() -> None:
    assert list(orders.rows(500, 7, healthy=False)) == list(orders.rows(500, 7, healthy=False))
    assert list(orders.rows(500, 7, healthy=False)) != list(orders.rows(500, 8, healthy=False))


def test_a_third_of_the_amounts_is_filled_with_other_values() -> None:
    rows = list(orders.rows(COUNT, 3, healthy=True))
    filled = [(text, cents) for _, text, cents in rows if cents is not None]
    assert len(filled) / COUNT == pytest.approx(0.30, abs=0.02)
    assert not any(round(Decimal(text) * 100) == cents for text, cents in filled)


def test_a_healthy_table_has_no_bad_row() -> None:
    assert not any(bad(text) for _, text, _ in orders.rows(COUNT, 5, healthy=True))
