"""What the ledger does, done again by a role that has the documented grants and nothing else, up to a whole actuator."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from holdfast_actuators.ledger import Ledger, roles
from holdfast_schemas.settings import ActuatorSettings

from .conftest import SCHEMA, Bench
from .roles import as_role, new_role
from .test_ledger import *  # noqa: F403
from .test_notifications import (
    test_a_receiver_that_is_away_gets_the_newest_when_it_is_back,
    test_a_warning_is_told_in_words_and_with_the_command_to_type_next,
    told,
)
from .test_people import test_a_pause_with_an_end_ends, test_freeze_holds_everything_and_new_runs
from .test_retention import (
    test_a_decision_that_comes_again_after_its_row_was_deleted_does_not_act,
    test_a_run_id_that_was_forgotten_may_be_used_anew,
)
from .test_rollback import test_a_silent_undo_goes_to_another_worker_under_a_higher_token
from .test_rules import test_rules_get_the_next_version_and_are_sent_until_every_watched_names_them
from .test_service import actuator, publisher, test_a_decision_goes_through_and_a_sigkill_doubles_nothing

__all__ = [
    "actuator",
    "publisher",
    "test_a_decision_goes_through_and_a_sigkill_doubles_nothing",
    "test_a_decision_that_comes_again_after_its_row_was_deleted_does_not_act",
    "test_a_pause_with_an_end_ends",
    "test_a_receiver_that_is_away_gets_the_newest_when_it_is_back",
    "test_a_run_id_that_was_forgotten_may_be_used_anew",
    "test_a_silent_undo_goes_to_another_worker_under_a_higher_token",
    "test_a_warning_is_told_in_words_and_with_the_command_to_type_next",
    "test_freeze_holds_everything_and_new_runs",
    "test_rules_get_the_next_version_and_are_sent_until_every_watched_names_them",
    "told",
]

pytestmark = pytest.mark.postgres
del test_the_schema_is_made_once_and_its_scripts_never_change  # noqa: F821 - it changes the scripts of who may apply none


@pytest.fixture
def database(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The database as the restricted role; what tests do to the rows by themselves is done by the owner."""

    def as_owner(self: Bench, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(database, options=f"-c search_path={SCHEMA}", autocommit=True) as db:
            cursor = db.execute(statement, parameters)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    monkeypatch.setattr(Bench, "execute", as_owner)
    with new_role(database) as role:
        owners = Ledger(database, SCHEMA, ActuatorSettings())
        owners.migrate()
        roles.grant(owners.db, SCHEMA, role)
        owners.close()
        yield as_role(database, role)
