"""What of an error may leave the process."""

import pytest

from holdfast_producers.error_text import MESSAGE_BYTES, describe, redacted, template


class DriverError(Exception):
    sqlstate = "23505"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('invalid input syntax for type numeric: "12,50 EUR"', "invalid input syntax for type numeric: ?"),
        ("could not convert string to float: 'it\\'s 7'", "could not convert string to float: ?"),
        ("Key (email)=(ann@example.org) already exists.", "Key (email)? already exists."),
        ("row 4711 at 10:20:30 is late", "row ? at ? is late"),
        ("no mail to ann@example.org today", "no mail to ? today"),
        ("login failed: password=hunter2 user", "login failed: ? user"),
        ("job 6f1e2d3c-aaaa-bbbb-cccc-123456789abc died", "job ? died"),
        ("", ""),
    ],
)
def test_a_template_holds_no_value_of_a_row(text: str, expected: str) -> None:
    assert template(text) == expected


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
