"""holdfast.join(): any SQL client tags its session; who may not is told why."""

import psycopg
import pytest

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from tests.recovery.test_arming import arming as arming

pytestmark = pytest.mark.postgres
JOIN = "SELECT holdfast.join('m')"


def test_each_session_gets_an_origin_of_its_own_until_none_is_left(target: str, migrator: str, arming: Arming) -> None:
    with connect("app", target) as db:
        arming.arm(db)
        sessions = [psycopg.connect(migrator, autocommit=True) for _ in range(3)]
        found = [one.execute(JOIN).fetchone() for one in sessions[:2]]
        assert {row[0] for row in found if row} == set(arming.names.origins)
        with pytest.raises(psycopg.Error, match="all 2 origins") as refused:
            sessions[2].execute(JOIN)
        assert refused.value.sqlstate == "ZH003"
        assert sessions[0].execute(JOIN).fetchone() == found[0]  # again in one session: the same
        sessions[0].close()
        sessions[1].close()
        for one in sessions:
            one.close()
        disarm(db, "m")


def test_another_role_and_a_migration_that_is_not_armed_are_refused(target: str, migrator: str, arming: Arming) -> None:
    with connect("app", target) as db:
        arming.arm(db)
        with psycopg.connect(target, autocommit=True) as application, pytest.raises(psycopg.Error) as refused:
            application.execute(JOIN)
        assert refused.value.sqlstate == "ZH002"
        disarm(db, "m")
        with psycopg.connect(migrator, autocommit=True) as runner, pytest.raises(psycopg.Error) as refused:
            runner.execute(JOIN)
        assert refused.value.sqlstate == "ZH001"
