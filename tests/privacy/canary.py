"""Personal data that no topic, ledger, log or webhook may show: distinctive, so that finding a piece of it is a leak."""

from collections.abc import Mapping

NAME = "Quillonia Zanzicanary"
MAIL = "quillonia.zanzicanary@mail.example"
CARD = "4539 5787 6362 1486"
PHONE = "+49 (1590) 555-70-43"
ACCOUNT = "DE75 5121 0800 1245 1261 99"

PIECES: Mapping[str, tuple[str, ...]] = {
    "name": ("quillonia ", "zanzicanary "),
    "mail": ("quillonia.", "zanzicanary@", "mail.example"),
    "card": ("4539 5787", "45395787", "6362 1486", "63621486"),
    "phone": ("555-70", "5557043"),
    "account": ("5121 0800", "51210800"),
}
"""By kind, in lower case; the name's end in a space, so that a mail address is not taken for one."""


def found(content: bytes, kinds: Mapping[str, tuple[str, ...]] = PIECES) -> set[str]:
    """The kinds of which a piece stands in these bytes, as text or in hexadecimal (as pg_dump writes bytea)."""
    seen = content.lower().replace(b'"', b" ").replace(b"'", b" ").replace(b"\\n", b" ") + b" "
    pieces = ((kind, piece.encode()) for kind, of_kind in kinds.items() for piece in of_kind)
    return {kind for kind, piece in pieces if piece in seen or piece.strip().hex().encode() in seen}
