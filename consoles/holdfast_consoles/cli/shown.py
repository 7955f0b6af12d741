"""Foreign bytes as a person may see them: a record must not drive the terminal."""


def as_bytes(content: str | bytes | None) -> bytes:
    """A message's key, value or header, as it is on the wire; empty where there is none."""
    return content.encode() if isinstance(content, str) else content or b""


def printable(content: bytes) -> str:
    """As text, with what is no UTF-8 or not printable escaped."""
    return printable_text(content.decode(errors="backslashreplace"))


def printable_text(text: str) -> str:
    """Text of a record, with what is not printable escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
