"""AWS Signature Version 2, as clients of EC2 that are older than version 4 still make it, libcloud among them.

Source: AWS General Reference, "Signature Version 2 signing process". Taken with HMAC-SHA256 and with each parameter
once. It has no region and no service: EC2 alone takes it, and the endpoint says which region such a request is for.
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from bakehouse.protocol.canonical_request import split_query
from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.signed_request import (
    FRESHNESS,
    Identity,
    SignedRequest,
    refuse_credentials,
    refuse_signature,
)

_METHOD: Final = "HmacSHA256"
_VERSION: Final = "2"

#: A parameter that only a request signed so has, at the begin of a query or after another one.
_MARK: Final = re.compile(rb"(?:^|&)(?:SignatureVersion|SignatureMethod|AWSAccessKeyId)=")

#: In UTC where it says nothing else. Source: the same page, "Timestamp": ISO 8601, fractions allowed.
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)

#: What is not percent-encoded besides letters and digits, in names and in values.
_UNRESERVED_MARKS: Final = "-_.~"


def is_signed_so(request: SignedRequest) -> bool:
    """Tell whether a request, which has no signature of version 4, says to have one of version 2."""
    return _MARK.search(request.query) is not None or _MARK.search(request.body) is not None


def verify(request: SignedRequest, lookup_secret: Callable[[str], str | None], now: datetime) -> Identity:
    """Return who signed the request, having verified all of the signature. Its region is None.

    Args:
        request: The request as received; its parameters in the query, in the body or in both.
        lookup_secret: Access key id to its secret key; None for a key that does not exist or is not active.
        now: The present time, aware.

    Raises:
        ProtocolError: `IncompleteSignature` (400, not well formed, another method than HmacSHA256),
            `InvalidQueryParameter` (400, a parameter given twice), `InvalidParameterCombination` (400, both a date and
            an end), `RequestExpired` (400), `AuthFailure` (401, an unknown key or a session token), else
            `SignatureDoesNotMatch` (403).
    """
    given = _parameters(request)
    for name in ("AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion"):
        if not given.get(name.encode()):
            raise ProtocolError("IncompleteSignature", f"The request must contain the parameter {name}")
    if _text(given, "SignatureVersion") != _VERSION:
        raise ProtocolError("IncompleteSignature", "The only supported signature versions are 2 and 4.")
    if _text(given, "SignatureMethod") != _METHOD:
        raise ProtocolError("IncompleteSignature", f"The only supported signature method of version 2 is {_METHOD}.")
    if given.get(b"SecurityToken"):
        refuse_credentials("ec2")
    _check_freshness(given, now)
    access_key_id = _text(given, "AWSAccessKeyId")
    secret = lookup_secret(access_key_id)
    if secret is None:
        refuse_credentials("ec2")

    expected = hmac.digest(secret.encode(), _to_sign(request, given), "sha256")
    if not hmac.compare_digest(base64.b64encode(expected), given[b"Signature"]):
        refuse_signature()
    return Identity(access_key_id, None, "ec2")


def _parameters(request: SignedRequest) -> dict[bytes, bytes]:
    """Return the decoded parameters. A name that came twice could be read in two orders: it is refused."""
    given: dict[bytes, bytes] = {}
    for name, value in [*split_query(request.query), *split_query(request.body)]:
        if name in given:
            text = name[:100].decode(errors="replace")
            raise ProtocolError("InvalidQueryParameter", f"The parameter {text} was given more than once.")
        given[name] = value
    return given


def _to_sign(request: SignedRequest, given: Mapping[bytes, bytes]) -> bytes:
    host = next((value for name, value in request.headers if name.lower() == b"host"), b"")
    pairs = (
        f"{quote(name, safe=_UNRESERVED_MARKS)}={quote(given[name], safe=_UNRESERVED_MARKS)}"
        for name in sorted(given)
        if name != b"Signature"
    )
    lines = [request.method.encode(), host.strip().lower(), request.path or b"/", "&".join(pairs).encode()]
    return b"\n".join(lines)


def _check_freshness(given: Mapping[bytes, bytes], now: datetime) -> None:
    """Refuse a date too far from now, or an end that is past. A request has one of the two.

    Source: EC2 API Reference, Common query parameters, `Expires` and `Timestamp`.
    """
    date, end = given.get(b"Timestamp"), given.get(b"Expires")
    if date and end:
        message = "The parameters Timestamp and Expires may not be used together."
        raise ProtocolError("InvalidParameterCombination", message)
    if end:
        fresh = now <= _moment(end, "Expires")
    elif date:
        fresh = abs(now - _moment(date, "Timestamp")) <= FRESHNESS
    else:
        raise ProtocolError("IncompleteSignature", "The request must contain the parameter Timestamp or Expires.")
    if not fresh:
        raise ProtocolError("RequestExpired", "Request has expired.")


def _moment(value: bytes, name: str) -> datetime:
    text = value.decode("latin-1")
    try:
        moment = datetime.fromisoformat(text if _MOMENT.fullmatch(text) else "")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError as err:
        raise ProtocolError("IncompleteSignature", f"{name} must be in ISO 8601 format. Got '{text[:100]}'.") from err


def _text(given: Mapping[bytes, bytes], name: str) -> str:
    return given[name.encode()].decode("latin-1")
