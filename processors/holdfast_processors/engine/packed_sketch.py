"""A sketch that nothing is added to any more, in a twentieth of a dictionary's memory: buckets, then their counts, flat."""

from array import array
from typing import TypeAlias

from holdfast_schemas.sketch import Buckets

PackedSketch: TypeAlias = "array[int]"  # not subscriptable at run time before Python 3.12
SMALL, LARGE = "H", "Q"
"""16 bits hold every bucket (sketch.MAX_BUCKET is 2,073) and most counts, 64 the rest."""
MOST = 2**64 - 1


def pack(live: Buckets) -> PackedSketch:
    """The packed form of a live sketch."""
    counts = list(live.values())
    if max(counts, default=0) < 2**16:
        return array(SMALL, [*live, *counts])
    # A stranger may claim more than 64 bits hold: so many are not told apart.
    return array(LARGE, [*live, *(min(count, MOST) for count in counts)])


def merge_packed(into: Buckets, packed: PackedSketch) -> None:
    """Add a packed sketch's counts to a live one, in place."""
    half = len(packed) // 2
    for index, count in zip(packed[:half], packed[half:], strict=True):
        into[index] = into.get(index, 0) + count


def unpack(packed: PackedSketch) -> Buckets:
    """A live sketch of its own."""
    half = len(packed) // 2
    return dict(zip(packed[:half], packed[half:], strict=True))
