"""What stands on holdfast.control is read at each start: bytes that are not ours must not end the process for ever."""

from typing import Any

import pytest

from holdfast_actuators.seen_control import epoch_of, highest_epochs
from holdfast_schemas.desired_state import TOMBSTONE_EPOCH


class Said:
    """A message of confluent-kafka, as far as it is looked at."""

    def __init__(self, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]] | None = None) -> None:
        self.key = lambda: key
        self.value = lambda: value
        self.headers = lambda: headers


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (Said(b"orders", None, [(TOMBSTONE_EPOCH, b"7")]), ("orders", 7)),
        (Said(b"orders", None), None),
        (Said(None, None, [(TOMBSTONE_EPOCH, b"7")]), None),
        (Said(b"orders", None, [(TOMBSTONE_EPOCH, b"seven")]), None),
        (Said(b"orders", None, [(TOMBSTONE_EPOCH, b"9" * 30)]), None),
        (Said(b"\xff\xfe", None, [(TOMBSTONE_EPOCH, b"7")]), None),
        (Said(b"\xff\xfe", b"garbage"), None),
        (Said(b"orders", b"\x00"), None),
    ],
    ids=["ours", "no epoch", "no key", "words", "no bigint", "key bytes", "garbage", "not json"],
)
def test_only_an_epoch_that_could_be_ours_counts(message: Any, says: tuple[str, int] | None) -> None:
    assert epoch_of(message) == says


def test_the_highest_of_each_migration_counts_whatever_the_order() -> None:
    """A relay's repeat stands behind what it had sent before."""
    said: list[Any] = [
        Said(key, None, [(TOMBSTONE_EPOCH, epoch)])
        for key, epoch in ((b"orders", b"7"), (b"users", b"2"), (b"orders", b"9"), (b"orders", b"8"), (b"x", b"none"))
    ]
    assert highest_epochs(said) == {"orders": 9, "users": 2}
