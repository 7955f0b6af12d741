"""The connection helper: it joins, says why not, and refuses a pooler that changes sessions between transactions."""

from collections.abc import Iterator

import psycopg
import pytest

from holdfast import join
from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_producers.joining import join_if_armed
from holdfast_schemas.errors import JoinRefused, PoolerBetween
from tests.recovery.pooler import Pooler
from tests.recovery.test_arming import arming as arming

pytestmark = pytest.mark.postgres


@pytest.fixture
def armed(target: str, arming: Arming) -> Iterator[Arming]:
    with connect("app", target) as db:
        arming.arm(db)
        yield arming
        disarm(db, "m")


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_session_of_its_own_joins(armed: Arming, migrator: str, autocommit: bool) -> None:
    with psycopg.connect(migrator, autocommit=autocommit) as db:
        assert join(db, "m") == armed.names.origins[0]


def test_why_it_does_not_is_said(armed: Arming, target: str, migrator: str) -> None:
    with psycopg.connect(target) as db, pytest.raises(JoinRefused, match="armed for role"):
        join(db, "m")
    with psycopg.connect(migrator) as db, pytest.raises(JoinRefused, match="other is not armed; holdfast arm other"):
        join(db, "other")
    with psycopg.connect(migrator) as db:
        assert join_if_armed(db, "other") is None
        db.execute("SELECT 1")  # usable as before
    with psycopg.connect(target, autocommit=True) as db:
        assert join_if_armed(db, "m") is None
    sessions = [psycopg.connect(migrator, autocommit=True) for _ in range(3)]
    try:
        for db in sessions[:2]:
            assert join_if_armed(db, "m") in armed.names.origins
        with pytest.raises(JoinRefused, match="all 2 origins of migration m are in use; raise sessions"):
            join_if_armed(sessions[2], "m")
    finally:
        for db in sessions:
            db.close()


def test_where_nothing_was_ever_armed(target: str, migrator: str) -> None:
    with psycopg.connect(migrator) as db:
        with pytest.raises(JoinRefused, match="nothing was ever armed"):
            join(db, "m")
        assert join_if_armed(db, "m") is None


def test_transaction_pooling_is_refused_and_session_pooling_is_not(armed: Arming, migrator: str) -> None:
    with Pooler(migrator, whole_sessions=False).running() as pooler:
        db = psycopg.connect(pooler.dsn)
        with pytest.raises(PoolerBetween, match="changes sessions between transactions"):
            join(db, "m")
        db.close()
    with Pooler(migrator, whole_sessions=True).running() as pooler:
        db = psycopg.connect(pooler.dsn, autocommit=True)
        assert join(db, "m") == armed.names.origins[0]
        db.close()
