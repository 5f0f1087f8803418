"""`application/x-www-form-urlencoded` text to parameters."""

from typing import Final
from urllib.parse import unquote

from bakehouse.protocol.errors import ProtocolError

#: More parameters than any request needs (a thousand ids, some tags), few enough to be read at once.
MAX_PARAMETERS: Final = 10_000


def decode_form(data: bytes) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of a form body or a query string, in order, decoded.

    A pair without `=` has the value "". Empty pairs (`a=1&&b=2`) are skipped.

    Raises:
        ProtocolError: `MalformedQueryString`, where the data is not UTF-8 or has more than `MAX_PARAMETERS`
            pairs.
    """
    if data.count(b"&") >= MAX_PARAMETERS:
        raise ProtocolError("MalformedQueryString", f"The query string has more than {MAX_PARAMETERS} parameters.")
    try:
        text = data.decode().replace("+", " ")
        pairs = [pair.partition("=") for pair in text.split("&") if pair]
        if "%" not in text:
            return [(name, value) for name, _, value in pairs]
        return [(unquote(name, errors="strict"), unquote(value, errors="strict")) for name, _, value in pairs]
    except UnicodeDecodeError as err:
        raise ProtocolError("MalformedQueryString", "The query string is not valid UTF-8.") from err
