"""Ids, partitioner and sketches: facts that other clients rely on."""

import math
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_schemas import sketch
from holdfast_schemas.identity import decision_id, new_id, server_object_name
from holdfast_schemas.transport.partitioner import murmur2, partition_of

LATENCIES = st.lists(st.integers(min_value=1, max_value=10**15), min_size=1, max_size=200)


def test_new_ids_are_uuid7_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(50)]
    assert all(uuid.UUID(i).version == 7 and uuid.UUID(i).variant == uuid.RFC_4122 for i in ids)
    assert len(set(ids)) == 50
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)


def test_server_object_names_fit_postgresql_and_tell_environments_apart() -> None:
    name = server_object_name("production", "orders", "m" * 100)
    assert name.startswith("hf_")
    assert len(name) == 23
    assert name != server_object_name("staging", "orders", "m" * 100)


def test_a_decision_id_is_a_function_of_every_part() -> None:
    parts = ("m", "r", "t", "breach", "log", 1, 2, 0)
    changed = [
        (*parts[:i], "x" if isinstance(part, str) else part + 9, *parts[i + 1 :]) for i, part in enumerate(parts)
    ]
    assert len({decision_id(*p) for p in (parts, *changed)}) == 1 + len(parts)  # type: ignore[arg-type]
    assert decision_id("ab", "c", "t", "breach", "l", 1, 2, 0) != decision_id("a", "bc", "t", "breach", "l", 1, 2, 0)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # Apache Kafka's own vectors: UtilsTest.testMurmur2
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: str, expected: int) -> None:
    assert murmur2(key.encode()) == expected & 0xFFFFFFFF


def test_partitions_are_in_range() -> None:
    assert {partition_of(f"m-{i}", 12) for i in range(500)} == set(range(12))


@given(LATENCIES, st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_one_percent(latencies: list[int], q: float) -> None:
    buckets: sketch.Buckets = {}
    for ns in latencies:
        sketch.merge(buckets, {sketch.bucket(ns): 1})
    exact = sorted(latencies)[math.floor(q * (len(latencies) - 1))]
    found = sketch.quantile(buckets, q)
    assert found is not None
    assert abs(found - exact) <= 0.0101 * exact


@given(LATENCIES, LATENCIES)
def test_merge_and_subtract_are_exact(left: list[int], right: list[int]) -> None:
    def of(values: list[int]) -> sketch.Buckets:
        buckets: sketch.Buckets = {}
        for ns in values:
            sketch.merge(buckets, {sketch.bucket(ns): 1})
        return buckets

    both = of(left + right)
    merged = of(left)
    sketch.merge(merged, of(right))
    assert merged == both
    sketch.subtract(merged, of(right))
    assert merged == of(left)
    assert sketch.LatencySketch.of(both).live() == both


def test_no_samples_is_no_signal() -> None:
    assert sketch.quantile({}, 0.95) is None
