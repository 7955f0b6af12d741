"""A slot at a limit of its migration's settings: it goes, its sessions go on, and the log is no way back, by name."""

import re

import pytest
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.slots import give_up, look_at_slots
from holdfast_schemas.errors import SlotLost
from holdfast_schemas.settings import MigrationSettings
from tests.recovery.test_log_rollback import NAMES, Loop
from tests.recovery.test_log_rollback import loop as loop

pytestmark = pytest.mark.postgres


def settings(loop: Loop, **limits: float) -> MigrationSettings:
    role = str(conninfo_to_dict(loop.migration.info.dsn)["user"])
    return MigrationSettings.model_validate({"target": "app", "tables": NAMES, "role": role, **limits})


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"slot_bytes_max": 0}, r"it keeps [\d,]+ bytes of WAL, more than 0 \(slot_bytes_max\)"),
        ({"slot_days_max": 1e-9}, r"it is 0.0 days old, more than 1e-09 \(slot_days_max\)"),
    ],
)
def test_it_goes_and_a_rollback_says_so(loop: Loop, limits: dict[str, float], why: str) -> None:
    loop.migration.execute("UPDATE orders SET cents = 1")
    assert give_up(loop.db, "m", settings(loop)) is None, "within its limits"
    seen = look_at_slots(loop.db)
    assert seen.slots == 1
    assert seen.free_disk_bytes is not None, "the tests' server is on this machine"
    said = give_up(loop.db, "m", settings(loop, **limits))
    assert said is not None
    assert re.search(why, said), said
    assert look_at_slots(loop.db).slots == 0
    assert give_up(loop.db, "m", settings(loop, **limits)) is None, "once"
    loop.migration.execute("UPDATE orders SET cents = 2")
    with pytest.raises(SlotLost, match=r"is lost: .*does not exist.*slot_bytes_max and slot_days_max"):
        loop.roll_back()
    assert journal.expect(loop.db, "m", "armed").fenced_login is False


def test_what_a_rollback_holds_is_left_to_it(loop: Loop) -> None:
    with loop.db.transaction():
        loop.db.execute("SELECT FROM holdfast_recovery.recovery FOR UPDATE")
        with connect("app", loop.target) as other:
            assert give_up(other, "m", settings(loop, slot_bytes_max=0)) is None
    assert look_at_slots(loop.db).slots == 1
