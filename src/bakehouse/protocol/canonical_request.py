"""The canonical form of a request that Signature Version 4 signs.

Source: AWS IAM User Guide, "Create a signed AWS API request", steps 1 and 2. All of it works on bytes as they
came in: what is decoded for an operation is decoded after the signature was found right.
"""

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: What is not percent-encoded besides letters and digits; `quote` leaves these four alone by itself.
_UNRESERVED_MARKS: Final = "-_.~"

_SEVERAL_SLASHES: Final = re.compile(rb"//+")


def canonical_request(
    *,
    method: str,
    path: bytes,
    query: "Sequence[tuple[bytes, bytes]]",
    headers: "Mapping[bytes, bytes]",
    signed_headers: "Sequence[bytes]",
    payload_hash: str,
) -> bytes:
    """Return the text whose hash is signed.

    Args:
        method: In any case.
        path: As sent.
        query: Decoded pairs, without the signature itself.
        headers: Lower-case name to value.
        signed_headers: Sorted names.
        payload_hash: SHA-256 of the body in hexadecimal.

    Raises:
        KeyError: A signed header is not there.
    """
    return b"\n".join(
        [
            method.upper().encode(),
            canonical_path(path),
            canonical_query(query) if query else b"",
            canonical_headers(headers, signed_headers),
            b";".join(signed_headers),
            payload_hash.encode(),
        ]
    )


def canonical_path(path: bytes) -> bytes:
    """Return the path without dot segments and doubled slashes, percent-encoded once more (all but S3)."""
    if path in {b"/", b""}:
        return b"/"
    kept: list[bytes] = []
    for segment in _SEVERAL_SLASHES.sub(b"/", path).strip(b"/").split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in {b".", b""}:
            kept.append(segment)
    whole = b"/" + b"/".join(kept)
    if kept and path.endswith(b"/"):
        whole += b"/"
    return quote(whole, safe="/" + _UNRESERVED_MARKS).encode()


def split_query(query: bytes) -> "list[tuple[bytes, bytes]]":
    """Return the decoded (name, value) pairs of a query string; `+` is a blank, as in a form."""
    pairs = (pair.partition(b"=") for pair in query.replace(b"+", b" ").split(b"&") if pair)
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]


def canonical_query(pairs: "Iterable[tuple[bytes, bytes]]") -> bytes:
    """Return the pairs encoded anew in one way, in the order of their encoded names, then values."""
    encoded = sorted(
        (quote(name, safe=_UNRESERVED_MARKS), quote(value, safe=_UNRESERVED_MARKS)) for name, value in pairs
    )
    return "&".join([f"{name}={value}" for name, value in encoded]).encode()


def canonical_headers(headers: "Mapping[bytes, bytes]", names: "Sequence[bytes]") -> bytes:
    """Return the named headers, a line each; runs of blanks count as one.

    Args:
        headers: Lower-case name to value; of a header sent more than once the values joined by commas.
        names: The headers to sign, sorted.

    Raises:
        KeyError: A named header is not there.
    """
    return b"".join([b"%b:%b\n" % (name, b" ".join(headers[name].split())) for name in names])
