"""A ledger's connection string that libpq cannot read is refused without being quoted: it holds a password."""

import pytest

from holdfast_actuators.ledger import Ledger, reading
from holdfast_schemas.errors import LedgerUnreachable
from holdfast_schemas.settings import ActuatorSettings


@pytest.mark.parametrize(
    "dsn", ["hunter2", "postgresql://ann:hunter2 x@localhost/db", "host=localhost password='hunter2"]
)
def test_no_piece_of_it_is_shown(dsn: str) -> None:
    for refused in (
        lambda: Ledger(dsn, "holdfast", ActuatorSettings()).connect(),
        lambda: reading.outcomes(dsn, "holdfast"),
    ):
        with pytest.raises(LedgerUnreachable) as told:
            refused()
        assert "hunter2" not in str(told.value)
        assert "its connection string cannot be read" in str(told.value)
