"""What of an error may leave the process."""

import time

import pytest

from holdfast_producers.error_text import describe
from holdfast_schemas.error_words import ERROR_WORDS
from holdfast_schemas.redaction import MESSAGE_BYTES, redacted, template


class DriverError(Exception):
    sqlstate = "23505"


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('invalid input syntax for type numeric: "12,50 EUR"', "invalid input syntax for type numeric: ?"),
        ("could not convert string to float: 'it\\'s 7'", "could not convert string to float: ?"),
        ("Key (email)=(ann@example.org) already exists.", "Key ? already exists."),
        ("Key (name)=(Ann (the second) Lee) already exists.", "Key ? already exists."),
        ("Failing row contains (7, Ann Lee, null).", "Failing row ?."),
        ("row 4711 at 10:20:30 is late", "row ? at ? is late"),
        ("no mail to ann@example.org today", "no ? to ?"),
        ("customer Ann Lee has no address", "? has no ?"),
        ("login failed: password=hunter2 user", "? failed: ? user"),
        ("cannot connect to postgresql://ann:hunter2@db/shop", "cannot connect to ?"),
        ("job 6f1e2d3c-aaaa-bbbb-cccc-123456789abc died", "?"),
        ("card 4111 1111 1111 1111 refused", "? refused"),
        ("call +49 (151) 234-567-89 failed", "call ? failed"),
        ('value "Ann\nLee" is not valid', "value ?"),
        ("value 'Ann never closed", "value ?"),
        ("", ""),
    ],
)
def test_a_template_holds_no_value_of_a_row(text: str, expected: str) -> None:
    assert template(text) == expected


def test_a_template_holds_only_words_that_are_known() -> None:
    assert template("ANN LEE lives at Elm Street") == "? at ?"
    assert {word for word in ERROR_WORDS if not word.islower()} == set()
    assert len(template("key " * 1_000)) <= 200


def test_an_error_is_its_class_sqlstate_and_template() -> None:
    text = describe(
        DriverError('duplicate key "orders_pk"\nDETAIL:  Key (id)=(42) already exists.'), with_message=False
    )
    assert (text.sqlstate, text.template, text.message) == ("23505", "duplicate key ?", None)
    assert text.error_class.endswith("DriverError")
    assert describe(ValueError("x"), False).sqlstate is None
    assert describe(ValueError("x"), False).error_class == "ValueError"


def test_a_message_goes_only_when_opted_in_redacted_and_short() -> None:
    message = describe(DriverError("secret=abc for ann@example.org " + "é" * 600 + "\nDETAIL: row"), True).message
    assert message is not None
    assert "abc" not in message
    assert "ann@" not in message
    assert "DETAIL" not in message
    assert len(message.encode()) <= MESSAGE_BYTES
    assert redacted("plain 12") == "plain 12"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('duplicate key value violates unique constraint "customer_mail"',) * 2,
        ('invalid input syntax for type integer: "Ann Lee"', "invalid input syntax for type integer: ?"),
        ("Duplicate entry 'Ann' for key 'name'", "Duplicate entry ? for key ?"),
        ("card 4111-1111-1111-1111 and phone +49 151 23456789", "card ? and phone ?"),
        ("account DE89 3704 0044 0532 0130 00", "account DE?"),
        ("Key (name)=(Ann (the second) Lee) exists", "Key (name)? exists"),
    ],
)
def test_a_redacted_message_keeps_identifiers_and_loses_values(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_an_error_that_is_no_text_is_no_error_of_ours() -> None:
    assert describe(Wordless(), True).template == ""
    assert describe(ValueError("broken \udcff text"), True).message == "broken ? text"


@pytest.mark.parametrize(
    "text", ["a" * 3_000_000, "a@" * 1_000_000, "1 " * 1_000_000, "'" * 1_000_000, "=(" * 1_000_000]
)
def test_a_text_of_megabytes_holds_no_batch_up(text: str) -> None:
    began = time.perf_counter()
    template(text), redacted(text)
    assert time.perf_counter() - began < 1.0
