"""Latency sketches: DDSketch's logarithmic mapping (Masson, Rim, Lee; VLDB 2019) over integer nanoseconds, 1 % relative error.

A live sketch is a plain ``dict[bucket, count]``: adding is one ``log`` and one dictionary write, merging is exact.
"""

from collections.abc import Mapping
from math import ceil, log
from typing import Annotated

from pydantic import Field, model_validator

from .record import Frozen

RELATIVE_ERROR = 0.01
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_BUCKETS_PER_E = 1 / log(GAMMA)
_LONGEST_NS = 10**18
MAX_BUCKET = ceil(log(_LONGEST_NS) * _BUCKETS_PER_E)
"""The bucket of 10^18 ns (31 years): nothing longer is told apart."""

Buckets = dict[int, int]


def bucket(nanoseconds: int) -> int:
    """The bucket of a latency; what is under 1 ns counts as 1 ns, what is over 31 years as 31 years."""
    if nanoseconds < 1:
        return 0
    if nanoseconds > _LONGEST_NS:
        return MAX_BUCKET
    return ceil(log(nanoseconds) * _BUCKETS_PER_E)


def value(index: int) -> float:
    """The latency, in nanoseconds, that stands for a bucket: within 1 % of every latency in it."""
    return 2 * GAMMA**index / (GAMMA + 1)


def merge(into: Buckets, other: Mapping[int, int]) -> None:
    """Add another sketch's counts, in place. Exact: the sketch of a union is the union of the sketches."""
    for index, count in other.items():
        into[index] = into.get(index, 0) + count


def subtract(into: Buckets, other: Mapping[int, int]) -> None:
    """Take another sketch's counts out again, in place; a bucket that reaches zero goes."""
    for index, count in other.items():
        left = into[index] - count
        if left:
            into[index] = left
        else:
            del into[index]


def quantile(buckets: Mapping[int, int], q: float) -> float | None:
    """The q-quantile (0 to 1) in nanoseconds, by rank ``q * (n - 1)``; None of an empty sketch: no signal is not zero."""
    total = sum(buckets.values())
    if not total:
        return None
    rank, seen, index = q * (total - 1), 0, 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen > rank:
            break
    return value(index)


class LatencySketch(Frozen):
    """A sketch in a record: buckets and their counts as two arrays (the smallest JSON that stays cheap to read)."""

    buckets: tuple[Annotated[int, Field(ge=0, le=MAX_BUCKET)], ...] = ()
    counts: tuple[Annotated[int, Field(gt=0, le=2**53)], ...] = ()

    @model_validator(mode="after")
    def _pairs(self) -> "LatencySketch":
        if len(self.buckets) != len(self.counts):
            raise ValueError(f"{len(self.buckets)} buckets but {len(self.counts)} counts")
        if len(set(self.buckets)) != len(self.buckets):
            raise ValueError("a bucket stands twice")
        return self

    @classmethod
    def of(cls, buckets: Mapping[int, int]) -> "LatencySketch":
        """The record's form of a live sketch."""
        return cls(buckets=tuple(buckets), counts=tuple(buckets.values()))

    def merge_into(self, buckets: Buckets) -> None:
        """Add these counts to a live sketch, in place."""
        for index, count in zip(self.buckets, self.counts, strict=True):
            buckets[index] = buckets.get(index, 0) + count

    def live(self) -> Buckets:
        """The live form: a dictionary of one's own."""
        return dict(zip(self.buckets, self.counts, strict=True))
